use super::{ApprovalRequired, ApprovalResolved, HistorySnapshot, ToolCall, ToolError, ToolStarted};
use lockkeeper_domain::{
    Annotations, Attachment, CallId, ClientMessageId, Code, EventId, Failure, ServerName, SessionId, StopReason,
    Timestamp, TurnId, Usage,
};
use lockkeeper_ports::{CallProgress, ServerState, StartProgress};
use serde::{Serialize, Serializer};
use serde_json::Value;

/// An event from the server. It serialises as its payload; [`ServerEvent::name`] is what it is called.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ServerEvent {
    /// `system:ready`: the session's sandbox and tools are there.
    Ready(Box<Ready>),
    /// `system:progress`: the sandbox is being started.
    Progress(StartProgress),
    /// `system:message`: Lockkeeper has something to say.
    SystemMessage(String),
    /// `user:message`: a user's message was accepted.
    UserMessage(UserMessage),
    /// `agent:thinking`: the model is being asked. Its payload is `null`.
    Thinking,
    /// `agent:delta`: a piece of the answer's text.
    Delta(Piece),
    /// `agent:reasoning`: a piece of the reasoning's summary.
    Reasoning(Piece),
    /// `agent:response`: the whole text of the answer.
    Response(String),
    /// `agent:error`: the turn, or a command without an acknowledgement, failed.
    AgentError(AgentError),
    /// `tool:calls`: all calls of a step.
    ToolCalls(Vec<ToolCall>),
    /// `tool:approval_required`: a call waits for a human.
    ApprovalRequired(Box<ApprovalRequired>),
    /// `tool:approval_resolved`: it waits no longer.
    ApprovalResolved(ApprovalResolved),
    /// `tool:started`: a call runs.
    ToolStarted(ToolStarted),
    /// `tool:progress`: it goes on.
    ToolProgress(CallProgress),
    /// `tool:output`: its result's content, as a JSON string.
    ToolOutput(String),
    /// `tool:error`: it failed.
    ToolError(ToolError),
    /// `mcp:status`: one of the session's MCP servers went up or down.
    McpStatus(McpStatus),
    /// `turn:completed`: the turn's one end.
    TurnCompleted(TurnCompleted),
    /// `history:snapshot`: the session as it stands.
    Snapshot(Box<HistorySnapshot>),
    /// `session:expired`: the sandbox was removed; the history stays.
    Expired(Expired),
    /// `auth:expired`: the connection's token is over, and a fresh one is wanted.
    TokenExpired(Expiry),
    /// `error`: a reason. The server disconnects after it.
    Error(String),
}

impl ServerEvent {
    /// The event's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ready(_) => "system:ready",
            Self::Progress(_) => "system:progress",
            Self::SystemMessage(_) => "system:message",
            Self::UserMessage(_) => "user:message",
            Self::Thinking => "agent:thinking",
            Self::Delta(_) => "agent:delta",
            Self::Reasoning(_) => "agent:reasoning",
            Self::Response(_) => "agent:response",
            Self::AgentError(_) => "agent:error",
            Self::ToolCalls(_) => "tool:calls",
            Self::ApprovalRequired(_) => "tool:approval_required",
            Self::ApprovalResolved(_) => "tool:approval_resolved",
            Self::ToolStarted(_) => "tool:started",
            Self::ToolProgress(_) => "tool:progress",
            Self::ToolOutput(_) => "tool:output",
            Self::ToolError(_) => "tool:error",
            Self::McpStatus(_) => "mcp:status",
            Self::TurnCompleted(_) => "turn:completed",
            Self::Snapshot(_) => "history:snapshot",
            Self::Expired(_) => "session:expired",
            Self::TokenExpired(_) => "auth:expired",
            Self::Error(_) => "error",
        }
    }
}

/// The second argument of every event from the server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// The event's place in the session's log; absent on events that are not logged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<EventId>,
    /// The turn that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
    /// When it happened.
    pub at: Time,
    /// The call that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// Why the server disconnects, for programs; on `error` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

impl Meta {
    /// The meta of an event that is not logged.
    pub fn unlogged(at: Timestamp) -> Self {
        Self { at: Time(at), ..Self::default() }
    }
}

/// A time, written as RFC 3339 says, in UTC with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time(pub Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let (least, most) = (jiff::Timestamp::MIN, jiff::Timestamp::MAX);
        let millis = self.0.as_millis().clamp(least.as_millisecond(), most.as_millisecond());
        // The ends of time themselves are not whole milliseconds.
        let time = jiff::Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 { least } else { most });
        to.collect_str(&format_args!("{time:.3}"))
    }
}

/// `system:ready`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ready {
    /// The session.
    pub session_id: SessionId,
    /// Its sandbox, as the runtime calls it.
    pub container_id: String,
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// The tools that the model has.
    pub tools: Vec<Tool>,
    /// The version of the contract.
    pub protocol: u32,
    /// Where the log ends.
    pub last_event_id: EventId,
    /// Whether the session had been there before.
    pub resumed: bool,
    /// The calls that wait for a human now.
    pub pending: Vec<ApprovalRequired>,
    /// From when on the connection's token is good for nothing; absent where it does not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_expires_at: Option<Time>,
}

/// A tool that the model has.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// What its server calls it.
    pub name: String,
    /// Its server.
    pub server: ServerName,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does, in its server's words: untrusted.
    pub description: String,
    /// The JSON Schema of its arguments.
    pub input_schema: Value,
    /// Its server's hints about its effects: untrusted.
    pub annotations: Annotations,
}

/// `user:message`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserMessage {
    /// The text.
    pub text: String,
    /// Images that go with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<Attachment>,
    /// The client's own name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_message_id: Option<ClientMessageId>,
}

/// `agent:delta` and `agent:reasoning`: a piece of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Piece {
    /// The piece.
    pub text: String,
    /// The step of the turn, from 0.
    pub step: u32,
    /// Which attempt at the step: a higher one replaces the text of a lower one.
    pub attempt: u32,
}

/// `agent:error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentError {
    /// What failed, for people.
    pub message: String,
    /// What failed, for programs.
    pub code: Code,
    /// Whether the same may succeed later.
    pub retryable: bool,
    /// What to do about it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<Failure> for AgentError {
    fn from(Failure { code, message, hint }: Failure) -> Self {
        Self { message, code, retryable: code.is_retryable(), hint }
    }
}

/// `mcp:status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct McpStatus {
    /// The server.
    pub server: ServerName,
    /// What its process is doing.
    pub state: ServerState,
    /// How many tools it offers; 0 when it is not up.
    pub tools: usize,
    /// Why it is not up, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// The code of the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// `turn:completed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnCompleted {
    /// Why it ended.
    pub stop_reason: StopReason,
    /// What all its steps cost.
    pub usage: Usage,
    /// How many calls the model asked for.
    pub tool_calls: u32,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

/// `auth:expired`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Expiry {
    /// Since when the token is good for nothing.
    pub expired_at: Time,
    /// When the server disconnects, unless a fresh token comes first.
    pub closes_at: Time,
}

/// `session:expired`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Expired {
    /// Why, for people.
    pub reason: String,
}
