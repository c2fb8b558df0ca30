use super::catalogue::server_events;
use super::{
    ApprovalRequired, ApprovalResolved, BudgetAnswered, BudgetAsked, HistorySnapshot, ToolCall, ToolError,
    ToolQuarantined, ToolStarted, ToolTrusted,
};
use lockkeeper_domain::{
    Annotations, Attachment, CallId, ClientMessageId, Code, EventId, Failure, ServerName, SessionId, StopReason,
    Timestamp, TurnId, Usage,
};
use lockkeeper_ports::{CallProgress, LeftOutTool, ServerState, StartProgress};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;

server_events! {
    /// The session's sandbox and tools are there: the first event that says where the session stands.
    Ready(Box<Ready>) = "system:ready", logged: Never;
    /// How the sandbox gets on while it is started.
    Progress(StartProgress) = "system:progress", logged: Never;
    /// Lockkeeper has something to say, in a sentence for people.
    SystemMessage(String) = "system:message", logged: Always;
    /// A user's message was accepted. It comes to every view, so that every tab shows it.
    UserMessage(UserMessage) = "user:message", logged: Always;
    /// The model is being asked. The payload is `null`.
    Thinking = "agent:thinking", logged: Never;
    /// A piece of the answer's text.
    Delta(Piece) = "agent:delta", logged: Always;
    /// A piece of a summary of the model's reasoning.
    Reasoning(Piece) = "agent:reasoning", logged: Always;
    /// The whole text of the answer.
    Response(String) = "agent:response", logged: Always;
    /// The turn failed; or a command without an acknowledgement did, and then it is not logged.
    AgentError(AgentError) = "agent:error", logged: Sometimes;
    /// All calls of a step at once, in the model's order.
    ToolCalls(Vec<ToolCall>) = "tool:calls", logged: Always;
    /// A call waits for a human: one at a time, in order.
    ApprovalRequired(Box<ApprovalRequired>) = "tool:approval_required", logged: Always;
    /// A call waits no longer: every view closes its card.
    ApprovalResolved(ApprovalResolved) = "tool:approval_resolved", logged: Always;
    /// A tool has another definition than before: it is neither shown to the model nor run until somebody trusts it.
    ToolQuarantined(Box<ToolQuarantined>) = "tool:quarantined", logged: Always;
    /// Somebody takes a tool that was held back as it is now.
    ToolTrusted(ToolTrusted) = "tool:trusted", logged: Always;
    /// A call is about to run.
    ToolStarted(ToolStarted) = "tool:started", logged: Always;
    /// How a call gets on, in the words of its tool.
    ToolProgress(CallProgress) = "tool:progress", logged: Never;
    /// A call succeeded. The payload is its result's content in MCP's form, written as a string of JSON.
    ToolOutput(String) = "tool:output", logged: Always;
    /// A call came to nothing: it failed, was denied, or was cancelled.
    ToolError(ToolError) = "tool:error", logged: Always;
    /// One of the session's MCP servers went up or down.
    McpStatus(McpStatus) = "mcp:status", logged: Never;
    /// The turn's one end. Each turn has it, whatever became of it.
    TurnCompleted(TurnCompleted) = "turn:completed", logged: Always;
    /// The session as it stands, where `lastEventId` is older than what is kept, or was not given.
    Snapshot(Box<HistorySnapshot>) = "history:snapshot", logged: Never;
    /// The session's sandbox was removed; its history stays.
    Expired(Expired) = "session:expired", logged: Always;
    /// The turn would cost more than there is, and waits for a human's `budget:answer`.
    BudgetAsked(BudgetAsked) = "budget:asked", logged: Always;
    /// Somebody said whether such a turn goes on, or nobody did in time.
    BudgetAnswered(BudgetAnswered) = "budget:answered", logged: Always;
    /// The connection's token is over, and a fresh one is wanted: see `auth:refresh`.
    TokenExpired(Expiry) = "auth:expired", logged: Never;
    /// The server refuses the connection, for a reason in a sentence, and disconnects.
    Error(String) = "error", logged: Never;
}

/// The second argument of every event from the server, for clients that ask for version 2.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
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

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

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
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Piece {
    /// The piece.
    pub text: String,
    /// The step of the turn, from 0.
    pub step: u32,
    /// Which attempt at the step: a higher one replaces the text of a lower one.
    pub attempt: u32,
}

/// `agent:error`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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

impl AgentError {
    /// The error as a sentence, with the hint.
    pub fn sentence(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{} {hint}", self.message),
            None => self.message.clone(),
        }
    }
}

impl From<Failure> for AgentError {
    fn from(Failure { code, message, hint }: Failure) -> Self {
        Self { message, code, retryable: code.is_retryable(), hint }
    }
}

/// `mcp:status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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
    /// The tools that it lists and that are not offered, with the reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub left_out: Vec<LeftOutTool>,
}

/// `turn:completed`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expiry {
    /// Since when the token is good for nothing.
    pub expired_at: Time,
    /// When the server disconnects, unless a fresh token comes first.
    pub closes_at: Time,
}

/// `session:expired`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Expired {
    /// Why, for people.
    pub reason: String,
}
