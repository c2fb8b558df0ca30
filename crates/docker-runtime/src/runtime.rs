mod start;

use crate::{
    config::Config,
    diagnose::{self, Examined, Finding},
    engine::{Engine, Fault},
    events,
    exec::{self, LaunchError},
    names::{self, Named, Names},
    sandboxes::{Sandbox, Sandboxes},
    shared::{Shared, unavailable},
};
use async_trait::async_trait;
use bollard::{models::ContainerInspectResponse, query_parameters::ListContainersOptions};
use lockkeeper_ports::{
    Availability, Clock, Exec, ExecSpec, Isolation, ProgressSink, SandboxError, SandboxId, SandboxRuntime, SandboxSpec,
    SandboxSummary,
};
use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};
use tokio_util::task::TaskTracker;

/// How long the word may take that a container has ended, after the engine refused because of it.
const NEWS: Duration = Duration::from_millis(300);

/// Why there is no Docker runtime.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The configuration must change.
    #[error("the Docker runtime's configuration: {}", .0.join("; "))]
    Config(Vec<String>),
    /// The engine does not answer. It may do so later.
    #[error("{}", diagnose::in_words(.0))]
    Unreachable(Vec<Finding>),
    /// The engine answers and cannot be used as it is: the image is missing, or the user may not speak with it.
    #[error("{}", diagnose::in_words(.0))]
    Unusable(Vec<Finding>),
}

/// Sandboxes as containers.
pub struct DockerRuntime {
    shared: Arc<Shared>,
    isolation: Isolation,
    /// They end with this.
    _watchers: JoinSet<()>,
}

impl DockerRuntime {
    /// Connects to the engine, and makes sure that it can do what a sandbox needs and has the image.
    pub async fn new(config: Config, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(SetupError::Config(problems));
        }
        let config = Arc::new(config);
        let Examined { engine, dialect, image, isolation, findings } = diagnose::examine(&config).await;
        for finding in findings.iter().filter(|finding| !finding.is_fatal()) {
            tracing::warn!(%finding, "the Docker engine");
        }
        let fatal: Vec<_> = findings.into_iter().filter(Finding::is_fatal).collect();
        let engine = match engine {
            Some(engine) if fatal.is_empty() => engine,
            _ if fatal.iter().any(Finding::may_pass) => return Err(SetupError::Unreachable(fatal)),
            _ => return Err(SetupError::Unusable(fatal)),
        };
        let instance = if config.instance.is_empty() { random_name() } else { config.instance.clone() };
        let shared = Arc::new(Shared {
            names: Names::new(&config.deployment),
            instance,
            clock,
            sandboxes: Sandboxes::new(users(&engine, &config.deployment).await),
            tasks: TaskTracker::new(),
            starts: Semaphore::new(config.starts_at_once),
            removals: Semaphore::new(config.removals_at_once),
            engine,
            dialect,
            image: image.unwrap_or_else(|| config.image.clone()).into(),
            config,
        });
        let mut watchers = JoinSet::new();
        let (listening, listens) = tokio::sync::oneshot::channel();
        watchers.spawn(events::watch(shared.clone(), listening));
        watchers.spawn(events::keep_alive(shared.clone()));
        let watched = shared.clone();
        watchers.spawn(async move { watched.engine.watch().await });
        // Before the first container, so that none of its events is missed.
        drop(timeout(shared.config.api_timeout(), listens).await);
        Ok(Self { shared, isolation, _watchers: watchers })
    }

    /// What sandboxes are started from, by the digest of its contents. A name that is given to another image later changes
    /// nothing before the next start of the server.
    pub fn image(&self) -> Arc<str> {
        Arc::clone(&self.shared.image)
    }

    /// The sandbox, if it is there and ours: perhaps one of an earlier process.
    async fn find(&self, id: &SandboxId) -> Result<Arc<Sandbox>, SandboxError> {
        let shared = &self.shared;
        if shared.names.parse(id.as_str()).is_none() {
            return Err(SandboxError::Gone);
        }
        if let Some(known) = shared.sandboxes.get(id) {
            return if known.ended().is_none() { Ok(known) } else { Err(gone(&known)) };
        }
        let found = shared.engine.call(async |docker| docker.inspect_container(id.as_str(), None).await).await;
        let found = match found {
            Ok(found) => found,
            Err(Fault::NotFound(_)) => return Err(SandboxError::Gone),
            Err(fault) => return Err(unavailable(fault)),
        };
        let Some(sandbox) = self.read(&found).filter(|_| is_running(&found)) else { return Err(SandboxError::Gone) };
        // Another one may have found it meanwhile, and there is one of each.
        let known = shared.sandboxes.get_or_insert(id, sandbox);
        if known.ended().is_none() { Ok(known) } else { Err(gone(&known)) }
    }

    /// What the labels say of a container of ours.
    fn read(&self, found: &ContainerInspectResponse) -> Option<Arc<Sandbox>> {
        let labels = found.config.as_ref()?.labels.as_ref()?;
        let user = labels.get(names::USER)?.parse().ok()?;
        let ours = self.shared.names.is_ours(labels);
        let container = found.id.clone().filter(|_| ours)?;
        let config = &self.shared.config;
        Some(Sandbox::new(container, user, config.servers, config.execs_at_once))
    }

    /// After a refusal: a paused container goes on, once; one that does not run is given up.
    async fn revive(&self, sandbox: &Sandbox) -> Result<(), SandboxError> {
        let container = sandbox.container.as_str();
        let engine = &self.shared.engine;
        let found = engine.call(async |docker| docker.inspect_container(container, None).await).await;
        let state = match found {
            Ok(found) => found.state.unwrap_or_default(),
            Err(Fault::NotFound(_)) => {
                self.shared.condemn(sandbox, "the container was removed");
                return Err(SandboxError::Gone);
            }
            Err(fault) => return Err(unavailable(fault)),
        };
        if state.running != Some(true) {
            self.shared.condemn(sandbox, "the container does not run");
            return Err(SandboxError::Gone);
        }
        if state.paused == Some(true) {
            tracing::warn!(container.id = container, "somebody paused a sandbox: it goes on");
            let unpaused = engine.call(async |docker| docker.unpause_container(container).await).await;
            match unpaused {
                Ok(()) | Err(Fault::Conflict(_) | Fault::Refused { .. }) => {}
                Err(fault) => return Err(unavailable(fault)),
            }
        }
        Ok(())
    }

    async fn launch(&self, sandbox: &Arc<Sandbox>, spec: &ExecSpec) -> Result<Exec, LaunchError> {
        let limit = self.shared.config.start_timeout();
        if timeout(limit, sandbox.settled()).await.is_err() {
            return Err(Fault::Timeout(limit).into());
        }
        let _turn = sandbox.turns.acquire().await;
        let launched = timeout(limit, exec::launch(&self.shared, sandbox, spec)).await;
        launched.unwrap_or_else(|_| Err(Fault::Timeout(limit).into()))
    }
}

impl fmt::Debug for DockerRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerRuntime").field("engine", &self.shared.engine).finish_non_exhaustive()
    }
}

#[async_trait]
impl SandboxRuntime for DockerRuntime {
    fn isolation(&self) -> Isolation {
        self.isolation.clone()
    }

    fn availability(&self) -> Availability {
        self.shared.engine.availability()
    }

    async fn inspect(&self, sandbox: &SandboxId) -> Result<(), SandboxError> {
        let known = self.find(sandbox).await?;
        let container = known.container.as_str();
        let engine = &self.shared.engine;
        match engine.call(async |docker| docker.inspect_container(container, None).await).await {
            Ok(found) if is_running(&found) => Ok(()),
            Ok(_) => {
                self.shared.condemn(&known, "the container does not run");
                Err(gone(&known))
            }
            Err(Fault::NotFound(_)) => {
                self.shared.condemn(&known, "the container was removed");
                Err(gone(&known))
            }
            Err(fault) => Err(unavailable(fault)),
        }
    }

    #[tracing::instrument(name = "docker.start", skip_all, fields(session.id = %spec.session, epoch = %spec.epoch), err)]
    async fn start(&self, spec: &SandboxSpec, progress: ProgressSink) -> Result<SandboxId, SandboxError> {
        let id = self.shared.names.of(spec);
        start::start(&self.shared, &id, &start::Told::new(Some(progress))).await?;
        Ok(id)
    }

    #[tracing::instrument(name = "docker.reserve", skip_all, err)]
    async fn reserve(&self) -> Result<Option<SandboxId>, SandboxError> {
        let id = self.shared.names.reserved(&random_name());
        start::start(&self.shared, &id, &start::Told::new(None)).await?;
        Ok(Some(id))
    }

    #[tracing::instrument(name = "docker.adopt", skip_all, fields(session.id = %spec.session, epoch = %spec.epoch), err)]
    async fn adopt(&self, reserved: &SandboxId, spec: &SandboxSpec) -> Result<SandboxId, SandboxError> {
        if self.shared.names.parse(reserved.as_str()) != Some(Named::Reserved) {
            return Err(SandboxError::Gone);
        }
        // Taken out, so that of two who want it one has it.
        let sandbox = self.shared.sandboxes.take(reserved).ok_or(SandboxError::Gone)?;
        if sandbox.ended().is_some() {
            self.shared.condemn(&sandbox, "it could not be given to a session");
            self.shared.sandboxes.free_users(sandbox.user);
            return Err(SandboxError::Gone);
        }
        let id = self.shared.names.of(spec);
        self.shared.sandboxes.insert(&id, sandbox.clone());
        self.shared.rename_later(sandbox, id.clone());
        Ok(id)
    }

    #[tracing::instrument(name = "docker.exec", skip_all, fields(sandbox.id = %sandbox), err)]
    async fn exec(&self, sandbox: &SandboxId, spec: &ExecSpec) -> Result<Exec, SandboxError> {
        let found = self.find(sandbox).await?;
        let mut launched = self.launch(&found, spec).await;
        if matches!(&launched, Err(LaunchError::Fault(Fault::Conflict(_) | Fault::NotFound(_)))) {
            // If it ended, the events say why.
            let _ = timeout(NEWS, found.health().wait_for(|health| health.ended.is_some())).await;
        }
        if found.ended().is_none() && matches!(&launched, Err(LaunchError::Fault(Fault::Conflict(_)))) {
            self.revive(&found).await?;
            launched = self.launch(&found, spec).await;
        }
        let error = match launched {
            Ok(exec) => return Ok(exec),
            Err(error) => error,
        };
        if found.ended().is_some() {
            return Err(gone(&found));
        }
        Err(match error {
            LaunchError::CannotExec(reason) => {
                SandboxError::CannotExec { command: spec.command.first().cloned().unwrap_or_default(), reason }
            }
            LaunchError::Fault(Fault::NotFound(_) | Fault::Conflict(_)) => {
                self.shared.condemn(&found, "the container was removed or does not run");
                SandboxError::Gone
            }
            LaunchError::Fault(fault) => unavailable(fault),
            LaunchError::NotStarted(reason) => unavailable(reason),
        })
    }

    #[tracing::instrument(name = "docker.stop", skip_all, fields(sandbox.id = %sandbox), err)]
    async fn stop(&self, sandbox: &SandboxId) -> Result<(), SandboxError> {
        let shared = &self.shared;
        if shared.names.parse(sandbox.as_str()).is_none() {
            return Ok(());
        }
        let known = shared.sandboxes.get(sandbox);
        let container = if let Some(known) = known {
            known.end("the sandbox was stopped");
            known.container.clone()
        } else {
            // What bears a name of ours and is not ours is nothing that we know.
            let found = shared.engine.call(async |docker| docker.inspect_container(sandbox.as_str(), None).await).await;
            match found.map(|found| self.read(&found)) {
                Ok(Some(found)) => found.container.clone(),
                Ok(None) | Err(Fault::NotFound(_)) => return Ok(()),
                Err(fault) => return Err(unavailable(fault)),
            }
        };
        if let Err(fault) = shared.remove(&container).await {
            // Nothing may run in it any more, so it is not left until somebody asks again.
            shared.remove_later(container);
            return Err(unavailable(fault));
        }
        shared.sandboxes.forget(&container);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<SandboxSummary>, SandboxError> {
        let shared = &self.shared;
        let owner = format!("{}={}", names::OWNER, shared.names.deployment());
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".into(), vec![owner])])),
            ..ListContainersOptions::default()
        };
        let all = shared.engine.call(async |docker| docker.list_containers(Some(options)).await).await;
        let all = all.map_err(unavailable)?.into_iter();
        Ok(all.filter_map(|one| shared.names.summary(&one.names?, &one.labels?)).collect())
    }
}

/// The users of containers that are there already: those of earlier processes, and of others.
async fn users(engine: &Engine, deployment: &str) -> HashSet<u32> {
    let filters = HashMap::from([("label".into(), vec![format!("{}={deployment}", names::OWNER)])]);
    let options = ListContainersOptions { all: true, filters: Some(filters), ..ListContainersOptions::default() };
    let found = engine.call(async |docker| docker.list_containers(Some(options)).await).await;
    let labels = found.unwrap_or_default().into_iter().filter_map(|one| one.labels);
    labels.filter_map(|labels| labels.get(names::USER)?.parse().ok()).collect()
}

/// Another one will do, unless the image is at fault.
fn gone(sandbox: &Sandbox) -> SandboxError {
    sandbox.unfit().map_or(SandboxError::Gone, unavailable)
}

fn is_running(found: &ContainerInspectResponse) -> bool {
    found.state.as_ref().and_then(|state| state.running) == Some(true)
}

/// 64 random bits.
fn random_name() -> String {
    format!("{:016x}", random())
}

/// Where there is no randomness, names are still unique to the process.
fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| u64::from(std::process::id()))
}
