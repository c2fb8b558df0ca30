mod approval;
mod budget;
mod end;

pub use approval::{ApprovalRequired, ApprovalResolved, Decision, Scope, Via};
pub use budget::{BudgetAnswered, BudgetAsked, BudgetOf};
pub use end::{StopReason, TurnCompleted, Usage};

use crate::{
    Annotations, AssistantMessage, CallId, Code, Digest, EventId, GrantScope, Link, PrincipalId, RequestId, Rule,
    RuleId, ServerName, Timestamp, ToolDefinition, ToolResult, TurnId, UserMessage,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A numbered entry of a session's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its place in the log, and who wrote it.
    pub id: EventId,
    /// The turn that it belongs to, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub turn: Option<TurnId>,
    /// When it was written.
    pub at: Timestamp,
    /// What happened.
    pub body: EventBody,
    /// Its place in the audit, where it belongs there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub link: Option<Link>,
    /// The command that it follows from, where that must not be followed twice.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request: Option<RequestId>,
}

/// What happened in a session. Each kind is one event of the Socket.IO contract.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventBody {
    /// `system:message`: Lockkeeper has something to say.
    Notice {
        /// What it is about.
        kind: NoticeKind,
        /// The words.
        text: String,
    },
    /// `user:message`: a user's message was accepted.
    UserMessage {
        /// The message.
        message: UserMessage,
    },
    /// `agent:delta`: a piece of the answer's text.
    Delta {
        /// The step of the turn, from 0.
        step: u32,
        /// Which attempt at the step: a higher one replaces the text of a lower one.
        attempt: u32,
        /// The piece.
        text: String,
    },
    /// `agent:reasoning`: a piece of the reasoning's summary.
    Reasoning {
        /// The step of the turn, from 0.
        step: u32,
        /// Which attempt at the step.
        attempt: u32,
        /// The piece.
        text: String,
    },
    /// `tool:calls`: a step ended with calls.
    ToolCalls(ToolCalls),
    /// `tool:approval_required`: a call waits for a human.
    ApprovalRequired(ApprovalRequired),
    /// `tool:approval_resolved`: it waits no longer.
    ApprovalResolved(ApprovalResolved),
    /// `tool:started`: a call is about to run. Written before the first byte reaches the tool, so that a call that
    /// was cut off is known to have an unknown outcome.
    ToolStarted {
        /// Which call.
        call: CallId,
        /// The tool's server.
        server: Option<ServerName>,
        /// What its server calls the tool.
        tool: String,
    },
    /// `tool:output` or `tool:error`: a call's one result.
    ToolSettled(ToolSettled),
    /// `agent:response`: the whole answer.
    Response {
        /// What the model said.
        message: AssistantMessage,
        /// What its last step cost.
        usage: Usage,
    },
    /// `agent:error`: the turn, or something outside of one, failed.
    Failure(Failure),
    /// `tool:quarantined`: a tool is not what was judged in this session before. It is neither shown to the model nor run.
    ToolQuarantined(Box<ToolQuarantined>),
    /// `tool:trusted`: a human takes it as it is now.
    ToolTrusted(ToolTrusted),
    /// `turn:completed`: the turn's one end.
    TurnCompleted(TurnCompleted),
    /// `budget:asked`: a turn would cost more than there is, and waits for a human.
    BudgetAsked(BudgetAsked),
    /// `budget:answered`: it waits no longer.
    BudgetAnswered(BudgetAnswered),
    /// `session:expired`: the sandbox was removed; the history stays.
    SessionExpired {
        /// Why, for people.
        reason: String,
    },
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// The history was emptied at a client's wish.
    HistoryReset,
    /// The session was ended at a client's wish.
    SessionEnded,
    /// A fresh sandbox stands in for one that is gone.
    SandboxReplaced,
    /// Some of the session's tools are not there.
    ToolsUnavailable,
    /// The conversation is too long for the model, which is shown less of it.
    WindowShrunk,
    /// The server continues a turn that another process left.
    TurnResumed,
    /// Another model answers from the next turn on.
    ModelChanged,
    /// The model's provider refused a part of the request, which was sent without it.
    RequestAdjusted,
}

/// What a model's step came to: calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolCalls {
    /// The step of the turn, from 0.
    pub step: u32,
    /// What the model said, calls included.
    pub message: AssistantMessage,
    /// What the gate says of each call, in their order.
    pub gates: Vec<CallGate>,
    /// What the step cost.
    pub usage: Usage,
}

/// What the gate says of a call before anyone was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallGate {
    /// Where the call stands.
    pub status: CallStatus,
    /// Which rule decided so, and why, for people.
    pub why: String,
    /// The tool's hints about its effects.
    #[serde(default)]
    pub annotations: Annotations,
    /// The hash of the tool's definition that was judged; empty when there is no such tool.
    #[serde(default)]
    pub fingerprint: String,
    /// The stored rule that lets the call run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rule: Option<RuleId>,
    /// The rule that an approval for always stores, where that is offered.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub always: Option<Rule>,
    /// The tool as it was judged, where no call of it was judged in the session before: it is pinned by this.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pin: Option<Box<ToolDefinition>>,
    /// The scopes that an approval for the session may have, where that is offered.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub scopes: Vec<GrantScope>,
    /// Whether a grant for the session lets the call run: then it is bound to the workspace, like an approval.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub granted: bool,
    /// What a call that a rule lets run is bound to; a call that waits is bound by
    /// its question, and until that is asked by this: an answer may come before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
}

/// A tool has another definition than the one that is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolQuarantined {
    /// What it was when it was first judged, or last trusted.
    pub before: ToolDefinition,
    /// What it is.
    pub after: ToolDefinition,
}

/// A human takes a tool as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolTrusted {
    /// The tool's server.
    pub server: ServerName,
    /// What its server calls the tool.
    pub tool: String,
    /// The definition that is trusted, as the human was shown it.
    pub fingerprint: String,
    /// Who says so.
    pub by: PrincipalId,
}

/// Where a call stands when it is first shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallStatus {
    /// It waits for a human.
    Waiting,
    /// A rule lets it run.
    Allowed,
    /// It will not run; its result says why.
    Refused,
}

/// A call's one result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSettled {
    /// Which call.
    pub call: CallId,
    /// What its server calls the tool.
    pub tool: String,
    /// What it came to.
    pub result: ToolResult,
}

/// Something failed, and people should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What, for programs.
    pub code: Code,
    /// What, for people.
    pub message: String,
    /// What to do about it, for people.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The same failure, with what to do about it.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}
