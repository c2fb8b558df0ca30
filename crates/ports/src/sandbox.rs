use crate::Availability;
use async_trait::async_trait;
use futures::future::BoxFuture;
use lockkeeper_domain::{Epoch, ServerName, SessionId, Timestamp};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};
use tokio::io::{AsyncRead, AsyncWrite};

/// The runtime's name for a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SandboxId(String);

impl SandboxId {
    /// The sandbox that its runtime calls `id`.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which sandbox is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxSpec {
    /// The session that it belongs to: one session never sees another one's files or processes.
    pub session: SessionId,
    /// The fence: the epoch of the lease under which it is started. A sandbox of an older epoch is an orphan.
    pub epoch: Epoch,
}

/// A sandbox that exists, as its runtime lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxSummary {
    /// Its name.
    pub id: SandboxId,
    /// Whose it is.
    pub session: SessionId,
    /// Under which lease it was started.
    pub epoch: Epoch,
    /// When it was started.
    pub created_at: Timestamp,
}

/// A stage of a sandbox's start, for people who wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StartProgress {
    /// Which stage: `creating`, `starting`, `connecting`, and `listing` once an MCP server has answered.
    pub stage: String,
    /// `running`, `done` or `failed`.
    pub status: String,
    /// What happens, for people.
    pub message: String,
    /// How much of it is done.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub current: Option<u64>,
    /// Of how much.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub total: Option<u64>,
    /// Of what.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unit: Option<String>,
    /// Since the start began, in milliseconds.
    pub elapsed_ms: u64,
}

/// Takes progress; never blocks.
pub type ProgressSink = Arc<dyn Fn(StartProgress) + Send + Sync>;

/// What to run in a sandbox.
#[derive(Clone, Debug)]
pub struct ExecSpec {
    /// The MCP server that the process belongs to. Two servers of a sandbox are two users to each other: see
    /// [`SandboxRuntime`].
    pub server: ServerName,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Environment variables of this process alone; they never reach the sandbox's description. The runtime adds
    /// `PATH`, `HOME`, `TMPDIR` and `LANG`.
    pub env: BTreeMap<String, SecretString>,
}

/// How a process of a sandbox ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecStatus {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal; 9 is also what a process killed for its memory gets.
    Signalled(i32),
    /// Nobody knows: the sandbox or its engine is gone.
    Lost(String),
}

/// A running process of a sandbox. Dropping it ends the process and everything that it started.
pub struct Exec {
    /// Its standard input. `shutdown` closes it, which well-behaved servers take as the wish to end.
    pub stdin: Box<dyn AsyncWrite + Send + Unpin>,
    /// Its standard output, and nothing else.
    pub stdout: Box<dyn AsyncRead + Send + Unpin>,
    /// Its standard error. Whoever holds it must read it, or the process blocks.
    pub stderr: Box<dyn AsyncRead + Send + Unpin>,
    /// Resolves when the process has ended, with how. The end of `stdout` alone says nothing about success.
    pub status: BoxFuture<'static, ExecStatus>,
    /// Ends the process and everything that it started, when called or dropped.
    pub kill: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Exec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exec").finish_non_exhaustive()
    }
}

/// What keeps a sandbox's processes from the rest of the machine, in words for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Isolation {
    /// The runtime: `local`, `docker`.
    pub runtime: String,
    /// What isolates, in a few words: `bubblewrap namespaces, seccomp, no network`.
    pub holds: String,
    /// What is not held, in a few words; empty when nothing needs to be said.
    pub gaps: String,
    /// Whether nothing at all isolates: `dev` then asks before it runs anything, and `serve` refuses.
    pub none: bool,
}

/// Why there is no sandbox, or no process in one. `StartTimeout` and `Unavailable` are the runtime's own faults and say
/// nothing about the command.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// No sandbox has this id (any more). The caller starts another one.
    #[error("the sandbox is gone")]
    Gone,
    /// It took longer than its deadline. What was started is removed.
    #[error("the sandbox did not start within {0:?}")]
    StartTimeout(Duration),
    /// The command cannot be run in the sandbox. The configuration must change.
    #[error("{command} cannot be run in the sandbox: {reason}")]
    CannotExec {
        /// The program.
        command: String,
        /// Why.
        reason: String,
    },
    /// The runtime does not answer, or refuses. To be tried again later.
    #[error("the sandbox runtime is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Ephemeral, isolated places in which a session's MCP servers run.
///
/// - `start` is bounded by the adapter's own deadline; when it fails, nothing of it is left.
/// - A sandbox has one workspace, `/workspace` to its processes, which is its processes' working directory. No two
///   sandboxes share anything.
/// - Processes of different servers share the workspace and nothing else that a runtime can keep apart: no server reads
///   another one's environment, memory, descriptors or `HOME`, and none can signal another one's processes. `HOME` and
///   `TMPDIR` belong to the server alone. A runtime that isolates nothing is exempt.
/// - `stop` ends every process of the sandbox, whatever it does about it, and removes its files. It is idempotent: an
///   unknown sandbox is a success.
/// - When the server process dies, its sandboxes' processes end without its help.
/// - A runtime that does not answer says so in `availability`, and gives up no sandbox for it: what is there when it
///   answers again goes on.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait SandboxRuntime: Send + Sync {
    /// What keeps the sandboxes of this runtime from the rest of this machine.
    fn isolation(&self) -> Isolation;

    /// Returns whether the runtime answers, to be watched. By default it is never away.
    fn availability(&self) -> Availability {
        Availability::always()
    }

    /// Looks whether a sandbox is there and runs: `Gone` if it does not, `Unavailable` if the runtime cannot tell. Asks
    /// the runtime each time. By default every sandbox is there.
    async fn inspect(&self, sandbox: &SandboxId) -> Result<(), SandboxError> {
        let _ = sandbox;
        Ok(())
    }

    /// Starts a sandbox. Its name is unique to the pair of session and epoch.
    async fn start(&self, spec: &SandboxSpec, progress: ProgressSink) -> Result<SandboxId, SandboxError>;

    /// Starts a sandbox that belongs to no session yet, so that one need not wait for it later. `list` does not show it
    /// before it is adopted; when the server process dies, it goes without anyone's help. `None`: the runtime's starts are
    /// so quick that it keeps none in reserve.
    async fn reserve(&self) -> Result<Option<SandboxId>, SandboxError> {
        Ok(None)
    }

    /// Gives a reserved sandbox, with the processes that run in it, to a session: once, and to one alone. From now on it
    /// goes by the id that is returned, and `list` shows it soon. `Gone` if it is not there any more or was adopted before.
    async fn adopt(&self, reserved: &SandboxId, spec: &SandboxSpec) -> Result<SandboxId, SandboxError> {
        let _ = (reserved, spec);
        Err(SandboxError::Gone)
    }

    /// Runs a process in it, in its workspace.
    async fn exec(&self, sandbox: &SandboxId, spec: &ExecSpec) -> Result<Exec, SandboxError>;

    /// Removes it.
    async fn stop(&self, sandbox: &SandboxId) -> Result<(), SandboxError>;

    /// All sandboxes of this deployment, those of earlier server processes included.
    async fn list(&self) -> Result<Vec<SandboxSummary>, SandboxError>;
}
