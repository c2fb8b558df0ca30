use crate::{
    pool::{Pool, Warm},
    roster::Roster,
    tools::Catalog,
};
use futures::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use lockkeeper_domain::{Code, Epoch, Failure, PrincipalId, SessionId, ToolDefinition};
use lockkeeper_ports::{
    ProgressSink, SandboxError, SandboxId, SandboxRuntime, SandboxSpec, StartProgress, ToolHost, ToolHostError,
    ToolSession, ToolSessionStatus,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// A session's sandbox with its connected tools.
pub(crate) struct Workbench {
    pub(crate) sandbox: SandboxId,
    pub(crate) tools: Arc<dyn ToolSession>,
    pub(crate) catalog: Arc<Catalog>,
    /// What the MCP servers come to from now on. One task reads it; the lock is never held.
    changes: Mutex<BoxStream<'static, BenchNews>>,
}

/// What becomes of a session's MCP servers.
pub(crate) enum BenchNews {
    /// One is up or down.
    Server(ToolSessionStatus),
    /// One gives another definition of a tool.
    Redefined(ToolDefinition),
}

impl Workbench {
    fn new(sandbox: SandboxId, tools: Arc<dyn ToolSession>) -> Self {
        // Subscribed first: a server that comes up meanwhile is in the list, or reported afterwards.
        let states = tools.changes().map(BenchNews::Server);
        let redefined = tools.redefinitions().map(BenchNews::Redefined);
        let changes = Mutex::new(stream::select(states, redefined).boxed());
        let catalog = Arc::new(Catalog::new(tools.tools()));
        Self { sandbox, tools, catalog, changes }
    }

    /// What comes next.
    pub(crate) async fn change(&mut self) -> BenchNews {
        match self.changes.get_mut().unwrap_or_else(PoisonError::into_inner).next().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }
}

/// Starts sandboxes and connects their tools.
pub(crate) struct Starter {
    pub(crate) sandboxes: Arc<dyn SandboxRuntime>,
    pub(crate) host: Arc<dyn ToolHost>,
    pub(crate) roster: Roster,
    pub(crate) pool: Pool,
}

impl Starter {
    /// Starts a sandbox for the session under this epoch and connects its tools. When that fails nothing of it is left.
    #[tracing::instrument(name = "session.sandbox.start", skip_all, fields(session.id = %session, epoch = %epoch))]
    pub(crate) async fn start(
        &self,
        owner: &PrincipalId,
        session: SessionId,
        epoch: Epoch,
        progress: ProgressSink,
    ) -> Result<Workbench, Failure> {
        let started = Instant::now();
        let spec = SandboxSpec { session, epoch };
        // From before one is taken: its replacement would be made while the engine is asked to hand this one over.
        let _first = self.pool.hold_off();
        if let Some(bench) = self.adopt(owner, &spec).await {
            report(&progress, started, "connecting", "done", "A sandbox was ready, its tools connected");
            return Ok(bench);
        }
        report(&progress, started, "starting", "running", "Starting the sandbox");
        let sandbox = self.sandboxes.start(&spec, Arc::clone(&progress)).await.map_err(|e| unavailable(&e))?;
        report(&progress, started, "connecting", "running", "Connecting the MCP servers");
        match self.host.connect(Some(owner.clone()), &sandbox, &self.roster.servers(), Arc::clone(&progress)).await {
            Ok(tools) => {
                report(&progress, started, "connecting", "done", "The tools are there");
                Ok(Workbench::new(sandbox, tools))
            }
            Err(error) => {
                self.remove(&sandbox).await;
                Err(lost(&error))
            }
        }
    }

    /// A sandbox of the pool, given to the session. One that is gone is passed over.
    async fn adopt(&self, owner: &PrincipalId, spec: &SandboxSpec) -> Option<Workbench> {
        while let Some(warm) = self.pool.take() {
            if !self.roster.is_current(&warm.servers) {
                tracing::debug!(sandbox.id = %warm.sandbox, "a sandbox of the pool has other MCP servers than hold now");
                self.discard(warm).await;
                continue;
            }
            match self.sandboxes.adopt(&warm.sandbox, spec).await {
                Ok(sandbox) => {
                    warm.tools.assign(owner);
                    return Some(Workbench::new(sandbox, warm.tools));
                }
                Err(error) => {
                    tracing::info!(sandbox.id = %warm.sandbox, %error, "a sandbox of the pool cannot be used");
                    self.discard(warm).await;
                }
            }
        }
        None
    }

    /// Removes a sandbox of the pool with its tools.
    pub(crate) async fn discard(&self, warm: Warm) {
        warm.tools.close().await;
        self.remove(&warm.sandbox).await;
    }

    /// Removes a sandbox. What cannot be removed now the janitor finds later.
    pub(crate) async fn remove(&self, sandbox: &SandboxId) {
        if let Err(error) = self.sandboxes.stop(sandbox).await {
            tracing::warn!(sandbox.id = %sandbox, %error, "a sandbox could not be removed; the janitor will try again");
        }
    }
}

fn report(sink: &ProgressSink, started: Instant, stage: &str, status: &str, message: &str) {
    sink(StartProgress {
        stage: stage.to_owned(),
        status: status.to_owned(),
        message: message.to_owned(),
        current: None,
        total: None,
        unit: None,
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
}

fn unavailable(error: &SandboxError) -> Failure {
    let hint = match error {
        SandboxError::StartTimeout(_) => "Try again; if it stays so, ask the operator to look at the server's log.",
        SandboxError::CannotExec { .. } => "Ask the operator to check the configuration of the MCP servers.",
        SandboxError::Gone | SandboxError::Unavailable(_) => "Try again later.",
    };
    Failure::new(Code::SandboxUnavailable, format!("The sandbox cannot be started: {error}")).with_hint(hint)
}

fn lost(error: &ToolHostError) -> Failure {
    Failure::new(Code::SandboxUnavailable, format!("The tools cannot be connected: {error}"))
        .with_hint("Try again later.")
}

/// How long to wait before the `attempt`-th new try, from 0: 50 ms, doubling, at most 2 s.
pub(crate) fn backoff(attempt: u32) -> Duration {
    Duration::from_millis(50_u64.saturating_mul(1 << attempt.min(6))).min(Duration::from_secs(2))
}
