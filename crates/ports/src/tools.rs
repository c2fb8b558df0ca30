use crate::{ProgressSink, SandboxId};
use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use lockkeeper_domain::{CallId, Code, PrincipalId, ServerName, SessionId, ToolDefinition, ToolName, ToolResult};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// An MCP server that runs in a session's sandbox and speaks over its standard input and output.
#[derive(Clone, Debug)]
pub struct McpServer {
    /// Its name in the configuration.
    pub name: ServerName,
    /// The program and its arguments, as seen from inside the sandbox.
    pub command: Vec<String>,
    /// Its environment; secrets go to this server alone.
    pub env: BTreeMap<String, SecretString>,
    /// The tools that are offered, as the server calls them; `None` for all that it has.
    pub tools: Option<BTreeSet<String>>,
    /// What the operator is told beside the reason when the server does not come up, where the configuration shows why.
    pub advice: Option<String>,
}

/// News of a running call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CallProgress {
    /// Which call.
    pub call_id: CallId,
    /// How far it is, by the tool's own measure.
    pub progress: f64,
    /// What would be all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// What it does, for people; untrusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Where a call stands in a distributed trace, as W3C Trace Context writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace and the span that the call is a part of.
    pub traceparent: String,
    /// What tracing systems add of their own.
    pub tracestate: Option<String>,
}

/// What goes with a call.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Whose call it is.
    pub session: SessionId,
    /// Which call.
    pub call: CallId,
    /// Takes the call's progress. When it is full, progress is dropped.
    pub progress: mpsc::Sender<CallProgress>,
    /// Cancels the call: the server is told, and the call returns at once.
    pub cancel: CancellationToken,
    /// The trace that the server is told of, so that what it does can be seen in its place. None when nothing is traced.
    pub trace: Option<TraceContext>,
}

/// Why the tools of a session cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ToolHostError {
    /// The sandbox is gone. The caller starts another one.
    #[error("the sandbox is gone")]
    SandboxGone,
    /// The sandbox runtime failed or did not answer, so that no server could be started. To be tried again later.
    #[error("the sandbox runtime is unavailable: {0}")]
    Unavailable(String),
    /// No tool has this name.
    #[error("no tool is called {0}")]
    UnknownTool(ToolName),
}

/// What the process of an MCP server is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerState {
    /// It runs, and answers.
    Up,
    /// It ended and is started again, after a pause.
    Restarting,
    /// It ended, or never started. The next call of one of its tools tries to start it again.
    Down,
    /// It is not started, because it failed too often lately in sessions of the same principal.
    HeldBack,
}

impl ServerState {
    /// All states, the best first.
    pub const ALL: [Self; 4] = [Self::Up, Self::Restarting, Self::Down, Self::HeldBack];

    /// The state as it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Restarting => "restarting",
            Self::Down => "down",
            Self::HeldBack => "held_back",
        }
    }
}

/// How one of a session's MCP servers does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolSessionStatus {
    /// The server.
    pub server: ServerName,
    /// What its process is doing.
    pub state: ServerState,
    /// How many tools it offers; none when it is not up.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tools: Option<usize>,
    /// Why it is not up, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub problem: Option<String>,
    /// The code of the problem.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub code: Option<Code>,
    /// The tools that it lists and that are not offered: the first ones, where there are many.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left_out: Vec<LeftOutTool>,
}

/// A tool that an MCP server lists and that is not offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeftOutTool {
    /// The server's name for it.
    pub tool: String,
    /// Why it is left out, for people.
    pub reason: String,
}

/// How an MCP server does over all sandboxes of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHealth {
    /// The server.
    pub server: ServerName,
    /// How many of its processes are in which state; those without any are left out.
    pub processes: BTreeMap<ServerState, usize>,
    /// How many tools it offered when it was last up.
    pub tools: Option<usize>,
    /// How often its processes were started again since this process began.
    pub restarts: u64,
    /// Why it was last not up, with the code: for people, and without a word that a process itself said, since those of
    /// one session are nobody else's business.
    pub problem: Option<(Code, String)>,
    /// How long ago it last went up or down.
    pub since: Duration,
    /// The longest time for which it will not be started for a principal that it is held back for.
    pub held_back: Option<Duration>,
}

/// Connects the MCP servers of a sandbox.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ToolHost: Send + Sync {
    /// Starts `servers` in the sandbox side by side and lists their tools. A server that fails or stays mute is left out
    /// and reported in [`ToolSession::status`]; the others work. It may come up later: then its tools are added to
    /// [`ToolSession::tools`] and [`ToolSession::changes`] reports it. Bounded by the adapter's own deadlines.
    ///
    /// `Unavailable` if no server is up and the runtime is the reason for one of them: a session without tools would be
    /// of no use, and another start may succeed.
    ///
    /// `tenant` owns the session. Its failed starts hold a server back for nobody else. `None` for a sandbox that no tenant
    /// has used yet.
    async fn connect(
        &self,
        tenant: Option<PrincipalId>,
        sandbox: &SandboxId,
        servers: &[McpServer],
        progress: ProgressSink,
    ) -> Result<Arc<dyn ToolSession>, ToolHostError>;

    /// How each server does that was ever connected by this host, by its name. Empty for a host that does not keep it.
    fn health(&self) -> Vec<ServerHealth> {
        Vec::new()
    }
}

/// The connected MCP servers of one sandbox, as one list of tools.
///
/// Servers are strangers: whatever one sends, or fails to send, harms only its own calls.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ToolSession: Send + Sync {
    /// The tools, names unique, in a stable order. Tools are added while servers come up that were not; none are removed.
    fn tools(&self) -> Arc<[ToolDefinition]>;

    /// How each server does.
    fn status(&self) -> Vec<ToolSessionStatus>;

    /// Each change of a server's state from now on, until the session is closed. Who reads slowly misses some, and never the
    /// last. By default nothing ever changes.
    fn changes(&self) -> BoxStream<'static, ToolSessionStatus> {
        stream::pending().boxed()
    }

    /// Tools whose servers give another definition of them than before, each time that is seen: after a server said that its tools
    /// changed, and after its restart. Who reads slowly misses some, and never the last of a tool. By default none ever do.
    fn redefinitions(&self) -> BoxStream<'static, ToolDefinition> {
        stream::pending().boxed()
    }

    /// The session belongs to this tenant from now on, and so do the starts of its servers.
    fn assign(&self, tenant: &PrincipalId);

    /// From now on, calls of the tool are sent if its definition is the one with this fingerprint, and refused otherwise. Without
    /// it, that is the definition that [`tools`](Self::tools) offers.
    fn accept(&self, tool: &ToolName, fingerprint: &str);

    /// Calls a tool, once: a call is never repeated by the adapter. Whatever becomes of it is a result, also a time-out,
    /// a crash and a cancellation. `Err` means that nothing was sent to any server.
    async fn call(&self, tool: &ToolName, args: Value, context: CallContext) -> Result<ToolResult, ToolHostError>;

    /// Ends all servers. Calls that run come back with a result.
    async fn close(&self);
}
