use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Removes a directory tree, however deep, and whatever permissions its directories have. It does not exist: fine.
///
/// A sandbox may nest directories deeper than paths can be long or descriptors and the stack can follow. So no path here has
/// more than two steps: a directory that is not empty is moved up before it is emptied in its turn. No process is left that
/// could exchange anything meanwhile.
pub(super) fn remove_all(top: &Path) -> io::Result<()> {
    let mut moved = 0_u64;
    let mut todo = vec![top.to_owned()];
    while let Some(directory) = todo.pop() {
        if let Err(error) = open_up(&directory) {
            if error.kind() == io::ErrorKind::NotFound {
                continue;
            }
            return Err(error);
        }
        let below = empty(&directory, top, &mut moved)?;
        if directory != top {
            gone(fs::remove_dir(&directory))?;
        }
        todo.extend(below);
    }
    gone(fs::remove_dir(top))
}

/// Unlinks the directory's files, and moves its directories to the top.
fn empty(directory: &Path, top: &Path, moved: &mut u64) -> io::Result<Vec<PathBuf>> {
    let mut below = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            gone(fs::remove_file(entry.path()))?;
        } else if directory == top {
            below.push(entry.path());
        } else if fs::remove_dir(entry.path()).is_err() {
            // To move a directory, one must be able to write to it: its `..` changes.
            open_up(&entry.path())?;
            let up = loop {
                *moved += 1;
                let up = top.join(format!("moved-{moved}"));
                if fs::symlink_metadata(&up).is_err() {
                    break up;
                }
            };
            fs::rename(entry.path(), &up)?;
            below.push(up);
        }
    }
    Ok(below)
}

fn open_up(directory: &Path) -> io::Result<()> {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
}

/// Another process may remove the same sandbox.
fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_deeper_than_paths_can_name_is_removed() {
        let keep = tempfile::tempdir().expect("a directory");
        let top = keep.path().join("top");
        fs::create_dir_all(&top).expect("mkdir");
        let mut inner = rustix::fs::open(&top, rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).expect("open");
        for _ in 0..5000 {
            rustix::fs::mkdirat(&inner, "d", rustix::fs::Mode::RWXU).expect("mkdir");
            inner =
                rustix::fs::openat(&inner, "d", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).expect("openat");
        }
        remove_all(&top).expect("remove");
        assert!(!top.exists());
    }

    #[test]
    fn closed_directories_and_dangling_links_are_removed_and_links_are_not_followed() {
        let keep = tempfile::tempdir().expect("a directory");
        let (top, outside) = (keep.path().join("top"), keep.path().join("outside"));
        fs::create_dir_all(top.join("closed/inner/moved-1")).expect("mkdir");
        fs::create_dir_all(&outside).expect("mkdir");
        fs::write(outside.join("kept"), "x").expect("write");
        fs::write(top.join("closed/inner/file"), "x").expect("write");
        std::os::unix::fs::symlink(&outside, top.join("closed/link")).expect("symlink");
        std::os::unix::fs::symlink("/nowhere", top.join("dangling")).expect("symlink");
        fs::set_permissions(top.join("closed/inner"), fs::Permissions::from_mode(0o000)).expect("chmod");
        fs::set_permissions(top.join("closed"), fs::Permissions::from_mode(0o500)).expect("chmod");
        remove_all(&top).expect("remove");
        assert!(!top.exists() && outside.join("kept").exists());
        remove_all(&top).expect("idempotent");
    }
}
