//! What the runtime and its tasks share.

use crate::{
    config::Config,
    engine::{Dialect, Engine, Fault},
    names::{self, Names},
    sandboxes::{Attempt, Sandbox, Sandboxes},
};
use bollard::{
    models::ContainerInspectResponse,
    query_parameters::{RemoveContainerOptions, RenameContainerOptions},
};
use lockkeeper_ports::{Clock, SandboxError, SandboxId};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};
use tokio_util::task::TaskTracker;

/// Between two looks at a container that is being removed by somebody.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) engine: Engine,
    pub(crate) dialect: Dialect,
    /// The image, by the digest of its contents.
    pub(crate) image: Arc<str>,
    pub(crate) names: Names,
    pub(crate) instance: String,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) tasks: TaskTracker,
    pub(crate) starts: Semaphore,
    pub(crate) removals: Semaphore,
}

impl Shared {
    /// Nothing may run in the sandbox any more, and it is removed, now or as soon as the engine is there again.
    pub(crate) fn condemn(self: &Arc<Self>, sandbox: &Sandbox, reason: &str) {
        if sandbox.end(reason) {
            tracing::warn!(container.id = sandbox.container, reason, "a sandbox is given up");
            self.remove_later(sandbox.container.clone());
        }
    }

    /// Gives a sandbox the name of the session that has it already, without making the session wait: all that is asked of the
    /// engine goes by the container's own id. Until it has the name, no other server counts it as the session's; if this
    /// one dies before, it ends like any that waits for a session.
    pub(crate) fn rename_later(self: &Arc<Self>, sandbox: Arc<Sandbox>, name: SandboxId) {
        let shared = self.clone();
        self.tasks.spawn(async move {
            let container = sandbox.container.as_str();
            let mut pause = Duration::from_millis(100);
            while sandbox.ended().is_none() {
                match shared.rename(container, &name).await {
                    Ok(()) => return,
                    // It answers again some time.
                    Err(fault) if fault.is_away() => shared.engine.availability().back().await,
                    Err(Fault::NotFound(_)) => return shared.condemn(&sandbox, "the container was removed"),
                    // The session has it all the same, and this server asks for it by its own id.
                    Err(fault) => {
                        tracing::warn!(container.id = container, %fault, "a sandbox could not be named after its session");
                        return;
                    }
                }
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        });
    }

    /// Gives a container a name, which a container of ours may have that was given up: then that one is removed.
    async fn rename(&self, container: &str, name: &SandboxId) -> Result<(), Fault> {
        let options = || RenameContainerOptions { name: name.to_string() };
        let renamed = self.engine.call(async |docker| docker.rename_container(container, options()).await).await;
        let Err(conflict @ Fault::Conflict(_)) = renamed else { return renamed };
        let found = self.engine.call(async |docker| docker.inspect_container(name.as_str(), None).await).await;
        let found = match found {
            Ok(found) => found,
            Err(Fault::NotFound(_)) => ContainerInspectResponse::default(),
            Err(fault) => return Err(fault),
        };
        let (id, labels) = (found.id.unwrap_or_default(), found.config.and_then(|config| config.labels));
        if id == container {
            return Ok(());
        }
        if !id.is_empty() {
            let is_known = self.sandboxes.by_container(&id).is_some_and(|known| known.ended().is_none());
            if is_known || !labels.is_some_and(|labels| self.names.is_ours(&labels)) {
                return Err(conflict);
            }
            self.remove(&id).await?;
        }
        self.engine.call(async |docker| docker.rename_container(container, options()).await).await
    }

    /// Removes the container that a start made which was given up, and none that another start made under its name. `None`
    /// where the engine did not say what it made.
    pub(crate) async fn remove_attempt(&self, name: &SandboxId, attempt: &Attempt) -> Result<(), Fault> {
        if let Some(container) = attempt.container.get() {
            return self.remove(container).await;
        }
        let found = self.engine.call(async |docker| docker.inspect_container(name.as_str(), None).await).await;
        let found = match found {
            Ok(found) => found,
            Err(Fault::NotFound(_)) => return Ok(()),
            Err(fault) => return Err(fault),
        };
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        match found.id.filter(|_| labels.get(names::ATTEMPT) == Some(&attempt.nonce)) {
            Some(container) => self.remove(&container).await,
            None => Ok(()),
        }
    }

    /// Does that without making anyone wait. A request to create that the engine took up late leaves its container behind
    /// the removal, so it is looked for once more.
    pub(crate) fn remove_attempt_later(self: &Arc<Self>, name: SandboxId, attempt: Arc<Attempt>) {
        let shared = self.clone();
        self.tasks.spawn(async move {
            let until = Instant::now() + Duration::from_secs(shared.config.idle_secs);
            let mut pause = Duration::from_millis(100);
            let mut looks = 0;
            while looks < 2 && Instant::now() < until {
                match shared.remove_attempt(&name, &attempt).await {
                    Ok(()) if attempt.container.get().is_some() => return,
                    Ok(()) => {
                        looks += 1;
                        sleep(shared.config.api_timeout()).await;
                    }
                    Err(_) => {
                        sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_secs(5));
                    }
                }
            }
        });
    }

    /// Removes a container without making anyone wait.
    pub(crate) fn remove_later(self: &Arc<Self>, container: String) {
        let shared = self.clone();
        self.tasks.spawn(async move { shared.remove_until_gone(&container).await });
    }

    /// Removes a container with all that runs in it. One that is not there is a success.
    pub(crate) async fn remove(&self, container: &str) -> Result<(), Fault> {
        let limit = self.config.stop_timeout();
        let deadline = Instant::now() + limit;
        let _turn = self.removals.acquire().await;
        let options = RemoveContainerOptions { force: true, v: true, link: false };
        let removed = self
            .engine
            .call_within(limit, async |docker| docker.remove_container(container, Some(options)).await)
            .await;
        match removed {
            Ok(()) | Err(Fault::NotFound(_)) => {}
            // Somebody is at it already: the engine itself, when the main process has just ended.
            Err(Fault::Conflict(_)) => self.wait_until_gone(container, deadline).await?,
            Err(fault) => return Err(fault),
        }
        Ok(())
    }

    async fn wait_until_gone(&self, container: &str, deadline: Instant) -> Result<(), Fault> {
        loop {
            match self.engine.call(async |docker| docker.inspect_container(container, None).await).await {
                Err(Fault::NotFound(_)) => return Ok(()),
                Err(fault) => return Err(fault),
                Ok(_) if Instant::now() >= deadline => return Err(Fault::Timeout(self.config.stop_timeout())),
                Ok(_) => sleep(LOOK).await,
            }
        }
    }

    /// Tries for as long as the container can live without being kept alive; after that it has ended by itself.
    async fn remove_until_gone(&self, container: &str) {
        let until = Instant::now() + Duration::from_secs(self.config.idle_secs);
        let mut pause = Duration::from_millis(100);
        loop {
            match self.remove(container).await {
                Ok(()) => return self.sandboxes.forget(container),
                Err(fault) if Instant::now() >= until => {
                    tracing::error!(container.id = container, %fault, "a container could not be removed");
                    return self.sandboxes.forget(container);
                }
                Err(_) => sleep(pause).await,
            }
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }
}

/// To be tried again later.
pub(crate) fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SandboxError {
    SandboxError::Unavailable(error.into())
}
