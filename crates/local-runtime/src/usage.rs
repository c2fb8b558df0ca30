use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat2, statat},
    io::Errno,
};
use std::{
    fs,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStrExt, fs::PermissionsExt},
    },
    path::{Path, PathBuf},
};

/// No honest workspace nests directories deeper.
const MAX_DEPTH: usize = 128;

/// What a workspace may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quota {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
}

impl Quota {
    /// In what the directory exceeds it, if it does. What vanishes meanwhile does not count.
    pub(crate) fn exceeded_by(self, workspace: &Path) -> Option<String> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let workspace = rustix::fs::openat(CWD, workspace, flags, Mode::empty()).ok()?;
        let (mut bytes, mut files) = (0_u64, 0_u64);
        let mut todo = vec![(PathBuf::from("."), 0)];
        while let Some((directory, depth)) = todo.pop() {
            let listed = match list(&workspace, &directory) {
                Err(Errno::NAMETOOLONG) => return Some("its directories are nested too deep".into()),
                Err(_) => continue,
                Ok(_) if depth > MAX_DEPTH => {
                    return Some(format!("its directories are nested deeper than {MAX_DEPTH}"));
                }
                Ok(listed) => listed,
            };
            for (name, size, is_directory) in listed {
                bytes += size;
                files += 1;
                if bytes > self.bytes {
                    return Some(format!("it holds more than {} bytes", self.bytes));
                }
                if files > self.files {
                    return Some(format!("it holds more than {} files", self.files));
                }
                if is_directory {
                    todo.push((directory.join(std::ffi::OsStr::from_bytes(&name)), depth + 1));
                }
            }
        }
        None
    }
}

type Listed = Vec<(Vec<u8>, u64, bool)>;

/// Name, size and kind of what is in `directory`, which cannot lead out of the workspace even when it is exchanged for a
/// link meanwhile.
fn list(workspace: &OwnedFd, directory: &Path) -> Result<Listed, Errno> {
    let open = |flags| {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(workspace, directory, flags | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), beneath)
    };
    let opened = match open(OFlags::RDONLY) {
        Err(Errno::ACCESS) => {
            // A sandbox must not hide what it stores behind a directory that cannot be listed.
            let held = open(OFlags::PATH)?;
            let this = format!("/proc/self/fd/{}", held.as_raw_fd());
            fs::set_permissions(this, fs::Permissions::from_mode(0o700)).map_err(|_| Errno::ACCESS)?;
            open(OFlags::RDONLY)?
        }
        opened => opened?,
    };
    let mut listed = Vec::new();
    for entry in Dir::read_from(&opened)? {
        let entry = entry?;
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        if let Ok(stat) = statat(&opened, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
            let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            let size = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
            listed.push((entry.file_name().to_bytes().to_vec(), size, is_directory));
        }
    }
    Ok(listed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_files_and_depth_are_bounded() {
        let keep = tempfile::tempdir().expect("a directory");
        let roomy = Quota { bytes: 1 << 20, files: 1000 };
        for number in 0..10 {
            fs::write(keep.path().join(number.to_string()), vec![1; 10_000]).expect("write");
        }
        assert_eq!(roomy.exceeded_by(keep.path()), None);
        assert!(Quota { bytes: 50_000, ..roomy }.exceeded_by(keep.path()).expect("too much").contains("bytes"));
        assert!(Quota { files: 5, ..roomy }.exceeded_by(keep.path()).expect("too many").contains("files"));
        fs::create_dir_all(keep.path().join("d/".repeat(200))).expect("mkdir");
        assert!(roomy.exceeded_by(keep.path()).expect("too deep").contains("nested"));
    }

    #[test]
    fn a_closed_directory_hides_nothing() {
        let keep = tempfile::tempdir().expect("a directory");
        let closed = keep.path().join("closed");
        fs::create_dir(&closed).expect("mkdir");
        fs::write(closed.join("big"), vec![1; 100_000]).expect("write");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).expect("chmod");
        assert!(Quota { bytes: 50_000, files: 10 }.exceeded_by(keep.path()).is_some());
    }
}
