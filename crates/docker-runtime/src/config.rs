use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// Settings of the Docker runtime. Sizes are in bytes, and limits are per sandbox unless they say otherwise.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the engine listens, in the manner of `DOCKER_HOST`: `unix:///var/run/docker.sock`. Others are
    /// `tcp://HOST:PORT` and `http://HOST:PORT`. Neither is encrypted: to an engine elsewhere, forward its socket through
    /// `ssh -L`.
    pub host: String,
    /// The image of sandboxes, by name and tag or by digest. It is never pulled: `lockkeeper/sandbox:VERSION`, which
    /// `lockkeeper image build` makes.
    pub image: String,
    /// Whose containers these are: two deployments that share an engine need two names. `lockkeeper`.
    pub deployment: String,
    /// Which server process this is, for people who look at the containers: drawn at random when it is empty.
    pub instance: String,
    /// The engine's OCI runtime: `runc`. `runsc` is gVisor.
    pub runtime: String,
    /// Where the filter of system calls lies on the engine's machine, as `lockkeeper image seccomp` writes it. Docker gets
    /// the filter with each container and needs no file; Podman takes nothing but a path. Empty: none.
    pub seccomp_file: String,
    /// Memory, without swap: 512 MiB. What lies in the workspace and in `/tmp` counts as memory.
    pub memory_bytes: u64,
    /// CPU time in thousandths of a core: 500.
    pub cpu_millis: u64,
    /// Processes and threads: 128.
    pub pids: u64,
    /// Open files of each process: 1024.
    pub open_files: u64,
    /// What the workspace may hold: 128 MiB.
    pub workspace_bytes: u64,
    /// How many files and directories the workspace may hold: 16384.
    pub workspace_files: u64,
    /// What `/tmp`, and each of `writable_paths`, may hold: 64 MiB.
    pub tmp_bytes: u64,
    /// How many files and directories `/tmp`, and each of `writable_paths`, may hold: 4096.
    pub tmp_files: u64,
    /// What `/dev/shm` may hold: 16 MiB.
    pub shm_bytes: u64,
    /// How many files `/dev/shm` may hold: 1024.
    pub shm_files: u64,
    /// What the home directory of each MCP server may hold, its `TMPDIR` included: 32 MiB.
    pub home_bytes: u64,
    /// How many files and directories the home directory of each MCP server may hold: 4096.
    pub home_files: u64,
    /// Other directories that a sandbox's processes may write to, for images that need them: none.
    pub writable_paths: Vec<String>,
    /// Whether programs and native libraries that lie in the workspace, in `/tmp` or in `writable_paths` may be executed:
    /// no.
    pub executable_workspace: bool,
    /// How long the start of a sandbox or of a process in it may take, in milliseconds: 10000. It does not count while
    /// others start.
    pub start_timeout_ms: u64,
    /// How long any other request to the engine may take, in milliseconds: 5000.
    pub api_timeout_ms: u64,
    /// How often the engine is asked whether it is there, in milliseconds: 2000.
    pub ping_ms: u64,
    /// How long it may take to answer that before it counts as away, in milliseconds: 1000. While it is away, sandboxes and
    /// their MCP servers are left as they are.
    pub away_after_ms: u64,
    /// How long it may take until a process that was killed, or a sandbox that was stopped, has ended, in milliseconds:
    /// 10000. A process that outlives it takes its sandbox with it.
    pub stop_timeout_ms: u64,
    /// How many sandboxes may be starting at once; others wait for their turn: 4.
    pub starts_at_once: usize,
    /// How many sandboxes may be removed at once; others wait for their turn: 4. Some engines hang for good when it is
    /// many.
    pub removals_at_once: usize,
    /// How many processes may be starting at once in one sandbox; others wait for their turn: 4.
    pub execs_at_once: usize,
    /// A sandbox ends when it is this old, whatever happens, in seconds: 86400.
    pub max_life_secs: u64,
    /// A sandbox ends when its server has not been heard for this long, in seconds: 900.
    pub idle_secs: u64,
    /// How many MCP servers may run in one sandbox, each as a user of its own: 16.
    pub servers: u32,
    /// Sandboxes take their users from this number on, one for each of `servers` and one for their group: 100000.
    pub uid_base: u32,
    /// How many such users there are: 65536.
    pub uid_count: u32,
}

impl Default for Config {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            host: "unix:///var/run/docker.sock".into(),
            image: concat!("lockkeeper/sandbox:", env!("CARGO_PKG_VERSION")).into(),
            deployment: "lockkeeper".into(),
            instance: String::new(),
            runtime: "runc".into(),
            seccomp_file: String::new(),
            memory_bytes: 512 * MIB,
            cpu_millis: 500,
            pids: 128,
            open_files: 1024,
            workspace_bytes: 128 * MIB,
            workspace_files: 16_384,
            tmp_bytes: 64 * MIB,
            tmp_files: 4096,
            shm_bytes: 16 * MIB,
            shm_files: 1024,
            home_bytes: 32 * MIB,
            home_files: 4096,
            writable_paths: Vec::new(),
            executable_workspace: false,
            start_timeout_ms: 10_000,
            api_timeout_ms: 5000,
            ping_ms: 2000,
            away_after_ms: 1000,
            stop_timeout_ms: 10_000,
            starts_at_once: 4,
            removals_at_once: 4,
            execs_at_once: 4,
            max_life_secs: 86_400,
            idle_secs: 900,
            servers: 16,
            uid_base: 100_000,
            uid_count: 65_536,
        }
    }
}

impl Config {
    /// What is wrong with it, all at once; empty when nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.limits_out_of_range();
        let scheme = self.host.split_once("://").map_or("", |(scheme, _)| scheme);
        if ["https", "ssh"].contains(&scheme) {
            problems.push(format!(
                "host is {:?}, which is not spoken: forward the engine's socket with `ssh -L`",
                self.host
            ));
        } else if !["unix", "tcp", "http"].contains(&scheme) {
            problems
                .push(format!("host is {:?} and must be unix://PATH, tcp://HOST:PORT or http://HOST:PORT", self.host));
        }
        for (name, value) in [("image", &self.image), ("runtime", &self.runtime)] {
            if value.is_empty() || value.starts_with('-') || value.contains(char::is_whitespace) {
                problems.push(format!("{name} is {value:?} and must be a name"));
            }
        }
        if !self.seccomp_file.is_empty() && !self.seccomp_file.starts_with('/') {
            problems.push(format!("seccomp_file is {:?} and must be an absolute path", self.seccomp_file));
        }
        let is_name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
        if self.deployment.is_empty() || self.deployment.len() > 64 || !is_name(&self.deployment) {
            problems.push("deployment must be 1 to 64 characters out of A-Z, a-z, 0-9, '_', '.' and '-'".into());
        }
        if self.instance.len() > 128 || !is_name(&self.instance) {
            problems.push("instance must be up to 128 characters out of A-Z, a-z, 0-9, '_', '.' and '-'".into());
        }
        // One home: a server can fill its own alone.
        let held = [self.workspace_bytes, self.tmp_bytes, self.shm_bytes, self.home_bytes];
        let held = held.into_iter().fold(0, u64::saturating_add);
        let held = held.saturating_add(self.tmp_bytes.saturating_mul(self.writable_paths.len() as u64));
        if held >= self.memory_bytes {
            problems.push(format!(
                "memory_bytes is {} and must be more than what the file systems in memory may hold, which is {held}",
                self.memory_bytes
            ));
        }
        for path in &self.writable_paths {
            let plain = path.starts_with('/') && path.len() > 1 && !path.split('/').any(|part| part == "..");
            if !plain || path.contains(char::is_whitespace) || OURS.contains(&path.trim_end_matches('/')) {
                problems.push(format!("writable_paths has {path:?}, which must be an absolute path of its own"));
            }
        }
        if !(1..=MOST_SERVERS).contains(&self.servers) {
            problems.push(format!("servers is {} and must be at least 1 and at most {MOST_SERVERS}", self.servers));
        } else if self.uid_count < self.users_of_a_sandbox() {
            problems.push(format!(
                "uid_count is {} and must be at least {}, which is what one sandbox takes: servers and one more",
                self.uid_count,
                self.users_of_a_sandbox()
            ));
        }
        let users = u64::from(self.uid_base)..u64::from(self.uid_base) + u64::from(self.uid_count);
        if users.end >= u64::from(u32::MAX) {
            problems.push("uid_base and uid_count together exceed the highest user id".into());
        }
        if users.contains(&u64::from(crate::profile::HOLDER)) {
            problems.push(format!(
                "uid_base and uid_count include {}, which keeps the containers themselves running",
                crate::profile::HOLDER
            ));
        }
        problems
    }

    /// How many users a sandbox takes: the first is the group that its servers share, and the others are theirs.
    pub(crate) fn users_of_a_sandbox(&self) -> u32 {
        self.servers.saturating_add(1)
    }

    pub(crate) fn start_timeout(&self) -> Duration {
        Duration::from_millis(self.start_timeout_ms)
    }

    pub(crate) fn api_timeout(&self) -> Duration {
        Duration::from_millis(self.api_timeout_ms)
    }

    pub(crate) fn ping(&self) -> Duration {
        Duration::from_millis(self.ping_ms)
    }

    pub(crate) fn away_after(&self) -> Duration {
        Duration::from_millis(self.away_after_ms)
    }

    pub(crate) fn stop_timeout(&self) -> Duration {
        Duration::from_millis(self.stop_timeout_ms)
    }

    fn limits_out_of_range(&self) -> Vec<String> {
        let limits = [
            ("memory_bytes", self.memory_bytes, 16 << 20),
            ("cpu_millis", self.cpu_millis, 10),
            ("pids", self.pids, 16),
            ("open_files", self.open_files, 32),
            ("workspace_bytes", self.workspace_bytes, 64 << 10),
            ("workspace_files", self.workspace_files, 16),
            ("tmp_bytes", self.tmp_bytes, 64 << 10),
            ("tmp_files", self.tmp_files, 16),
            ("shm_bytes", self.shm_bytes, 64 << 10),
            ("shm_files", self.shm_files, 16),
            ("home_bytes", self.home_bytes, 64 << 10),
            ("home_files", self.home_files, 16),
            ("start_timeout_ms", self.start_timeout_ms, 1),
            ("api_timeout_ms", self.api_timeout_ms, 1),
            ("ping_ms", self.ping_ms, 10),
            ("away_after_ms", self.away_after_ms, 10),
            ("stop_timeout_ms", self.stop_timeout_ms, 1),
            ("starts_at_once", self.starts_at_once as u64, 1),
            ("removals_at_once", self.removals_at_once as u64, 1),
            ("execs_at_once", self.execs_at_once as u64, 1),
            ("max_life_secs", self.max_life_secs, 60),
            ("idle_secs", self.idle_secs, 3),
            ("uid_base", self.uid_base.into(), 1),
            ("uid_count", self.uid_count.into(), 1),
        ];
        let most = i64::MAX as u64 / 1_000_000;
        limits
            .into_iter()
            .filter(|(_, value, least)| !(*least..=most).contains(value))
            .map(|(name, value, least)| format!("{name} is {value} and must be at least {least} and at most {most}"))
            .collect()
    }
}

/// What the profile mounts by itself.
const OURS: [&str; 5] = ["/workspace", "/tmp", "/dev/shm", "/home", "/run/lockkeeper"];
/// Each has a mount of its own in every sandbox.
const MOST_SERVERS: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem() {
        assert_eq!(Config::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let config = Config {
            host: "npipe://x".into(),
            pids: 0,
            uid_base: 65_000,
            uid_count: 1000,
            memory_bytes: 100 << 20,
            writable_paths: vec!["/a/../b".into()],
            deployment: "two words".into(),
            ..Config::default()
        };
        assert_eq!(config.problems().len(), 6, "{:?}", config.problems());
    }

    #[test]
    fn a_host_that_is_not_spoken_to_has_another_way() {
        for host in ["https://engine:2376", "ssh://engine"] {
            let problems = Config { host: host.into(), ..Config::default() }.problems();
            assert!(problems.len() == 1 && problems[0].contains("ssh -L"), "{problems:?}");
        }
    }

    #[test]
    fn an_unknown_setting_is_an_error() {
        let error = serde_json::from_str::<Config>(r#"{"memory": 1}"#).expect_err("unknown key");
        assert!(error.to_string().contains("unknown field"), "{error}");
    }
}
