//! What a container may be: the whole of what the engine is asked for, in one place.

use crate::{
    config::Config,
    engine::Dialect,
    names::{self, Labels, Names},
};
use bollard::models::{
    ContainerCreateBody, ExecConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};
use lockkeeper_domain::Timestamp;
use lockkeeper_ports::ExecSpec;
use secrecy::ExposeSecret;
use std::collections::{BTreeMap, HashMap};

/// The user of the container's main process. No MCP server runs as this one, so none can signal or read it.
pub(crate) const HOLDER: u32 = 65_532;
/// What every image of sandboxes has.
pub(crate) const WORKSPACE_BINARY: &str = "/usr/local/bin/lockkeeper-workspace";
/// Where a process of a sandbox finds its workspace, which is its working directory.
pub(crate) const WORKSPACE: &str = "/workspace";

/// The system calls that are allowed; all others fail. Of our own making, see docs/adr/0013.
pub(crate) const SECCOMP: &str = include_str!("seccomp.json");
/// Raised with every change to what a container may.
const VERSION: &str = "2";
/// Holds the accounts of a sandbox's users, to which the image's `/etc/passwd` and `/etc/group` are links.
const ACCOUNTS: &str = "/run/lockkeeper";
const ACCOUNTS_BYTES: u64 = 256 << 10;
/// What stands for the workspace's path in a command's arguments and variables.
const PLACEHOLDER: &str = "{workspace}";
/// Nothing of the host's hardware, timers or keys can be read there.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// Of processes of one user. The holder's is the same in all sandboxes, so this is for their number and no sandbox's limit.
const PROCESSES_OF_A_USER: u64 = 32_768;
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A container with its processes' user, for a session or to be kept in reserve.
pub(crate) fn container(
    (config, dialect): (&Config, Dialect),
    names: &Names,
    instance: &str,
    user: u32,
    now: Timestamp,
) -> ContainerCreateBody {
    let texts = |items: &[&str]| Some(items.iter().map(ToString::to_string).collect::<Vec<_>>());
    ContainerCreateBody {
        image: Some(config.image.clone()),
        user: Some(format!("{HOLDER}:{HOLDER}")),
        entrypoint: texts(&[WORKSPACE_BINARY]),
        cmd: Some(hold(config, user)),
        working_dir: Some(WORKSPACE.into()),
        env: Some(Vec::new()),
        tty: Some(false),
        open_stdin: Some(false),
        // Spares some engines 90 ms of setting up what `none` then leaves out.
        network_disabled: Some(true),
        stop_signal: Some("SIGTERM".into()),
        stop_timeout: Some(2),
        labels: Some(labels(config, names, instance, user, now)),
        host_config: Some(host_config(config, dialect, user)),
        ..ContainerCreateBody::default()
    }
}

/// The command of the main process.
fn hold(config: &Config, user: u32) -> Vec<String> {
    // One that waits for a session has the session's time from the beginning: nothing can change it later.
    let (max_life, idle) = (config.max_life_secs.to_string(), config.idle_secs.to_string());
    let (first, servers) = (user.to_string(), config.servers.to_string());
    let limits = ["hold", "--max-life", &max_life, "--idle", &idle];
    let accounts = ["--accounts", ACCOUNTS, "--first-user", &first, "--servers", &servers];
    let shared = [WORKSPACE].into_iter().chain(config.writable_paths.iter().map(String::as_str));
    let shared = shared.flat_map(|path| ["--share", path]);
    limits.into_iter().chain(accounts).chain(shared).map(String::from).collect()
}

/// The identity of an MCP server within its sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The group that the sandbox's servers share.
    pub(crate) group: u32,
    /// The server's number in the sandbox, from 1 on.
    pub(crate) number: u32,
}

impl Identity {
    fn user(self) -> u32 {
        self.group.saturating_add(self.number)
    }

    fn home(self) -> String {
        format!("/home/{}", self.number)
    }

    /// User and primary group. Docker gives the shared group to each process besides; Podman does so only for the
    /// container's own user, and its file systems in memory cannot pass on a group.
    fn user_and_group(self, dialect: Dialect) -> String {
        match dialect {
            Dialect::Docker => format!("{0}:{0}", self.user()),
            Dialect::Podman => format!("{}:{}", self.user(), self.group),
        }
    }
}

/// Ends every process of one server, whatever became of its supervisor.
pub(crate) fn sweep(identity: Identity, dialect: Dialect) -> ExecConfig {
    ExecConfig {
        user: Some(identity.user_and_group(dialect)),
        privileged: Some(false),
        working_dir: Some("/".into()),
        env: Some(Vec::new()),
        cmd: Some([WORKSPACE_BINARY, "sweep"].map(String::from).into()),
        ..ExecConfig::default()
    }
}

/// A process of a sandbox, under the supervisor that ends whatever it starts. Its environment is in no description that
/// the engine keeps.
pub(crate) fn exec(spec: &ExecSpec, identity: Identity, dialect: Dialect) -> ExecConfig {
    let (home, group) = (identity.home(), identity.group.to_string());
    let temporary = format!("{home}/tmp");
    let mut env: BTreeMap<&str, &str> = BTreeMap::from([("HOME", &*home), ("TMPDIR", &temporary), ("LANG", "C.UTF-8")]);
    let given: Vec<_> =
        spec.env.iter().map(|(name, value)| (name, value.expose_secret().replace(PLACEHOLDER, WORKSPACE))).collect();
    env.extend(given.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let supervisor = [WORKSPACE_BINARY, "run", "--framed", "--grace-ms", "0", "--home", &home, "--group", &group, "--"];
    let supervisor = supervisor.map(String::from);
    let command = spec.command.iter().map(|argument| argument.replace(PLACEHOLDER, WORKSPACE));
    ExecConfig {
        user: Some(identity.user_and_group(dialect)),
        privileged: Some(false),
        tty: Some(false),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        working_dir: Some(WORKSPACE.into()),
        env: Some(env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: Some(supervisor.into_iter().chain(command).collect()),
        ..ExecConfig::default()
    }
}

/// What is wrong with an image whose workspace program does not understand this version.
pub(crate) fn old_binary(image: &str) -> String {
    format!("the {WORKSPACE_BINARY} of the image {image} is of another version: build it with `lockkeeper image build`")
}

/// What is wrong with an image that is none of sandboxes.
pub(crate) fn no_binary(image: &str) -> String {
    format!("the image {image} has no {WORKSPACE_BINARY} that runs: build it with `lockkeeper image build`")
}

fn labels(config: &Config, names: &Names, instance: &str, user: u32, now: Timestamp) -> Labels {
    let created = now.as_millis() / 1000;
    let expires = created.saturating_add_unsigned(config.max_life_secs);
    HashMap::from(
        [
            (names::OWNER, names.deployment().to_owned()),
            (names::INSTANCE, instance.to_owned()),
            (names::CREATED, created.to_string()),
            (names::EXPIRES, expires.to_string()),
            (names::PROFILE, VERSION.to_owned()),
            (names::USER, user.to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    )
}

fn host_config(config: &Config, dialect: Dialect, user: u32) -> HostConfig {
    let texts = |items: &[&str]| Some(items.iter().map(ToString::to_string).collect::<Vec<_>>());
    let filter = if dialect == Dialect::Podman { &config.seccomp_file } else { SECCOMP };
    HostConfig {
        init: Some(true),
        auto_remove: Some(true),
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        runtime: Some(config.runtime.clone()),
        network_mode: Some("none".into()),
        ipc_mode: Some("private".into()),
        cgroupns_mode: Some(HostConfigCgroupnsModeEnum::PRIVATE),
        pid_mode: Some(String::new()),
        uts_mode: Some(String::new()),
        userns_mode: Some(String::new()),
        privileged: Some(false),
        readonly_rootfs: Some(true),
        cap_drop: texts(&["ALL"]),
        cap_add: Some(Vec::new()),
        devices: Some(Vec::new()),
        binds: Some(Vec::new()),
        // The workspace's group, for every process of the container.
        group_add: Some(vec![user.to_string()]),
        security_opt: Some(vec!["no-new-privileges:true".into(), format!("seccomp={filter}")]),
        memory: Some(signed(config.memory_bytes)),
        // As much as the memory: no swap.
        memory_swap: Some(signed(config.memory_bytes)),
        memory_reservation: Some(signed(config.memory_bytes / 2)),
        // Before the server, when the machine itself has no memory left.
        oom_score_adj: Some(500),
        oom_kill_disable: Some(false),
        nano_cpus: Some(signed(config.cpu_millis) * 1_000_000),
        cpu_shares: Some(256),
        pids_limit: Some(signed(config.pids)),
        // Not RLIMIT_NPROC, which counts a user's processes in all containers; not RLIMIT_FSIZE, which kills.
        ulimits: Some(ulimits(config, dialect)),
        tmpfs: Some(tmpfs(config, dialect, user)),
        log_config: Some(HostConfigLogConfig { typ: Some("none".into()), config: None }),
        masked_paths: texts(&MASKED),
        readonly_paths: texts(&READ_ONLY),
        ..HostConfig::default()
    }
}

fn ulimits(config: &Config, dialect: Dialect) -> Vec<ResourcesUlimits> {
    let mut ulimits = vec![ulimit("nofile", config.open_files), ulimit("core", 0), ulimit("memlock", 65_536)];
    if dialect == Dialect::Podman {
        // What is not named it raises to the kernel's maximum, which one that runs in a container may not.
        ulimits.push(ulimit("nproc", PROCESSES_OF_A_USER));
    }
    ulimits
}

fn tmpfs(config: &Config, dialect: Dialect, user: u32) -> HashMap<String, String> {
    let exec = if config.executable_workspace { "exec" } else { "noexec" };
    let mount = |exec: &str, bytes: u64, files: u64, access: &str| match dialect {
        Dialect::Docker => format!("rw,nosuid,nodev,{exec},size={bytes},nr_inodes={files},{access}"),
        // It refuses owners and numbers of files, and copies what the image has there unless it is told not to. Without
        // the sticky bit, servers can replace each other's files in what they share.
        Dialect::Podman => {
            let mode = if access.starts_with("mode=2770") { "0777" } else { "1777" };
            format!("rw,nosuid,nodev,{exec},size={bytes},mode={mode},notmpcopyup")
        }
    };
    // The holder's, so that no server can close it to the others.
    let shared = format!("mode=2770,uid={HOLDER},gid={user}");
    let mut tmpfs = HashMap::from([
        (WORKSPACE.to_owned(), mount(exec, config.workspace_bytes, config.workspace_files, &shared)),
        ("/tmp".to_owned(), mount(exec, config.tmp_bytes, config.tmp_files, "mode=1777")),
        ("/dev/shm".to_owned(), mount("noexec", config.shm_bytes, config.shm_files, "mode=1777")),
        (ACCOUNTS.to_owned(), mount("noexec", ACCOUNTS_BYTES, 16, &format!("mode=0755,uid={HOLDER},gid={HOLDER}"))),
    ]);
    match dialect {
        Dialect::Docker => tmpfs.extend((1..=config.servers).map(|number| {
            let identity = Identity { group: user, number };
            let own = format!("mode=0700,uid={0},gid={0}", identity.user());
            (identity.home(), mount(exec, config.home_bytes, config.home_files, &own))
        })),
        // It gives a file system to nobody but root: each server makes its home there.
        Dialect::Podman => {
            tmpfs.insert("/home".to_owned(), mount(exec, config.home_bytes, config.home_files, "mode=1777"));
        }
    }
    let writable = config.writable_paths.iter();
    tmpfs.extend(writable.map(|path| (path.clone(), mount(exec, config.tmp_bytes, config.tmp_files, &shared))));
    tmpfs
}

fn ulimit(name: &str, limit: u64) -> ResourcesUlimits {
    ResourcesUlimits { name: Some(name.into()), soft: Some(signed(limit)), hard: Some(signed(limit)) }
}

/// The configuration has been checked: nothing is as large as this.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
