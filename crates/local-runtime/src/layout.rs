//! What of the machine a sandbox sees: one description, which namespaces mount and Landlock allows.

use crate::{
    config::Config,
    state_dir::SandboxDir,
    wire::{Entry, Variant},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

const SYSTEM: [&str; 9] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store"];

/// What programs need of `/etc`: where libraries, certificates and time zones are. Nothing that speaks of this host or its
/// users.
const ETC: [&str; 13] = [
    "/etc/alternatives",
    "/etc/ca-certificates",
    "/etc/crypto-policies",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/pki",
    "/etc/protocols",
    "/etc/ssl",
];
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];
const SYSTEM_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const SHM_BYTES: u64 = 16 << 20;

/// What stands for the workspace's path in a command's arguments.
const PLACEHOLDER: &str = "{workspace}";

/// The file system tree of a sandbox.
pub(crate) fn tree(config: &Config, variant: Variant, sandbox: &SandboxDir) -> Vec<Entry> {
    let mut tree: Vec<_> = SYSTEM.iter().chain(&ETC).filter_map(|path| of_host(Path::new(path))).collect();
    tree.extend(DEVICES.iter().map(|path| Entry::Device { path: path.into() }));
    tree.push(Entry::Proc { path: "/proc".into() });
    if variant.has_root() {
        tree.extend(["passwd", "group", "hosts"].map(|name| Entry::Bind {
            source: sandbox.etc().join(name),
            target: Path::new("/etc").join(name),
            writable: false,
        }));
        tree.extend(
            [("/dev/fd", ""), ("/dev/stdin", "/0"), ("/dev/stdout", "/1"), ("/dev/stderr", "/2")]
                .map(|(path, file)| Entry::Link { path: path.into(), to: format!("/proc/self/fd{file}").into() }),
        );
        tree.push(Entry::Tmpfs { path: "/tmp".into(), bytes: config.tmp_bytes });
        tree.push(Entry::Tmpfs { path: "/dev/shm".into(), bytes: SHM_BYTES });
    } else {
        tree.push(Entry::Bind { source: sandbox.tmp(), target: sandbox.tmp(), writable: true });
    }
    let extra = config.programs.iter().chain(&config.read_only);
    let covered = |path: &Path| SYSTEM.iter().any(|system| path.starts_with(system));
    tree.extend(extra.filter(|path| path.exists() && !covered(path)).map(|path| read_only(path)));
    let target = directory(variant, sandbox);
    tree.push(Entry::Bind { source: sandbox.workspace(), target, writable: true });
    tree
}

/// Where a command finds its workspace, which is its working directory.
pub(crate) fn directory(variant: Variant, sandbox: &SandboxDir) -> PathBuf {
    if variant.has_root() { "/workspace".into() } else { sandbox.workspace() }
}

/// The environment that every command has.
pub(crate) fn environment(config: &Config, variant: Variant, sandbox: &SandboxDir) -> BTreeMap<String, String> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let path = config.programs.iter().map(|path| text(path.clone()) + ":").collect::<String>() + SYSTEM_PATH;
    let mut env = BTreeMap::from([
        ("PATH".into(), path),
        ("HOME".into(), text(directory(variant, sandbox))),
        ("LANG".into(), "C.UTF-8".into()),
    ]);
    if !variant.has_root() {
        env.insert("TMPDIR".into(), text(sandbox.tmp()));
    }
    env
}

/// The command with the workspace's path in place of `{workspace}`.
pub(crate) fn command(command: &[String], directory: &Path) -> Vec<String> {
    let directory = directory.to_string_lossy();
    command.iter().map(|argument| argument.replace(PLACEHOLDER, &directory)).collect()
}

fn of_host(path: &Path) -> Option<Entry> {
    match fs::read_link(path) {
        // A link of the host's root leads to another entry, and one of its `/etc` may lead anywhere.
        Ok(to) if SYSTEM.iter().any(|system| Path::new(system) == path) => Some(Entry::Link { path: path.into(), to }),
        Ok(_) => {
            let source = fs::canonicalize(path).ok()?;
            Some(Entry::Bind { source, target: path.into(), writable: false })
        }
        Err(_) => path.exists().then(|| read_only(path)),
    }
}

fn read_only(path: &Path) -> Entry {
    Entry::Bind { source: path.into(), target: path.into(), writable: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_placeholder_becomes_the_workspace_wherever_it_stands() {
        let given = ["serve", "--root", "{workspace}", "--log={workspace}/log"].map(String::from);
        let made = command(&given, Path::new("/workspace"));
        assert_eq!(made, ["serve", "--root", "/workspace", "--log=/workspace/log"]);
    }
}
