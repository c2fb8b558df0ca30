mod probe;
mod watch;

use crate::{
    cgroup::{Cgroups, Kind},
    config::Config,
    exec::{LaunchError, launch},
    isolation::Powers,
    layout,
    state_dir::{SandboxDir, StateDir, id_of},
    wire::{Launch, Limits, Variant},
};
use async_trait::async_trait;
use lockkeeper_domain::Timestamp;
use lockkeeper_ports::{
    Clock, Exec, ExecSpec, Isolation, ProgressSink, SandboxError, SandboxId, SandboxRuntime, SandboxSpec,
    SandboxSummary, StartProgress,
};
use secrecy::ExposeSecret;
use std::{
    fmt, io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Mutex, Semaphore},
    task::spawn_blocking,
    time::timeout,
};
use watch::Watches;

/// Why there is no local runtime.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The configuration must change.
    #[error("the local runtime's configuration: {}", .0.join("; "))]
    Config(Vec<String>),
    /// What was asked for does not work on this machine.
    #[error("no sandbox can be had on this machine: {0}")]
    Impossible(String),
}

/// Sandboxes as local processes.
pub struct LocalRuntime {
    engine: Engine,
    isolation: Isolation,
    clock: Arc<dyn Clock>,
    watches: Watches,
    /// Two sandboxes that start at once must not get the same user.
    users: Mutex<()>,
}

/// What it takes to run a command.
#[derive(Clone, Debug)]
struct Engine {
    config: Arc<Config>,
    launcher: PathBuf,
    state: StateDir,
    variant: Variant,
    bubblewrap: Option<PathBuf>,
    cgroups: Option<Cgroups>,
    powers: Powers,
    /// Who may start a command now.
    turns: Arc<Semaphore>,
}

impl LocalRuntime {
    /// Finds out what this machine can do, by running a command in each way that the configuration allows, best first,
    /// until one succeeds.
    pub async fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let (engine, isolation) = probe::choose(config).await?;
        Ok(Self { engine, isolation, clock, watches: Watches::default(), users: Mutex::new(()) })
    }

    async fn make(&self, spec: &SandboxSpec) -> Result<SandboxId, SandboxError> {
        let _one_at_a_time = self.users.lock().await;
        let (engine, spec, now) = (self.engine.clone(), spec.clone(), self.clock.now());
        let sandbox =
            spawn_blocking(move || engine.create(&spec, now)).await.map_err(unavailable)?.map_err(unavailable)?;
        if !self.engine.powers.privileged {
            self.watches.add(&sandbox.0, sandbox.1, &self.engine.config);
        }
        Ok(sandbox.0)
    }
}

impl fmt::Debug for LocalRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalRuntime").field("engine", &self.engine).finish_non_exhaustive()
    }
}

#[async_trait]
impl SandboxRuntime for LocalRuntime {
    fn isolation(&self) -> Isolation {
        self.isolation.clone()
    }

    async fn inspect(&self, sandbox: &SandboxId) -> Result<(), SandboxError> {
        self.engine.state.find(sandbox).map(drop).ok_or(SandboxError::Gone)
    }

    #[tracing::instrument(name = "local.start", skip_all, fields(session.id = %spec.session, epoch = %spec.epoch), err)]
    async fn start(&self, spec: &SandboxSpec, progress: ProgressSink) -> Result<SandboxId, SandboxError> {
        let began = Instant::now();
        let tell = |status: &str, message: &str| {
            progress(StartProgress {
                stage: "creating".into(),
                status: status.into(),
                message: message.into(),
                current: None,
                total: None,
                unit: None,
                elapsed_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            });
        };
        tell("running", "Preparing a workspace");
        let deadline = self.engine.config.start_timeout();
        let made = timeout(deadline, self.make(spec)).await.unwrap_or(Err(SandboxError::StartTimeout(deadline)));
        match &made {
            Ok(_) => tell("done", "The workspace is ready"),
            Err(error) => {
                tell("failed", &error.to_string());
                // It may have got further than it could tell.
                drop(self.stop(&id_of(spec)).await);
            }
        }
        made
    }

    #[tracing::instrument(name = "local.exec", skip_all, fields(sandbox.id = %sandbox), err)]
    async fn exec(&self, sandbox: &SandboxId, spec: &ExecSpec) -> Result<Exec, SandboxError> {
        let found = self.engine.state.find(sandbox).ok_or(SandboxError::Gone)?;
        let program = spec.command.first().cloned().unwrap_or_default();
        let cannot = |reason: String| SandboxError::CannotExec { command: program.clone(), reason };
        if let Some(reason) = self.watches.overfull(sandbox) {
            return Err(cannot(format!("the workspace is too full: {reason}")));
        }
        match self.engine.run(sandbox, &found, spec).await {
            Ok(exec) => Ok(exec),
            Err(_) if !found.exists() => {
                // It may have been stopped just before its cgroup was made, and nobody looks for that again.
                let (engine, sandbox) = (self.engine.clone(), sandbox.clone());
                drop(spawn_blocking(move || engine.remove_cgroup(&sandbox)).await);
                Err(SandboxError::Gone)
            }
            Err(LaunchError::CannotExec(reason)) => Err(cannot(reason)),
            Err(other) => Err(unavailable(other)),
        }
    }

    #[tracing::instrument(name = "local.stop", skip_all, fields(sandbox.id = %sandbox), err)]
    async fn stop(&self, sandbox: &SandboxId) -> Result<(), SandboxError> {
        self.watches.remove(sandbox);
        let (engine, sandbox) = (self.engine.clone(), sandbox.clone());
        spawn_blocking(move || engine.remove(&sandbox)).await.map_err(unavailable)?.map_err(unavailable)
    }

    async fn list(&self) -> Result<Vec<SandboxSummary>, SandboxError> {
        let state = self.engine.state.clone();
        spawn_blocking(move || state.list()).await.map_err(unavailable)?.map_err(unavailable)
    }
}

impl Engine {
    fn create(&self, spec: &SandboxSpec, now: Timestamp) -> io::Result<(SandboxId, SandboxDir)> {
        let id = id_of(spec);
        // The same lease asked before, and did not hear the answer.
        if let Some(found) = self.state.find(&id) {
            return Ok((id, found));
        }
        let in_memory = self.powers.privileged.then_some(&*self.config);
        let sandbox = self.state.create(spec, now, self.free_user(&id)?, in_memory)?;
        Ok((id, sandbox))
    }

    fn remove(&self, id: &SandboxId) -> io::Result<()> {
        self.state.close(id, self.config.stop_timeout())?;
        self.remove_cgroup(id)?;
        self.state.remove(id)
    }

    fn remove_cgroup(&self, id: &SandboxId) -> io::Result<()> {
        let remove = |cgroups: &Cgroups| cgroups.remove(&self.state.unique(id), self.config.stop_timeout());
        self.cgroups.as_ref().map_or(Ok(()), remove)
    }

    async fn run(&self, id: &SandboxId, sandbox: &SandboxDir, spec: &ExecSpec) -> Result<Exec, LaunchError> {
        let cgroups =
            self.cgroups.as_ref().map(|cgroups| cgroups.create(&self.state.unique(id), &self.config)).transpose()?;
        let directory = layout::directory(self.variant, sandbox);
        if !self.variant.has_root() {
            sandbox.make_private(&spec.server)?;
        }
        let mut env = layout::environment(&self.config, self.variant, sandbox, &spec.server);
        env.extend(
            spec.env.iter().map(|(name, value)| (name.clone(), layout::filled(value.expose_secret(), &directory))),
        );
        let task = Launch {
            variant: self.variant,
            bubblewrap: self.bubblewrap.clone(),
            fence: sandbox.fence(),
            cgroups: cgroups.unwrap_or_default(),
            mount_point: sandbox.mount_point(),
            tree: layout::tree(&self.config, self.variant, sandbox, &spec.server),
            privileged: self.powers.privileged,
            uid: sandbox.uid,
            limits: self.limits(sandbox),
            command: layout::command(&spec.command, &directory),
            directory,
            env,
        };
        let _turn = self.turns.acquire().await.map_err(io::Error::other)?;
        let deadline = self.config.start_timeout();
        timeout(deadline, launch(&self.launcher, &task))
            .await
            .unwrap_or_else(|_| Err(LaunchError::Failed(format!("the command did not start within {deadline:?}"))))
    }

    fn limits(&self, sandbox: &SandboxDir) -> Limits {
        let by_cgroup = |kind| self.cgroups.as_ref().is_some_and(|cgroups| cgroups.limits(kind));
        // The kernel counts this limit per user and, since 5.14, per user namespace. A user of many things must be
        // granted what it runs already.
        let own_count = sandbox.uid.is_some() && self.powers.many_users
            || self.variant.has_root() && !self.powers.privileged && self.powers.counts_per_namespace;
        let running = || if own_count { 0 } else { threads_of(sandbox.uid) };
        Limits {
            data_bytes: (!by_cgroup(Kind::Memory)).then_some(self.config.memory_bytes),
            processes: (!by_cgroup(Kind::Pids)).then(|| self.config.pids + running()),
            open_files: self.config.open_files,
            file_bytes: self.config.file_bytes,
        }
    }

    /// A user whom no other sandbox has, when the server is root.
    fn free_user(&self, id: &SandboxId) -> io::Result<Option<u32>> {
        const NOBODY: u32 = 65534;
        if !self.powers.root {
            return Ok(None);
        }
        if !self.powers.many_users {
            return Ok(Some(NOBODY));
        }
        let taken = self.state.uids()?;
        let (base, count) = (self.config.uid_base, self.config.uid_count);
        // Where to begin is spread, so that what a forgotten process of an earlier sandbox owns is rarely met again.
        let begin = u32::from_str_radix(id.as_str().get(..7).unwrap_or_default(), 16).unwrap_or(0) % count;
        let free = (0..count).map(|offset| base + (begin + offset) % count).find(|uid| !taken.contains(uid));
        free.map(Some).ok_or_else(|| io::Error::other("every user of uid_base and uid_count has a sandbox"))
    }
}

/// How many threads the user runs, as the kernel counts them.
fn threads_of(uid: Option<u32>) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let uid = uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|entry| entry.metadata().is_ok_and(|found| found.uid() == uid))
        .map(|entry| std::fs::read_dir(entry.path().join("task")).map_or(1, |tasks| tasks.count() as u64))
        .sum()
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> SandboxError {
    SandboxError::Unavailable(Box::new(error))
}

/// How long a probe may take: a machine on which a command takes longer than this needs no better sandbox.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
