//! What this machine has that an image can be made of.

use anyhow::{Context as _, Result, bail, ensure};
use lockkeeper_docker_runtime::image::{ImageError, program};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use tokio::process::Command;

/// A program with the libraries that it needs, the loader among them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) program: PathBuf,
    pub(super) libraries: BTreeSet<PathBuf>,
}

const WORKSPACE: &str = "lockkeeper-workspace";
/// Where the loader finds libraries that lie in none of its own places.
const LOADER_CACHE: &str = "/etc/ld.so.cache";
const PLACES: &[&str] = &["/bin", "/usr/bin", "/usr/local/bin"];

/// The workspace program: the one that was named, else the one that `scripts/workspace-static` made, else the one beside
/// this program where it is linked statically.
pub(super) fn workspace(named: Option<&Path>, executable: &Path) -> Result<PathBuf> {
    let candidates = match (named, executable.parent()) {
        (Some(named), _) => vec![named.to_owned()],
        (None, Some(folder)) => vec![folder.join("../static").join(WORKSPACE), folder.join(WORKSPACE)],
        (None, None) => Vec::new(),
    };
    first_static(&candidates).with_context(|| {
        let looked = shown(&candidates);
        format!(
            "no statically linked {WORKSPACE} is at {looked}: build it with `./scripts/workspace-static`, or name it by \
             --workspace FILE"
        )
    })
}

/// The shell: the one that was named, else a busybox.
pub(super) fn shell(named: Option<&Path>) -> Result<PathBuf> {
    let candidates = match named {
        Some(named) => vec![named.to_owned()],
        None => PLACES.iter().map(|place| Path::new(place).join("busybox")).collect(),
    };
    first_static(&candidates).with_context(|| {
        let looked = shown(&candidates);
        format!(
            "no statically linked shell is at {looked}: install one (Debian and Ubuntu: `apt-get install busybox-static`; \
             Alpine: `apk add busybox-static`; Fedora: `dnf install busybox`), or name one by --shell FILE"
        )
    })
}

/// The programs that a busybox is; none for any other shell.
pub(super) async fn applets(shell: &Path) -> Result<Vec<String>> {
    if shell.file_name() != Some(OsStr::new("busybox")) {
        return Ok(Vec::new());
    }
    let said = said(Command::new(shell).arg("--list")).await?;
    Ok(said.lines().map(str::to_owned).collect())
}

/// A Node.js by its name or its path.
pub(super) async fn node(named: &Path) -> Result<Node> {
    let path = if named.components().count() > 1 {
        Some(named.to_owned())
    } else {
        PLACES.iter().map(|place| Path::new(place).join(named)).find(|path| path.is_file())
    };
    let places = PLACES.join(", ");
    let path = path.with_context(|| {
        format!("there is no {} in {places}: install Node.js, or name it by --with-node=FILE", named.display())
    })?;
    // Where a link leads to counts: libraries lie beside the program itself.
    let program = fs::canonicalize(&path).with_context(|| format!("{} cannot be found", path.display()))?;
    if is_static(&program)? {
        return Ok(Node { program, libraries: BTreeSet::new() });
    }
    let said = said(Command::new("ldd").arg(&program)).await?;
    let mut libraries = libraries(&said)?;
    libraries.extend([PathBuf::from(LOADER_CACHE)].into_iter().filter(|cache| cache.is_file()));
    Ok(Node { program, libraries })
}

/// The paths that `ldd` tells.
fn libraries(said: &str) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    for line in said.lines().map(str::trim) {
        let (name, rest) = line.split_once("=>").unwrap_or((line, line));
        ensure!(!rest.contains("not found"), "the library {} is missing on this machine", name.trim());
        // The kernel's own has an address and no path.
        let path = rest.split_whitespace().next().filter(|path| path.starts_with('/'));
        found.extend(path.map(PathBuf::from));
    }
    ensure!(!found.is_empty(), "`ldd` tells no library: {said}");
    Ok(found)
}

async fn said(command: &mut Command) -> Result<String> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await;
    let output = output.with_context(|| format!("`{name}` cannot be run"))?;
    if !output.status.success() {
        bail!("`{name}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first that is there and needs no libraries. One that was named alone says what is wrong with it.
fn first_static(candidates: &[PathBuf]) -> Result<PathBuf> {
    let mut why = None;
    for path in candidates {
        match is_static(path) {
            Ok(true) => return Ok(path.clone()),
            Ok(false) => why = Some(anyhow::anyhow!("{} is not linked statically", path.display())),
            Err(error) => why = why.or(Some(error.into())),
        }
    }
    Err(why.unwrap_or_else(|| anyhow::anyhow!("there is nowhere to look")))
}

fn is_static(path: &Path) -> Result<bool, ImageError> {
    Ok(program(path)?.is_static)
}

fn shown(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_are_read_out_of_what_ldd_says() {
        let said = "\tlinux-vdso.so.1 (0x00007f1edbe15000)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f1)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f1edbe17000)\n";
        let found = libraries(said).expect("libraries");
        let expected = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"];
        assert_eq!(found, expected.map(PathBuf::from).into());
        let missing = libraries("\tlibx.so => not found\n").expect_err("one is missing");
        assert!(missing.to_string().contains("libx.so"), "{missing}");
        assert!(libraries("\tstatically linked\n").is_err());
    }

    #[test]
    fn what_is_missing_is_told_with_the_command_that_provides_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let workspace = format!("{:#}", workspace(None, &dir.path().join("lockkeeper")).expect_err("not there"));
        assert!(workspace.contains("./scripts/workspace-static"), "{workspace}");
        let itself = std::env::current_exe().expect("it runs");
        let shell = format!("{:#}", shell(Some(&itself)).expect_err("it is linked dynamically"));
        assert!(shell.contains("busybox-static") && shell.contains("is not linked statically"), "{shell}");
    }
}
