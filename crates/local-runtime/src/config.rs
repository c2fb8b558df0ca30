use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, time::Duration};

/// Which kind of isolation is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IsolationChoice {
    /// The first of the others that works on this machine, in the order in which they stand here.
    #[default]
    Auto,
    /// Namespaces made by `bwrap`.
    Bubblewrap,
    /// Namespaces made by the launcher itself.
    Namespaces,
    /// Landlock and seccomp, without namespaces.
    Landlock,
    /// Resource limits alone: nothing isolates.
    None,
}

const SYSTEM: [&str; 8] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store"];

/// Settings of the local runtime. Sizes are in bytes, and limits are per sandbox unless they say otherwise.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the sandboxes' directories lie: `.lockkeeper/sandboxes` below the server's working directory. It must
    /// belong to the server's user, and nobody else may be able to write to it. When the server runs as root and
    /// namespaces are not to be had, all its parents must be searchable by others.
    pub state_dir: PathBuf,
    /// The program whose `main` hands over to [`launcher_main`](crate::launcher_main) when its first argument is
    /// `__sandbox`: the server's own executable.
    pub launcher: Option<PathBuf>,
    /// Which kind of isolation is wanted: `auto`.
    pub isolation: IsolationChoice,
    /// The `bwrap` to use: the one in `/usr/bin`, `/usr/local/bin` or `/bin`.
    pub bubblewrap: Option<PathBuf>,
    /// The cgroup (a directory of a cgroup v2 hierarchy) below which sandboxes get theirs. By default the server's own
    /// and its parent are tried, in version 2 and in version 1.
    pub cgroup_parent: Option<PathBuf>,
    /// Directories of the system that sandboxes may read and execute, where they exist: `/usr`, `/bin`, `/sbin`, `/lib`,
    /// `/lib32`, `/lib64`, `/libx32`, and `/nix/store`. A few files of `/etc` are always visible.
    pub system_paths: Vec<PathBuf>,
    /// Files and directories below `system_paths` that sandboxes do not see: `/usr/local/etc`.
    pub hidden_paths: Vec<PathBuf>,
    /// Other files and directories of the host that sandboxes may read and execute, at the same path, such as
    /// `/opt/mcp`: none. They are visible below `hidden_paths`, too.
    pub read_only: Vec<PathBuf>,
    /// Directories that are treated as those of `read_only` and also come first in `PATH`: none.
    pub programs: Vec<PathBuf>,
    /// Memory, swap included: 512 MiB. Without a cgroup this is the data segment of each process.
    pub memory_bytes: u64,
    /// Processes and threads: 128. Without a cgroup this is per command, or per user where there are no namespaces.
    pub pids: u64,
    /// CPU time in thousandths of a core: 1000. Needs a cgroup.
    pub cpu_millis: u64,
    /// Open files of each process: 1024.
    pub open_files: u64,
    /// The largest file that can be written: 64 MiB.
    pub file_bytes: u64,
    /// What the workspace may hold: 128 MiB.
    pub workspace_bytes: u64,
    /// How many files and directories the workspace may hold: 16384.
    pub workspace_files: u64,
    /// What `/tmp` and the home directory of a process may hold, each, where they are file systems of their own: 64 MiB.
    /// They count as memory.
    pub tmp_bytes: u64,
    /// How often the size of a workspace is checked that the kernel does not bound, in milliseconds: 1000.
    pub workspace_check_ms: u64,
    /// How long it may take until a command runs, in milliseconds: 10000. It does not count while others start.
    pub start_timeout_ms: u64,
    /// How many commands may be starting at once; others wait for their turn: 8. A start is work for the kernel, which
    /// gains nothing from doing more of it side by side.
    pub starts_at_once: usize,
    /// How long it may take until a sandbox's processes have ended, in milliseconds: 10000.
    pub stop_timeout_ms: u64,
    /// When the server runs as root, sandboxes run as users from this number on, each as another: 1900000000, which lies
    /// beyond what distributions hand out.
    pub uid_base: u32,
    /// How many such users there are: 65536.
    pub uid_count: u32,
}

impl Default for Config {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            state_dir: ".lockkeeper/sandboxes".into(),
            launcher: None,
            isolation: IsolationChoice::Auto,
            bubblewrap: None,
            cgroup_parent: None,
            system_paths: SYSTEM.map(PathBuf::from).into(),
            hidden_paths: vec!["/usr/local/etc".into()],
            read_only: Vec::new(),
            programs: Vec::new(),
            memory_bytes: 512 * MIB,
            pids: 128,
            cpu_millis: 1000,
            open_files: 1024,
            file_bytes: 64 * MIB,
            workspace_bytes: 128 * MIB,
            workspace_files: 16_384,
            tmp_bytes: 64 * MIB,
            workspace_check_ms: 1000,
            start_timeout_ms: 10_000,
            starts_at_once: 8,
            stop_timeout_ms: 10_000,
            uid_base: 1_900_000_000,
            uid_count: 65_536,
        }
    }
}

impl Config {
    /// What is wrong with it, all at once; empty when nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut at_least = |name: &str, value: u64, least: u64| {
            if value < least {
                problems.push(format!("{name} is {value} and must be at least {least}"));
            }
        };
        at_least("memory_bytes", self.memory_bytes, 16 << 20);
        at_least("pids", self.pids, 8);
        at_least("cpu_millis", self.cpu_millis, 10);
        at_least("open_files", self.open_files, 32);
        at_least("file_bytes", self.file_bytes, 4096);
        at_least("workspace_bytes", self.workspace_bytes, 64 << 10);
        at_least("workspace_files", self.workspace_files, 16);
        at_least("tmp_bytes", self.tmp_bytes, 64 << 10);
        at_least("workspace_check_ms", self.workspace_check_ms, 10);
        at_least("start_timeout_ms", self.start_timeout_ms, 1);
        at_least("starts_at_once", self.starts_at_once as u64, 1);
        at_least("stop_timeout_ms", self.stop_timeout_ms, 1);
        at_least("uid_base", self.uid_base.into(), 1);
        at_least("uid_count", self.uid_count.into(), 1);
        if self.uid_base.checked_add(self.uid_count).is_none_or(|end| end == u32::MAX) {
            problems.push("uid_base and uid_count together exceed the highest user id".into());
        }
        let paths = [&self.system_paths, &self.hidden_paths, &self.read_only, &self.programs];
        for path in paths.into_iter().flatten() {
            if !path.is_absolute() || path.components().any(|part| part.as_os_str() == "..") {
                problems.push(format!("{} must be an absolute path without `..`", path.display()));
            }
        }
        problems
    }

    pub(crate) fn start_timeout(&self) -> Duration {
        Duration::from_millis(self.start_timeout_ms)
    }

    pub(crate) fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.stop_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let config = Config { pids: 0, uid_base: u32::MAX, read_only: vec!["a/../b".into()], ..Config::default() };
        assert_eq!(config.problems().len(), 3, "{:?}", config.problems());
    }

    #[test]
    fn an_unknown_setting_is_an_error() {
        let error = serde_json::from_str::<Config>(r#"{"memory": 1}"#).expect_err("unknown key");
        assert!(error.to_string().contains("unknown field"), "{error}");
    }
}
