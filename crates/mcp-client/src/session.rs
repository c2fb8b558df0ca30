use crate::{connection::Scope, outcome::not_sent, server::Server};
use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use lockkeeper_domain::{Code, PrincipalId, ToolDefinition, ToolName, ToolResult};
use lockkeeper_ports::{CallContext, ToolHostError, ToolSession, ToolSessionStatus};
use serde_json::{Map, Value};
use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use tracing::instrument;

/// How long the last tasks of a closed session may take after its servers were killed.
const LAST_TASKS: Duration = Duration::from_secs(3);

/// The connected servers of one sandbox. Dropping it kills them.
pub(crate) struct McpToolSession {
    scope: Scope,
    servers: Vec<Arc<Server>>,
    merged: Mutex<Merged>,
    _kill: DropGuard,
}

/// The tools of the servers that have been up so far.
#[derive(Default)]
struct Merged {
    tools: Arc<[ToolDefinition]>,
    /// Which server has a tool, and what the server calls it.
    routes: HashMap<ToolName, (usize, String)>,
    /// The servers whose tools are in.
    servers: HashSet<usize>,
}

impl Merged {
    /// Adds the tools of servers that have come up. Where two would share a name, the tool that came first stays.
    fn update(&mut self, servers: &[Arc<Server>]) {
        let mut tools = Vec::new();
        for (at, server) in servers.iter().enumerate() {
            let Some(offered) = server.tools() else { continue };
            if !self.servers.insert(at) {
                continue;
            }
            for tool in offered.values() {
                if self.routes.contains_key(&tool.name) {
                    tracing::warn!(
                        mcp.server = %tool.server, tool.name = %tool.name,
                        "left out a tool because another tool has the same name for the model"
                    );
                    continue;
                }
                self.routes.insert(tool.name.clone(), (at, tool.tool.clone()));
                tools.push(tool.clone());
            }
        }
        if !tools.is_empty() {
            tools.extend(self.tools.iter().cloned());
            tools.sort_by(|a, b| a.name.cmp(&b.name));
            self.tools = tools.into();
        }
    }
}

impl McpToolSession {
    /// Merges the tools of `servers`.
    pub(crate) fn new(scope: Scope, servers: Vec<Arc<Server>>, kill: DropGuard) -> Self {
        let session = Self { scope, servers, merged: Mutex::default(), _kill: kill };
        drop(session.merged());
        session
    }

    fn merged(&self) -> MutexGuard<'_, Merged> {
        let mut merged = self.merged.lock().unwrap_or_else(PoisonError::into_inner);
        merged.update(&self.servers);
        merged
    }

    fn route(&self, tool: &ToolName) -> Option<(usize, String)> {
        self.merged().routes.get(tool).cloned()
    }

    fn arguments(&self, args: Value) -> Result<Map<String, Value>, ToolResult> {
        let args = match args {
            Value::Object(args) => args,
            Value::Null => Map::new(),
            _ => return Err(not_sent(Code::InvalidArguments, "the arguments are no object")),
        };
        let max = self.scope.config.max_request_bytes;
        let mut size = Size { left: max };
        match serde_json::to_writer(&mut size, &args) {
            Ok(()) => Ok(args),
            Err(_) => Err(not_sent(Code::TooLarge, &format!("the arguments are over {max} bytes"))),
        }
    }
}

#[async_trait]
impl ToolSession for McpToolSession {
    fn tools(&self) -> Arc<[ToolDefinition]> {
        self.merged().tools.clone()
    }

    fn status(&self) -> Vec<ToolSessionStatus> {
        self.servers.iter().map(|server| server.status()).collect()
    }

    fn changes(&self) -> BoxStream<'static, ToolSessionStatus> {
        let changes = |server: &Arc<Server>| {
            stream::unfold(server.told(), |mut told| async move {
                told.changed().await.ok()?;
                let status = told.borrow_and_update().clone();
                Some((status, told))
            })
            .boxed()
        };
        let closed = self.scope.ends.soft.clone().cancelled_owned();
        stream::select_all(self.servers.iter().map(changes)).take_until(closed).boxed()
    }

    fn redefinitions(&self) -> BoxStream<'static, ToolDefinition> {
        let closed = self.scope.ends.soft.clone().cancelled_owned();
        stream::select_all(self.servers.iter().map(|server| server.redefinitions())).take_until(closed).boxed()
    }

    fn assign(&self, tenant: &PrincipalId) {
        self.scope.tenant.assign(Some(tenant.clone()));
    }

    fn accept(&self, tool: &ToolName, fingerprint: &str) {
        if let Some((server, exact)) = self.route(tool) {
            self.servers[server].accept(&exact, fingerprint);
        }
    }

    #[instrument(name = "mcp.call", skip_all, fields(tool.name = %tool, call.id = %context.call))]
    async fn call(&self, tool: &ToolName, args: Value, context: CallContext) -> Result<ToolResult, ToolHostError> {
        let (server, exact) = self.route(tool).ok_or_else(|| ToolHostError::UnknownTool(tool.clone()))?;
        if self.scope.ends.soft.is_cancelled() {
            return Err(ToolHostError::SandboxGone);
        }
        match self.arguments(args) {
            Ok(args) => self.servers[server].call(&exact, args, context).await,
            Err(refusal) => Ok(refusal),
        }
    }

    #[instrument(name = "mcp.close", skip_all, fields(sandbox.id = %self.scope.sandbox))]
    async fn close(&self) {
        self.scope.ends.soft.cancel();
        self.scope.tasks.close();
        // The tasks kill what does not end by itself; this only keeps a defect of theirs from holding the caller.
        if timeout(2 * self.scope.config.close_grace() + LAST_TASKS, self.scope.tasks.wait()).await.is_err() {
            tracing::error!(sandbox.id = %self.scope.sandbox, "tasks of a closed session still run");
        }
        self.scope.ends.hard.cancel();
    }
}

/// Counts bytes and refuses those over the limit.
struct Size {
    left: usize,
}

impl io::Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
