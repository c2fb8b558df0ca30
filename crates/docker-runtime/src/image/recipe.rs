//! What lies in an image.

use super::{ImageError, VERSION_LABEL, WORKSPACE_PROGRAM, elf};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Files whose content is the sandbox's own: the container's main process writes it when it starts.
const ACCOUNTS: [(&str, &str); 2] = [("etc/passwd", "/run/lockkeeper/passwd"), ("etc/group", "/run/lockkeeper/group")];
/// A repository that one MCP server made is used by the others, and they are other users.
const GIT_CONFIG: &str = "[safe]\n\tdirectory = *\n";
/// Directories, and their modes. What a container mounts by itself is there for engines that want a place for it.
const DIRECTORIES: &[(&str, u32)] = &[
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o755),
    ("run/lockkeeper", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr/bin", 0o755),
    ("usr/lib", 0o755),
    ("usr/lib64", 0o755),
    ("usr/local/bin", 0o755),
    // runc gives what is mounted here this mode, whatever it is asked for. The holder changes it where it may.
    ("workspace", 0o777),
];
/// Old names of directories, as today's distributions have them.
const MERGED: &[(&str, &str)] =
    &[("bin", "usr/bin"), ("sbin", "usr/bin"), ("usr/sbin", "bin"), ("lib", "usr/lib"), ("lib64", "usr/lib64")];

/// What lies in an image, by its path there.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub(super) entries: BTreeMap<PathBuf, Entry>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) architecture: &'static str,
}

/// Something in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Directory { mode: u32 },
    Text(&'static str),
    File { from: PathBuf, mode: u32 },
    Link(PathBuf),
}

impl Recipe {
    /// The least that a sandbox needs: the workspace program, which must be linked statically. `version` is that of
    /// Lockkeeper.
    pub fn new(version: &str, workspace: &Path) -> Result<Self, ImageError> {
        let architecture = must_be_static(workspace)?;
        let labels = [
            ("org.opencontainers.image.title", "lockkeeper-sandbox"),
            ("org.opencontainers.image.version", version),
            (VERSION_LABEL, version),
        ];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mut recipe = Self { entries: BTreeMap::new(), labels, architecture };
        for (path, mode) in DIRECTORIES {
            recipe.put(Path::new(path), Entry::Directory { mode: *mode });
        }
        for (path, target) in MERGED {
            recipe.put(Path::new(path), Entry::Link(target.into()));
        }
        for (path, target) in ACCOUNTS {
            recipe.put(Path::new(path), Entry::Link(target.into()));
        }
        recipe.put(Path::new("etc/gitconfig"), Entry::Text(GIT_CONFIG));
        recipe.put(&merged(Path::new(WORKSPACE_PROGRAM)), program(workspace));
        Ok(recipe)
    }

    /// With this shell, which must be linked statically, and with links to it by the names of `applets`: the other
    /// programs that a busybox is.
    pub fn shell(&mut self, shell: &Path, applets: &[String]) -> Result<(), ImageError> {
        let architecture = must_be_static(shell)?;
        if architecture != self.architecture {
            let why =
                format!("is a program for {architecture}, and the workspace program is one for {}", self.architecture);
            return Err(ImageError::Unfit { path: shell.to_owned(), why });
        }
        let name = if applets.is_empty() { "sh" } else { "busybox" };
        self.put(&Path::new("usr/bin").join(name), program(shell));
        let links = applets.iter().filter(|applet| !applet.contains('/') && *applet != name && !applet.is_empty());
        for applet in links {
            let path = Path::new("usr/bin").join(applet);
            self.entries.entry(path).or_insert_with(|| Entry::Link(name.into()));
        }
        Ok(())
    }

    /// With this file or directory of the host and all that is in it, at the absolute path `inside`. Links stay links.
    pub fn add(&mut self, host: &Path, inside: &Path) -> Result<(), ImageError> {
        let unreadable = |source| ImageError::Unreadable { path: host.to_owned(), source };
        // The first one may be a link itself: what it leads to is meant.
        let found = fs::metadata(host).map_err(unreadable)?;
        let path = merged(inside);
        if !found.is_dir() {
            return self.add_file(host, &path, &found);
        }
        self.put(&path, Entry::Directory { mode: 0o755 });
        self.add_below(host, &path)
    }

    /// With a link at the absolute path `inside`, unless something else is there.
    pub fn link(&mut self, inside: &Path, target: &Path) {
        let path = merged(inside);
        if !self.entries.contains_key(&path) {
            self.put(&path, Entry::Link(target.to_owned()));
        }
    }

    fn add_below(&mut self, host: &Path, inside: &Path) -> Result<(), ImageError> {
        let unreadable = |source| ImageError::Unreadable { path: host.to_owned(), source };
        for entry in fs::read_dir(host).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let (from, path) = (entry.path(), inside.join(entry.file_name()));
            let unreadable = |source| ImageError::Unreadable { path: from.clone(), source };
            let found = entry.metadata().map_err(unreadable)?;
            if found.is_dir() {
                self.put(&path, Entry::Directory { mode: 0o755 });
                self.add_below(&from, &path)?;
            } else if found.is_symlink() {
                let target = fs::read_link(&from).map_err(unreadable)?;
                self.put(&path, Entry::Link(target));
            } else {
                self.add_file(&from, &path, &found)?;
            }
        }
        Ok(())
    }

    fn add_file(&mut self, from: &Path, path: &Path, found: &fs::Metadata) -> Result<(), ImageError> {
        if !found.is_file() {
            let why = "is neither a file nor a directory".to_owned();
            return Err(ImageError::Unfit { path: from.to_owned(), why });
        }
        // Only what it is matters, and not how its owner has shared it.
        let mode = if found.permissions().mode() & 0o111 == 0 { 0o644 } else { 0o755 };
        self.put(path, Entry::File { from: from.to_owned(), mode });
        Ok(())
    }

    /// Puts an entry, and the directories above it.
    fn put(&mut self, path: &Path, entry: Entry) {
        for above in path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()) {
            self.entries.entry(above.to_owned()).or_insert(Entry::Directory { mode: 0o755 });
        }
        self.entries.insert(path.to_owned(), entry);
    }
}

/// A file that can be run, whatever its mode is on the host.
fn program(from: &Path) -> Entry {
    Entry::File { from: from.to_owned(), mode: 0o755 }
}

fn must_be_static(path: &Path) -> Result<&'static str, ImageError> {
    let program = elf::program(path)?;
    if !program.is_static {
        let why = "is not linked statically, and the image has no libraries for it".to_owned();
        return Err(ImageError::Unfit { path: path.to_owned(), why });
    }
    Ok(program.architecture)
}

/// The path in the archive: relative, and in the directory that an old name stands for.
fn merged(inside: &Path) -> PathBuf {
    let path = inside.strip_prefix("/").unwrap_or(inside);
    let real = MERGED.iter().find_map(|(old, real)| {
        let rest = path.strip_prefix(old).ok().filter(|rest| !rest.as_os_str().is_empty())?;
        let real = if *old == "usr/sbin" { "usr/bin" } else { real };
        Some(Path::new(real).join(rest))
    });
    real.unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_of_directories_lead_to_todays() {
        for (inside, path) in [
            ("/lib/x86_64-linux-gnu/libc.so.6", "usr/lib/x86_64-linux-gnu/libc.so.6"),
            ("/lib64/ld-linux-x86-64.so.2", "usr/lib64/ld-linux-x86-64.so.2"),
            ("/usr/sbin/x", "usr/bin/x"),
            ("/library/x", "library/x"),
            ("/opt/mcp", "opt/mcp"),
        ] {
            assert_eq!(merged(Path::new(inside)), Path::new(path));
        }
    }

    #[test]
    fn a_program_that_needs_libraries_is_refused() {
        let itself = std::env::current_exe().expect("it runs");
        let error = Recipe::new("1", &itself).expect_err("a test is linked dynamically");
        assert!(error.to_string().contains("is not linked statically"), "{error}");
    }
}
