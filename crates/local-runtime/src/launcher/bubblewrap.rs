use super::{While, inner_arguments, namespaces::INNER_ID};
use crate::wire::{Entry, Launch};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

/// Where the launcher lies inside the sandbox, since it is the sandbox's init process.
const LAUNCHER_INSIDE: &str = "/run/lockkeeper/launcher";

/// The `bwrap` command that makes the launch's tree and namespaces and runs the inner stage as their init process.
pub(super) fn command(launch: &Launch) -> Result<Command, String> {
    let program = launch.bubblewrap.as_ref().ok_or("no bwrap is configured")?;
    let launcher = std::env::current_exe().when("finding this executable")?;
    let mut command = Command::new(program);
    command.args(["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]);
    command.args(["--as-pid-1", "--die-with-parent", "--new-session", "--hostname", "sandbox", "--cap-drop", "ALL"]);
    // The inner stage restricts some mounts, becomes an unprivileged user, and gives these up with it.
    command.args(["--cap-add", "CAP_SYS_ADMIN"]);
    if launch.privileged {
        for capability in ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"] {
            command.args(["--cap-add", capability]);
        }
    } else {
        let id = INNER_ID.to_string();
        command.args(["--unshare-user", "--uid", &id, "--gid", &id]);
    }
    let mut parents = Parents::default();
    for entry in &launch.tree {
        parents.make(&mut command, entry.path());
        match entry {
            Entry::Bind { source, target, writable } => {
                command.arg(if *writable { "--bind" } else { "--ro-bind" }).args([source, target])
            }
            Entry::Device { path } => command.arg("--dev-bind").args([path, path]),
            Entry::Link { path, to } => command.arg("--symlink").args([to, path]),
            Entry::Tmpfs { path, bytes } => {
                command.args(["--perms", "1777", "--size", &bytes.to_string(), "--tmpfs"]).arg(path)
            }
            Entry::Proc { path } => command.arg("--proc").arg(path),
            Entry::Masked { path, is_directory: true } => {
                command.args(["--perms", "0755", "--size", "65536", "--tmpfs"]).arg(path)
            }
            Entry::Masked { path, is_directory: false } => command.args(["--ro-bind", "/dev/null"]).arg(path),
        };
    }
    // What is mounted into a masked directory has found its place by now.
    for entry in &launch.tree {
        if let Entry::Masked { path, is_directory: true } = entry {
            command.arg("--remount-ro").arg(path);
        }
    }
    parents.make(&mut command, Path::new(LAUNCHER_INSIDE));
    command.arg("--ro-bind").arg(launcher).args([LAUNCHER_INSIDE, "--remount-ro", "/", "--", LAUNCHER_INSIDE]);
    command.args(inner_arguments());
    Ok(command)
}

/// Makes the directories in which something is mounted: `bwrap` does so by itself, but lets only root into them.
#[derive(Default)]
struct Parents(BTreeSet<PathBuf>);

impl Parents {
    fn make(&mut self, command: &mut Command, path: &Path) {
        let above: Vec<_> = path.ancestors().skip(1).filter(|above| *above != Path::new("/")).collect();
        for above in above.into_iter().rev() {
            if self.0.insert(above.to_owned()) {
                command.args(["--perms", "0755", "--dir"]).arg(above);
            }
        }
        // What is mounted there is a directory already.
        self.0.insert(path.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_made_once_and_what_is_mounted_is_not() {
        let mut command = Command::new("bwrap");
        let mut parents = Parents::default();
        for path in ["/tmp", "/etc/hosts", "/etc/passwd", "/tmp/a/b"] {
            parents.make(&mut command, Path::new(path));
        }
        let made: Vec<_> = command.get_args().filter(|argument| argument.as_encoded_bytes()[0] == b'/').collect();
        assert_eq!(made, ["/etc", "/tmp/a"]);
    }
}
