//! `list_files`: what a directory, or a whole tree, holds.

use std::{
    collections::BinaryHeap,
    ffi::OsString,
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
};

use cap_std::fs::{Dir, FileType};
use serde::Deserialize;

use super::{Workspace, enter, printable};
use crate::{limits::Limits, tool_error::ToolError};

/// Directories deeper than this are named and not entered, which bounds the open handles.
const DEEPEST: usize = 64;

/// The arguments of `list_files`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListFiles {
    path: Option<String>,
    recursive: Option<bool>,
}

/// One line per entry: its kind, its path relative to what was listed, and its
/// size or its target. Links are shown and never followed.
pub(crate) fn list(
    workspace: &Workspace,
    limits: &Limits,
    request: &ListFiles,
    cancelled: &dyn Fn() -> bool,
) -> Result<String, ToolError> {
    let path = request.path.as_deref().unwrap_or(".");
    let dir = workspace.open_dir(path)?;
    let mut listing = Listing {
        lines: String::new(),
        room: limits.max_entries as usize,
        left_out: 0,
        recursive: request.recursive.unwrap_or(false),
        cancelled,
    };
    listing.directory(&dir, Path::new(""), DEEPEST).map_err(|error| workspace.explain(path, &error))?;
    Ok(listing.finish(limits.max_entries))
}

struct Listing<'a> {
    lines: String,
    room: usize,
    left_out: u64,
    recursive: bool,
    cancelled: &'a dyn Fn() -> bool,
}

impl Listing<'_> {
    /// Lists `dir`, which lies at `prefix`, and what is below it in pre-order.
    fn directory(&mut self, dir: &Dir, prefix: &Path, depth: usize) -> io::Result<()> {
        for name in self.first_names(dir)? {
            if self.room == 0 {
                self.left_out += 1;
                continue;
            }
            self.room -= 1;
            let path = prefix.join(&name);
            let enter = self.entry(dir, &name, &path);
            if enter && self.recursive {
                self.below(dir, &name, &path, depth);
            }
        }
        Ok(())
    }

    /// The alphabetically first names that there is room for. A directory may
    /// hold millions, so no more than those are ever kept.
    fn first_names(&mut self, dir: &Dir) -> io::Result<Vec<OsString>> {
        let mut names = BinaryHeap::new();
        for entry in dir.entries()? {
            if (self.cancelled)() {
                return Err(io::Error::other("cancelled"));
            }
            names.push(entry?.file_name());
            if names.len() > self.room {
                names.pop();
                self.left_out += 1;
            }
        }
        Ok(names.into_sorted_vec())
    }

    /// Adds the line of one entry; says whether it is a directory.
    fn entry(&mut self, dir: &Dir, name: &OsString, path: &Path) -> bool {
        let shown = printable(&path.to_string_lossy());
        let Ok(found) = dir.symlink_metadata(name) else {
            // It went away since its name was read.
            let _ = writeln!(self.lines, "gone  {shown}");
            return false;
        };
        let kind = found.file_type();
        let _ = if kind.is_dir() {
            writeln!(self.lines, "dir   {shown}/")
        } else if kind.is_symlink() {
            let target = dir.read_link_contents(name).unwrap_or_else(|_| PathBuf::from("?"));
            writeln!(self.lines, "link  {shown} -> {}", printable(&target.to_string_lossy()))
        } else {
            writeln!(self.lines, "{}  {shown}  {}", label(kind), found.len())
        };
        kind.is_dir()
    }

    fn below(&mut self, dir: &Dir, name: &OsString, path: &Path, depth: usize) {
        // The name alone is opened, in its directory's handle: a link that
        // replaced it meanwhile is not followed.
        let outcome = if depth == 0 {
            Err(io::Error::other("too deep, list it by itself"))
        } else {
            enter(dir, name).and_then(|inner| self.directory(&inner, path, depth - 1))
        };
        if let Err(error) = outcome {
            let shown = printable(&path.to_string_lossy());
            let _ = writeln!(self.lines, "[{shown}/ could not be listed: {error}]");
        }
    }

    fn finish(mut self, most: u32) -> String {
        if self.lines.is_empty() {
            self.lines.push_str("[The directory is empty.]");
        }
        if self.left_out > 0 {
            let hint = if self.recursive { "List a subdirectory." } else { "Narrow it with execute_command." };
            let _ =
                write!(self.lines, "[Cut at {most} entries; at least {} more were left out. {hint}]", self.left_out);
        }
        self.lines
    }
}

fn label(kind: FileType) -> &'static str {
    if kind.is_file() { "file" } else { "other" }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn check(recursive: bool, most: u32, expected: &str) {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let root = folder.path();
        fs::create_dir_all(root.join("b/inner")).expect("made");
        fs::write(root.join("b/inner/x"), "12").expect("written");
        fs::write(root.join("a.txt"), "123").expect("written");
        symlink("/etc", root.join("c")).expect("linked");
        fs::write(root.join("d\ne"), "").expect("written");
        let workspace = Workspace::open(root).expect("it exists");
        let limits = Limits { max_entries: most, ..Limits::of_no_flags() };
        let request = ListFiles { recursive: Some(recursive), path: None };
        let listing = list(&workspace, &limits, &request, &|| false).expect("listed");
        assert_eq!(listing, expected);
    }

    #[test]
    fn entries_are_sorted_and_say_what_they_are() {
        check(false, 10, "file  a.txt  3\ndir   b/\nlink  c -> /etc\nfile  d\\ne  0\n");
    }

    #[test]
    fn a_tree_is_listed_without_following_links() {
        let expected = "file  a.txt  3\ndir   b/\ndir   b/inner/\nfile  b/inner/x  2\n\
                        link  c -> /etc\nfile  d\\ne  0\n";
        check(true, 10, expected);
    }

    #[test]
    fn the_cap_keeps_the_first_entries_and_says_so() {
        let notice = "[Cut at 2 entries; at least 2 more were left out. Narrow it with execute_command.]";
        check(false, 2, &format!("file  a.txt  3\ndir   b/\n{notice}"));
        let notice = "[Cut at 3 entries; at least 3 more were left out. List a subdirectory.]";
        check(true, 3, &format!("file  a.txt  3\ndir   b/\ndir   b/inner/\n{notice}"));
    }

    #[test]
    fn an_empty_directory_is_said_to_be_empty() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let workspace = Workspace::open(folder.path()).expect("it exists");
        let listing = list(&workspace, &Limits::of_no_flags(), &ListFiles::default(), &|| false);
        assert_eq!(listing.expect("listed"), "[The directory is empty.]");
    }
}
