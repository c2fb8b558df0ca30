//! What the runtime and its tasks share.

use crate::{
    config::Config,
    engine::{Dialect, Engine, Fault},
    names::Names,
    sandboxes::{Sandbox, Sandboxes},
};
use bollard::query_parameters::{RemoveContainerOptions, RenameContainerOptions};
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
    /// How long a container lives that its server does not keep alive. One that waits for a session is of no use to anyone
    /// else, and there is nobody who would look for it.
    pub(crate) fn idle_secs(&self, is_reserved: bool) -> u64 {
        const RESERVED: u64 = 120;
        if is_reserved { self.config.idle_secs.min(RESERVED) } else { self.config.idle_secs }
    }

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
            let (container, options) = (sandbox.container.as_str(), RenameContainerOptions { name: name.to_string() });
            match shared.engine.call(async |docker| docker.rename_container(container, options).await).await {
                Ok(()) => {}
                Err(_) if sandbox.ended().is_some() => {}
                Err(fault) => {
                    tracing::warn!(container.id = container, %fault, "a sandbox could not be named after its session");
                    shared.condemn(&sandbox, "it could not be given to a session");
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
