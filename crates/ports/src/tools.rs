use crate::{ProgressSink, SandboxId};
use async_trait::async_trait;
use lockkeeper_domain::{CallId, Code, ServerName, ToolDefinition, ToolName, ToolResult};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
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
}

/// News of a running call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

/// What goes with a call.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// Which call.
    pub call: CallId,
    /// Takes the call's progress. When it is full, progress is dropped.
    pub progress: mpsc::Sender<CallProgress>,
    /// Cancels the call: the server is told, and the call returns at once.
    pub cancel: CancellationToken,
}

/// Why the tools of a session cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ToolHostError {
    /// The sandbox is gone. The caller starts another one.
    #[error("the sandbox is gone")]
    SandboxGone,
    /// No tool has this name.
    #[error("no tool is called {0}")]
    UnknownTool(ToolName),
}

/// How one of a session's MCP servers does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolSessionStatus {
    /// The server.
    pub server: ServerName,
    /// How many tools it offers; none when it is down.
    pub tools: Option<usize>,
    /// Why it is down, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The code of the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// Connects the MCP servers of a sandbox.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ToolHost: Send + Sync {
    /// Starts `servers` in the sandbox side by side and lists their tools. A server that fails or stays mute is left out
    /// and told in [`ToolSession::status`]; the others work. Bounded by the adapter's own deadlines.
    async fn connect(
        &self,
        sandbox: &SandboxId,
        servers: &[McpServer],
        progress: ProgressSink,
    ) -> Result<Arc<dyn ToolSession>, ToolHostError>;
}

/// The connected MCP servers of one sandbox, as one list of tools.
///
/// Servers are strangers: whatever one sends, or fails to send, harms only its own calls.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ToolSession: Send + Sync {
    /// The tools, names unique, in a stable order.
    fn tools(&self) -> Arc<[ToolDefinition]>;

    /// How each server does.
    fn status(&self) -> Vec<ToolSessionStatus>;

    /// Calls a tool, once: a call is never repeated by the adapter. Whatever becomes of it is a result, also a time-out,
    /// a crash and a cancellation. `Err` means that nothing was sent to any server.
    async fn call(&self, tool: &ToolName, args: Value, context: CallContext) -> Result<ToolResult, ToolHostError>;

    /// Ends all servers. Calls that run come back with a result.
    async fn close(&self);
}
