//! `write_file`: a whole file, replaced in one step.

use std::{
    io::{self, Write as _},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use cap_std::fs::{Dir, Metadata, OpenOptions, PermissionsExt as _};
use serde::Deserialize;

use super::{Missing, Workspace, printable};
use crate::{limits::Limits, tool_error::ToolError};

const ANY_WRITE_BIT: u32 = 0o222;
/// Names that are tried for the temporary file; one is taken only where a
/// server of the same process id was killed while it wrote.
const NAME_ATTEMPTS: usize = 100;

/// The arguments of `write_file`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WriteFile {
    path: String,
    content: String,
}

/// Writes the file and returns what it did, in words. Readers see the old
/// content or the new, never a part; the mode of an existing file is kept.
pub(crate) fn write(workspace: &Workspace, limits: &Limits, request: &WriteFile) -> Result<String, ToolError> {
    let shown = printable(&request.path);
    let length = request.content.len();
    if length as u64 > u64::from(limits.max_write_bytes) {
        return Err(ToolError::new(format!(
            "The content has {length} bytes; write_file takes at most {}. \
             Write it in parts with execute_command.",
            limits.max_write_bytes
        )));
    }
    let failed = |error: io::Error| workspace.explain(&request.path, &error);
    let (folder, name) = workspace.open_parent(&request.path, Missing::Create)?;
    let existing = match folder.symlink_metadata(&name) {
        Ok(existing) => Some(existing),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    if existing.as_ref().is_some_and(Metadata::is_symlink) {
        return Err(workspace.linked(&request.path, &name));
    }
    if let Some(existing) = &existing {
        check_replaceable(existing, &shown)?;
    }
    replace(&folder, Path::new(&name), request.content.as_bytes(), existing.as_ref()).map_err(failed)?;
    let verb = if existing.is_some() { "Replaced" } else { "Created" };
    Ok(format!("{verb} {shown} ({length} bytes)."))
}

fn check_replaceable(existing: &Metadata, shown: &str) -> Result<(), ToolError> {
    let reason = if existing.is_dir() {
        "is a directory. Name a file in it."
    } else if !existing.is_file() {
        "is not a regular file, so it cannot be replaced."
    } else if existing.permissions().mode() & ANY_WRITE_BIT == 0 {
        "is read-only. Change its mode with execute_command first if it should be replaced."
    } else {
        return Ok(());
    };
    Err(ToolError::new(format!("{shown} {reason}")))
}

fn replace(folder: &Dir, name: &Path, content: &[u8], existing: Option<&Metadata>) -> io::Result<()> {
    let (mut file, temporary) = create_temporary(folder)?;
    let written = file
        .write_all(content)
        .and_then(|()| existing.map_or(Ok(()), |old| file.set_permissions(old.permissions())))
        .and_then(|()| folder.rename(&temporary, folder, name));
    if written.is_err() {
        // The first error is the one that counts.
        let _ = folder.remove_file(&temporary);
    }
    written
}

fn create_temporary(folder: &Dir) -> io::Result<(cap_std::fs::File, String)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);

    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut taken = io::Error::from(io::ErrorKind::AlreadyExists);
    for _ in 0..NAME_ATTEMPTS {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!(".lockkeeper-{}-{number}.tmp", std::process::id());
        match folder.open_with(&name, &options) {
            Ok(file) => return Ok((file, name)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => taken = error,
            Err(error) => return Err(error),
        }
    }
    Err(taken)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, symlink},
    };

    use super::*;

    struct Fixture {
        folder: tempfile::TempDir,
        workspace: Workspace,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a temporary directory");
            let workspace = Workspace::open(folder.path()).expect("it exists");
            Self { folder, workspace }
        }

        fn check(&self, path: &str, expected: &str) {
            let request = WriteFile { path: path.to_owned(), content: "new".to_owned() };
            let said = match write(&self.workspace, &Limits::of_no_flags(), &request) {
                Ok(said) => said,
                Err(error) => format!("error: {error}"),
            };
            assert_eq!(said, expected);
            let left = fs::read_dir(self.folder.path()).expect("listed").flatten();
            let temporary = left.filter(|entry| entry.file_name().to_string_lossy().ends_with("tmp"));
            assert_eq!(temporary.count(), 0, "a temporary file was left behind");
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.folder.path().join(path)).expect("it exists")
        }
    }

    #[test]
    fn missing_parents_are_made() {
        let fixture = Fixture::new();
        fixture.check("a/b/c.txt", "Created a/b/c.txt (3 bytes).");
        assert_eq!(fixture.read("a/b/c.txt"), "new");
    }

    #[test]
    fn a_replaced_file_keeps_its_mode() {
        let fixture = Fixture::new();
        let script = fixture.folder.path().join("run.sh");
        fs::write(&script, "old content").expect("written");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o750)).expect("changed");
        fixture.check("run.sh", "Replaced run.sh (3 bytes).");
        let mode = fs::metadata(&script).expect("it exists").permissions().mode();
        assert_eq!((fixture.read("run.sh").as_str(), mode & 0o777), ("new", 0o750));
    }

    #[test]
    fn link_inside_of_the_workspace_is_not_written_through() {
        let fixture = Fixture::new();
        let root = fixture.folder.path();
        fs::create_dir(root.join("dir")).expect("made");
        fs::write(root.join("dir/real"), "old").expect("written");
        symlink("dir/real", root.join("link")).expect("linked");
        symlink("dir", root.join("way")).expect("linked");
        let said = "is a link, and paths go through no links. Name dir/real instead.";
        fixture.check("link", &format!("error: link: link {said}"));
        fixture.check("way/real", &format!("error: way/real: way {said}"));
        assert_eq!(fixture.read("dir/real"), "old");
        assert!(root.join("link").is_symlink());
    }

    #[test]
    fn what_is_no_writable_file_is_refused() {
        let fixture = Fixture::new();
        let root = fixture.folder.path();
        fs::create_dir(root.join("dir")).expect("made");
        symlink("nowhere", root.join("dangling")).expect("linked");
        fs::write(root.join("fixed"), "old").expect("written");
        fs::set_permissions(root.join("fixed"), fs::Permissions::from_mode(0o444)).expect("changed");
        fixture.check("dir", "error: dir is a directory. Name a file in it.");
        fixture.check("dir/", "error: dir/ is a directory. Name a file in it, or use list_files.");
        fixture.check(".", "error: . is a directory. Name a file in it, or use list_files.");
        fixture.check(
            "dangling",
            "error: dangling: dangling is a link, and paths go through no links. Name its target instead.",
        );
        fixture.check(
            "fixed",
            "error: fixed is read-only. Change its mode with execute_command first if it should be replaced.",
        );
        fixture.check("fixed/below", "error: fixed/below is not a directory, or a part of the path is not.");
    }

    #[test]
    fn content_above_the_cap_is_refused() {
        let fixture = Fixture::new();
        let limits = Limits { max_write_bytes: 4, ..Limits::of_no_flags() };
        let request = WriteFile { path: "a".to_owned(), content: "12345".to_owned() };
        let error = write(&fixture.workspace, &limits, &request).expect_err("5 is above 4");
        assert!(error.to_string().starts_with("The content has 5 bytes; write_file takes at most 4."));
        assert!(!fixture.folder.path().join("a").exists());
    }
}
