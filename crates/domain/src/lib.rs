//! Lockkeeper's values and rules.
//!
//! Nothing in this crate does I/O, reads a clock or awaits: every function is decided by its
//! arguments alone, so that the rules of a session can be tested without a server around them.
//!
//! - [`Session`] is the aggregate. It takes [`Command`]s, and answers with [`Event`]s for the log, messages for
//!   the history, and [`Effect`]s for the outside world. Folding its events gives the same session again.
//! - [`Turn`] is the state machine of one question and its answer, with all tool calls in between.
//! - [`Window`] says which part of a history a model may see.
//! - [`Policy`] says which tool calls run, which ask a human and which are refused.

mod audit;
mod budget;
mod code;
mod digest;
mod event;
mod ground;
mod id;
mod message;
mod policy;
mod power;
mod record;
mod session;
mod time;
mod title;
mod tool;
mod turn;
mod window;

pub use audit::{
    AuditKey, AuditLog, AuditRecord, AuditSeal, AuditedSession, ChainHead, Entry, Flaw, JudgedRecord, Link, Verified,
};
pub use budget::{Ceiling, Day, Measure, Spend};
pub use code::Code;
pub use digest::{Digest, InvalidDigest};
pub use event::{
    ApprovalRequired, ApprovalResolved, BudgetAnswered, BudgetAsked, BudgetOf, CallGate, CallStatus, Decision, Event,
    EventBody, Failure, NoticeKind, Scope, StopReason, ToolCalls, ToolQuarantined, ToolSettled, ToolTrusted,
    TurnCompleted, Usage, Via,
};
pub use ground::Ground;
pub use id::{
    CallId, ClientMessageId, Epoch, EventId, InvalidId, PrincipalId, QuestionId, RequestId, RuleId, Seq, SessionId,
    TurnId, WorkspaceId,
};
pub use message::{AssistantMessage, Attachment, CallResult, Message, Replay, ToolCall, UserMessage};
pub use policy::{
    ArgumentRule, Asked, DecisionRule, Denials, Fate, Grant, GrantScope, HintRule, PastCall, Policy, Rule, RuleIntent,
    StoredRule, Verdict, inexact_number,
};
pub use power::{Power, Powers};
pub use record::{Lease, SandboxRef, SessionRecord};
pub use session::{
    Answer, BudgetAnswer, Changes, Command, Effect, JudgedCall, Judgement, ModelOutcome, Reaction, Refusal, Reply,
    Rules, Said, Session, SessionState,
};
pub use time::Timestamp;
pub use title::SessionTitle;
pub use tool::{Annotations, Content, KnownContent, Outcome, ServerName, ToolDefinition, ToolName, ToolResult};
pub use turn::{CallView, Turn};
pub use window::{HistoryLimits, Window};
