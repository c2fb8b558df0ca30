//! The files of the workspace: every path is resolved beneath one directory
//! handle, name by name and through no symbolic link, so that no path leads out
//! and a file has no other path than its own. Rules about paths rely on that.

mod list;
mod read;
mod write;

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    path::{Component, Path, PathBuf},
};

use cap_std::{ambient_authority, fs::Dir};
use rustix::fs::{Mode, OFlags, openat};

pub(crate) use self::{
    list::{ListFiles, list},
    read::{ReadFile, Reading, read},
    write::{WriteFile, write},
};
use crate::tool_error::ToolError;

/// The one directory that the tools work in.
#[derive(Debug)]
pub(crate) struct Workspace {
    dir: Dir,
    /// The root as it was named, and as it resolved; absolute paths may start with either.
    roots: [PathBuf; 2],
}

impl Workspace {
    pub(crate) fn open(root: &Path) -> io::Result<Self> {
        let dir = Dir::open_ambient_dir(root, ambient_authority())?;
        let roots = [std::path::absolute(root)?, root.canonicalize()?];
        Ok(Self { dir, roots })
    }

    /// A handle of a directory in the workspace.
    pub(crate) fn open_dir(&self, path: &str) -> Result<Dir, ToolError> {
        let mut dir = self.root(path)?;
        for name in self.names(path)? {
            dir = enter(&dir, &name).map_err(|error| self.refuse(path, &dir, &name, &error))?;
        }
        Ok(dir)
    }

    /// A handle of the directory that a file lies in, and the file's name there.
    fn open_parent(&self, path: &str, missing: Missing) -> Result<(Dir, OsString), ToolError> {
        let mut dir = self.root(path)?;
        let mut names = self.names(path)?;
        let last = names.pop().filter(|_| !path.ends_with('/'));
        let last = last.ok_or_else(|| self.explain(path, &io::ErrorKind::IsADirectory.into()))?;
        for name in names {
            let entered = match enter(&dir, &name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound && missing == Missing::Create => {
                    dir.create_dir(&name).and_then(|()| enter(&dir, &name))
                }
                entered => entered,
            };
            dir = entered.map_err(|error| self.refuse(path, &dir, &name, &error))?;
        }
        Ok((dir, last))
    }

    fn root(&self, path: &str) -> Result<Dir, ToolError> {
        self.dir.try_clone().map_err(|error| self.explain(path, &error))
    }

    /// The names that lead from the root to the path. Since none of them may be a link, `..` is the name before it.
    fn names(&self, path: &str) -> Result<Vec<OsString>, ToolError> {
        let mut names = Vec::new();
        for part in self.relative(path)?.components() {
            match part {
                Component::Normal(name) => names.push(name.to_owned()),
                Component::CurDir => {}
                Component::ParentDir if names.pop().is_some() => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(self.outside(path)),
            }
        }
        Ok(names)
    }

    /// Why `name` cannot be opened in `dir`, on the way to `path`.
    fn refuse(&self, path: &str, dir: &Dir, name: &OsStr, error: &io::Error) -> ToolError {
        if dir.symlink_metadata(name).is_ok_and(|found| found.is_symlink()) {
            return self.linked(path, name);
        }
        self.explain(path, error)
    }

    /// Refuses a path that goes through a link.
    fn linked(&self, path: &str, link: &OsStr) -> ToolError {
        let target = self.relative(path).map(|relative| self.dir.canonicalize(relative));
        let advice = match target {
            Ok(Ok(target)) => format!("Name {} instead.", printable(&target.to_string_lossy())),
            // cap-std reports an escape as a denial that no system call made.
            Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() => {
                return self.outside(path);
            }
            _ => "Name its target instead.".to_owned(),
        };
        let link = printable(&link.to_string_lossy());
        ToolError::new(format!("{}: {link} is a link, and paths go through no links. {advice}", printable(path)))
    }

    /// The path as one relative to the root. It may still try to lead out;
    /// opening it is what refuses that.
    fn relative(&self, path: &str) -> Result<PathBuf, ToolError> {
        if path.is_empty() {
            return Err(ToolError::new("The path is empty. Use \".\" for the workspace itself."));
        }
        let path = Path::new(path);
        if path.is_relative() {
            return Ok(path.to_owned());
        }
        let below = self.roots.iter().find_map(|root| path.strip_prefix(root).ok());
        match below {
            Some(below) if below.as_os_str().is_empty() => Ok(PathBuf::from(".")),
            Some(below) => Ok(below.to_owned()),
            None => Err(self.outside(&path.to_string_lossy())),
        }
    }

    fn explain(&self, path: &str, error: &io::Error) -> ToolError {
        // cap-std reports an escape as a denial that no system call made.
        if error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none() {
            return self.outside(path);
        }
        let path = printable(path);
        ToolError::new(match error.kind() {
            io::ErrorKind::NotFound => {
                format!("{path} does not exist. list_files shows what there is.")
            }
            io::ErrorKind::NotADirectory => {
                format!("{path} is not a directory, or a part of the path is not.")
            }
            io::ErrorKind::IsADirectory => {
                format!("{path} is a directory. Name a file in it, or use list_files.")
            }
            io::ErrorKind::PermissionDenied => format!("{path}: permission denied."),
            _ => format!("{path}: {error}."),
        })
    }

    fn outside(&self, path: &str) -> ToolError {
        ToolError::new(format!(
            "{} is outside of the workspace. Use a path relative to {} that stays in it.",
            printable(path),
            self.roots[0].display()
        ))
    }
}

impl AsFd for Workspace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

/// What becomes of directories on the way to a file that are not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Refuse,
    Create,
}

/// A handle of the directory by this name, which is no link.
fn enter(dir: &Dir, name: &OsStr) -> io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(Dir::from_std_file(File::from(openat(dir, name, flags, Mode::empty())?)))
}

/// A file name for a line of text: control characters would forge lines.
fn printable(name: &str) -> String {
    let mut shown = String::with_capacity(name.len());
    for character in name.chars() {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Result<&str, &str>) {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let workspace = Workspace::open(folder.path()).expect("it exists");
        let root = folder.path().to_str().expect("UTF-8");
        let outcome = workspace.relative(&path.replace("ROOT", root));
        match (outcome, expected) {
            (Ok(relative), Ok(expected)) => assert_eq!(relative, Path::new(expected)),
            (Err(error), Err(expected)) => {
                assert!(error.to_string().contains(expected), "{error}");
            }
            (outcome, expected) => panic!("{path}: {outcome:?} is not {expected:?}"),
        }
    }

    #[test]
    fn an_absolute_path_below_the_root_is_relative_to_it() {
        check("a/b", Ok("a/b"));
        check("ROOT/a", Ok("a"));
        check("ROOT", Ok("."));
        check("ROOT/", Ok("."));
    }

    #[test]
    fn an_absolute_path_elsewhere_is_refused() {
        check("/etc/passwd", Err("outside of the workspace"));
        check("ROOTx/a", Err("outside of the workspace"));
        check("", Err("empty"));
    }

    #[test]
    fn control_characters_are_shown_escaped() {
        assert_eq!(printable("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
        assert_eq!(printable("日本 é"), "日本 é");
    }
}
