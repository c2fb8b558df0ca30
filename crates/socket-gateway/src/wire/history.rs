use super::{ApprovalRequired, BudgetAsked, Time};
use lockkeeper_domain::{
    Attachment, CallId, CallResult, ClientMessageId, Code, Content, Digest, EventId, Message, Outcome, ServerName,
    ToolCall, TurnId,
};
use lockkeeper_orchestrator::{HistoryPage, OpenCall, Snapshot};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// `history:snapshot`: the session as it stands, for a view that does not know how far it had come.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistorySnapshot {
    /// The last event that it accounts for.
    pub last_event_id: EventId,
    /// The messages, oldest first.
    pub messages: Vec<HistoryMessage>,
    /// The open turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turn: Option<TurnId>,
    /// What the open turn's answer said so far.
    pub partial: String,
    /// The step of the turn that said so; absent where nothing was said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_step: Option<u32>,
    /// Which attempt at the step: a delta of a higher one replaces `partial`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partial_attempt: Option<u32>,
    /// Whether the model is being asked right now.
    pub thinking: bool,
    /// The calls without a result.
    pub calls: Vec<HistoryCall>,
    /// The calls that wait for a human.
    pub pending: Vec<ApprovalRequired>,
    /// The question whether the open turn may go on, while a human is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetAsked>,
}

/// A message of the history.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "role", rename_all = "lowercase", rename_all_fields = "camelCase")]
pub enum HistoryMessage {
    /// What a user said.
    User {
        /// The turn that it opens.
        turn: TurnId,
        /// When it was accepted.
        at: Time,
        /// The text.
        text: String,
        /// Images that go with it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        attachments: Vec<Attachment>,
        /// The client's own name for it.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_message_id: Option<ClientMessageId>,
    },
    /// What the model said.
    Assistant {
        /// The turn that it belongs to.
        turn: TurnId,
        /// When it was complete.
        at: Time,
        /// The text.
        text: String,
        /// A summary of its reasoning.
        #[serde(skip_serializing_if = "Option::is_none")]
        reasoning: Option<String>,
        /// The calls that it asks for.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        calls: Vec<HistoryCall>,
    },
    /// What the calls of the message before it came to.
    Tool {
        /// The turn that it belongs to.
        turn: TurnId,
        /// When the last result was there.
        at: Time,
        /// The results, in the order of the calls.
        results: Vec<HistoryResult>,
    },
}

/// A call of the history.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryCall {
    /// Which call.
    pub call_id: CallId,
    /// The tool, as its server calls it.
    pub name: String,
    /// The tool's server.
    pub server: Option<ServerName>,
    /// The arguments.
    pub args: Value,
    /// The arguments as the exact JSON text that runs.
    pub args_text: String,
    /// Whether it waits for a human; on calls without a result alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<bool>,
    /// What an answer is bound to; on calls that wait alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// A result of the history.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryResult {
    /// Which call.
    pub call_id: CallId,
    /// What it said, in the form that MCP gives it.
    pub content: Vec<Content>,
    /// Why it failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
}

/// A message and its place in the history.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct HistoryEntry {
    /// Its place.
    pub index: usize,
    /// The message.
    #[serde(flatten)]
    pub message: HistoryMessage,
}

/// The session as it stands.
pub(crate) fn snapshot(snapshot: Snapshot) -> HistorySnapshot {
    let Snapshot { last, messages, turn, partial, partial_of, thinking, calls, pending, budget } = snapshot;
    let (partial_step, partial_attempt) = partial_of.unzip();
    let open = |open: OpenCall| HistoryCall { waiting: Some(open.waiting), digest: open.digest, ..open.call.into() };
    HistorySnapshot {
        last_event_id: last,
        messages: messages.into_iter().map(Into::into).collect(),
        turn,
        partial,
        partial_step,
        partial_attempt,
        thinking,
        calls: calls.into_iter().map(open).collect(),
        pending: pending.into_iter().map(|(_, approval)| approval.into()).collect(),
        budget: budget.map(Into::into),
    }
}

/// A part of the history, and the place to ask for next.
pub(crate) fn page(page: HistoryPage) -> (Vec<HistoryEntry>, Option<usize>) {
    let entry = |(index, message): (usize, Message)| HistoryEntry { index, message: message.into() };
    (page.messages.into_iter().map(entry).collect(), page.before)
}

impl From<Message> for HistoryMessage {
    fn from(message: Message) -> Self {
        match message {
            Message::User { turn, at, message } => Self::User {
                turn,
                at: Time(at),
                text: message.text,
                attachments: message.attachments,
                client_message_id: message.client_message_id,
            },
            Message::Assistant { turn, at, message } => Self::Assistant {
                turn,
                at: Time(at),
                text: message.text,
                reasoning: message.reasoning,
                calls: message.calls.into_iter().map(Into::into).collect(),
            },
            Message::Tool { turn, at, results } => {
                Self::Tool { turn, at: Time(at), results: results.into_iter().map(Into::into).collect() }
            }
        }
    }
}

impl From<ToolCall> for HistoryCall {
    fn from(call: ToolCall) -> Self {
        let args_text = call.args.to_string();
        let (call_id, name, server, args) = (call.id, call.tool, call.server, call.args);
        Self { call_id, name, server, args, args_text, waiting: None, digest: None }
    }
}

impl From<CallResult> for HistoryResult {
    fn from(result: CallResult) -> Self {
        let code = match result.result.outcome {
            Outcome::Succeeded => None,
            Outcome::Failed(code) => Some(code),
        };
        Self { call_id: result.call, content: result.result.content, code }
    }
}
