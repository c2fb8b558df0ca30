//! What of the machine a sandbox sees: one description, which namespaces mount and Landlock allows.

use crate::{
    config::Config,
    state_dir::SandboxDir,
    wire::{Entry, Variant},
};
use lockkeeper_domain::ServerName;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Where each server has its home, in variants with a file system tree.
pub(crate) const HOME: &str = "/run/home";

/// Files and directories of `/proc` about the machine as a whole, which no tool server needs. They are what container
/// engines hide, and what tells of the kernel's build, addresses and devices.
const PROC: [&str; 27] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/bus",
    "/proc/config.gz",
    "/proc/fs",
    "/proc/interrupts",
    "/proc/iomem",
    "/proc/ioports",
    "/proc/irq",
    "/proc/kallsyms",
    "/proc/kcore",
    "/proc/key-users",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/kpagecgroup",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/latency_stats",
    "/proc/modules",
    "/proc/mtrr",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/slabinfo",
    "/proc/sysrq-trigger",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/vmallocinfo",
];

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

/// The file system tree of a server's processes.
pub(crate) fn tree(config: &Config, variant: Variant, sandbox: &SandboxDir, server: &ServerName) -> Vec<Entry> {
    let mut tree = system(config, variant);
    tree.extend(ETC.iter().filter_map(|path| of_host(config, Path::new(path))));
    tree.extend(DEVICES.iter().map(|path| Entry::Device { path: path.into() }));
    tree.push(Entry::Proc { path: "/proc".into() });
    if variant.has_root() {
        tree.extend(PROC.iter().filter_map(|path| masked(Path::new(path))));
        tree.extend(config.hidden_paths.iter().filter(|path| is_covered(config, path)).filter_map(|path| masked(path)));
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
        tree.push(Entry::Tmpfs { path: HOME.into(), bytes: config.tmp_bytes });
    } else {
        let own = [sandbox.home(server), sandbox.tmp(server)];
        tree.extend(own.map(|path| Entry::Bind { source: path.clone(), target: path, writable: true }));
    }
    let extra = config.programs.iter().chain(&config.read_only);
    let is_visible = |path: &Path| is_covered(config, path) && !is_hidden(config, path);
    tree.extend(extra.filter(|path| path.exists() && !is_visible(path)).map(|path| read_only(path)));
    let target = directory(variant, sandbox);
    tree.push(Entry::Bind { source: sandbox.workspace(), target, writable: true });
    tree
}

/// The system's own directories. Landlock cannot take anything away from what it grants, so there what lies beside hidden
/// paths is granted one by one.
fn system(config: &Config, variant: Variant) -> Vec<Entry> {
    let mut todo: Vec<PathBuf> = config.system_paths.iter().rev().cloned().collect();
    let mut found = Vec::new();
    while let Some(path) = todo.pop() {
        let leads_to_hidden = config.hidden_paths.iter().any(|hidden| hidden.starts_with(&path) && hidden.exists());
        if is_hidden(config, &path) {
            continue;
        }
        if variant.has_root() || !leads_to_hidden || path.is_symlink() {
            found.extend(of_host(config, &path));
        } else {
            todo.extend(fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path()));
        }
    }
    found
}

fn is_covered(config: &Config, path: &Path) -> bool {
    config.system_paths.iter().any(|system| path.starts_with(system))
}

fn is_hidden(config: &Config, path: &Path) -> bool {
    config.hidden_paths.iter().any(|hidden| path.starts_with(hidden))
}

fn masked(path: &Path) -> Option<Entry> {
    let found = fs::metadata(path).ok()?;
    Some(Entry::Masked { path: path.into(), is_directory: found.is_dir() })
}

/// Where a command finds its workspace, which is its working directory.
pub(crate) fn directory(variant: Variant, sandbox: &SandboxDir) -> PathBuf {
    if variant.has_root() { "/workspace".into() } else { sandbox.workspace() }
}

/// The environment that every command has.
pub(crate) fn environment(
    config: &Config,
    variant: Variant,
    sandbox: &SandboxDir,
    server: &ServerName,
) -> BTreeMap<String, String> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let path = config.programs.iter().map(|path| text(path.clone()) + ":").collect::<String>() + SYSTEM_PATH;
    let (home, temporary) =
        if variant.has_root() { (HOME.into(), "/tmp".into()) } else { (sandbox.home(server), sandbox.tmp(server)) };
    BTreeMap::from([
        ("PATH".into(), path),
        ("HOME".into(), text(home)),
        ("TMPDIR".into(), text(temporary)),
        ("LANG".into(), "C.UTF-8".into()),
    ])
}

/// The command with the workspace's path in place of `{workspace}`.
pub(crate) fn command(command: &[String], directory: &Path) -> Vec<String> {
    command.iter().map(|argument| filled(argument, directory)).collect()
}

/// An argument, or the value of a variable, with the workspace's path in place of `{workspace}`.
pub(crate) fn filled(text: &str, directory: &Path) -> String {
    text.replace(PLACEHOLDER, &directory.to_string_lossy())
}

fn of_host(config: &Config, path: &Path) -> Option<Entry> {
    match fs::read_link(path) {
        // A link of the host's root leads to another entry, and one of its `/etc` may lead anywhere.
        Ok(to) if config.system_paths.iter().any(|system| system == path) => {
            Some(Entry::Link { path: path.into(), to })
        }
        // A link inside of a system directory is followed by whoever reads it, if it may.
        Ok(_) if is_covered(config, path) => None,
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

    /// Covers: S3 local
    #[test]
    fn hidden_paths_are_in_no_variant() {
        let folder = tempfile::tempdir().expect("a directory");
        let root = folder.path();
        for name in ["usr/bin", "usr/local/bin", "usr/local/etc"] {
            fs::create_dir_all(root.join(name)).expect("made");
        }
        let hidden = root.join("usr/local/etc");
        let config =
            Config { system_paths: vec![root.join("usr")], hidden_paths: vec![hidden.clone()], ..Config::default() };
        let of = |variant| system(&config, variant).iter().map(|entry| entry.path().to_owned()).collect::<Vec<_>>();
        let mut granted = of(Variant::Landlock);
        granted.sort();
        assert_eq!(granted, [root.join("usr/bin"), root.join("usr/local/bin")]);
        assert_eq!(of(Variant::Namespaces), [root.join("usr")]);
        let mask = Entry::Masked { path: hidden.clone(), is_directory: true };
        assert_eq!(masked(&hidden), Some(mask));
    }

    #[test]
    fn the_placeholder_becomes_the_workspace_wherever_it_stands() {
        let given = ["serve", "--root", "{workspace}", "--log={workspace}/log"].map(String::from);
        let made = command(&given, Path::new("/workspace"));
        assert_eq!(made, ["serve", "--root", "/workspace", "--log=/workspace/log"]);
    }
}
