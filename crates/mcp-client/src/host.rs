use crate::{
    Config, InvalidConfig,
    board::{Board, SharedTenant},
    connection::Scope,
    patience::Patience,
    process::Ends,
    server::Server,
    session::McpToolSession,
};
use async_trait::async_trait;
use futures::future::try_join_all;
use lockkeeper_domain::PrincipalId;
use lockkeeper_ports::{
    McpServer, ProgressSink, SandboxId, SandboxRuntime, ServerHealth, StartProgress, ToolHost, ToolHostError,
    ToolSession,
};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::instrument;

/// Runs MCP servers through a sandbox runtime and speaks with them over their standard input and output.
pub struct McpToolHost {
    runtime: Arc<dyn SandboxRuntime>,
    config: Arc<Config>,
    board: Arc<Board>,
}

impl McpToolHost {
    /// A host for the sandboxes of `runtime`.
    pub fn new(runtime: Arc<dyn SandboxRuntime>, config: Config) -> Result<Self, InvalidConfig> {
        config.validate()?;
        Ok(Self { runtime, config: Arc::new(config), board: Arc::default() })
    }
}

#[async_trait]
impl ToolHost for McpToolHost {
    #[instrument(name = "mcp.connect", skip_all, fields(sandbox.id = %sandbox), err)]
    async fn connect(
        &self,
        tenant: Option<PrincipalId>,
        sandbox: &SandboxId,
        servers: &[McpServer],
        progress: ProgressSink,
    ) -> Result<Arc<dyn ToolSession>, ToolHostError> {
        let hard = CancellationToken::new();
        let kill = hard.clone().drop_guard();
        let scope = Scope {
            runtime: self.runtime.clone(),
            patience: Patience::new(self.runtime.clone(), sandbox.clone()),
            sandbox: sandbox.clone(),
            config: self.config.clone(),
            tasks: TaskTracker::new(),
            ends: Ends { soft: hard.child_token(), hard },
            board: self.board.clone(),
            tenant: SharedTenant::new(tenant),
        };
        let teller = Teller { progress, started: Instant::now(), done: AtomicU64::new(0), total: servers.len() as u64 };
        let starting = servers.iter().map(|spec| {
            let (scope, teller) = (scope.clone(), &teller);
            async move {
                teller.tell("connecting", "running", format!("starting MCP server {}", spec.name));
                let greeted = || teller.tell("listing", "running", format!("MCP server {} answers", spec.name));
                let server = Server::connect(scope, spec.clone(), &greeted).await?;
                teller.done.fetch_add(1, Ordering::Relaxed);
                match server.status().problem {
                    None => teller.tell("connecting", "done", format!("MCP server {} is ready", spec.name)),
                    Some(problem) => teller.tell("connecting", "failed", problem),
                }
                Ok(server)
            }
        });
        let connected = try_join_all(starting).await?;
        if let Some(reason) = runtime_failure(&connected) {
            return Err(ToolHostError::Unavailable(reason));
        }
        Ok(Arc::new(McpToolSession::new(scope, connected, kill)))
    }

    fn health(&self) -> Vec<ServerHealth> {
        self.board.health()
    }
}

/// Why no server is up, if the runtime is the reason for one of them.
fn runtime_failure(servers: &[Arc<Server>]) -> Option<String> {
    if servers.iter().any(|server| server.tools().is_some()) {
        return None;
    }
    servers.iter().find_map(|server| server.runtime_failure())
}

/// Tells how far the start of all servers is.
struct Teller {
    progress: ProgressSink,
    started: Instant,
    done: AtomicU64,
    total: u64,
}

impl Teller {
    fn tell(&self, stage: &str, status: &str, message: String) {
        (self.progress)(StartProgress {
            stage: stage.to_owned(),
            status: status.to_owned(),
            message,
            current: Some(self.done.load(Ordering::Relaxed)),
            total: Some(self.total),
            unit: Some("servers".to_owned()),
            elapsed_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
    }
}
