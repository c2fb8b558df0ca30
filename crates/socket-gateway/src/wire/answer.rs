use super::{Budgets, FileRule, HistoryEntry, SessionEntry, StoredRule, Time};
use lockkeeper_domain::{Code, Failure, RuleId, TurnId};
use lockkeeper_orchestrator::{FilePart, Listing};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// The acknowledgement of a command that was followed: `{ ok: true, .. }`.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It was followed.
    Done,
    /// A message was accepted.
    Accepted(Accepted),
    /// An answer for a call was taken.
    Decided(Decided),
    /// The rules that are about the principal's calls.
    Rules(Rules),
    /// A part of the history.
    History(Page),
    /// What was spent, and may be.
    Budgets(Box<Budgets>),
    /// A fresh token was taken.
    Refreshed(Refreshed),
    /// What a directory of the sandbox holds.
    Directory(Listing),
    /// A part of a file of the sandbox.
    File(FilePart),
    /// The caller's sessions.
    Sessions(Sessions),
}

/// What acknowledges a command about which there is no more to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Done {}

/// What acknowledges a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Accepted {
    /// Its turn.
    pub turn: TurnId,
    /// Whether it had been accepted before.
    pub duplicate: bool,
}

/// What acknowledges an answer for a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decided {
    /// The rule that an approval for always has stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule_id: Option<RuleId>,
}

/// The rules that are about the caller's calls.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rules {
    /// Those that approvals for always have stored, the first stored first.
    pub rules: Vec<StoredRule>,
    /// Those of the operator, which stand above them.
    pub file_rules: Vec<FileRule>,
}

/// A part of the history.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "HistoryPage")]
pub struct Page {
    /// The messages, oldest first.
    pub messages: Vec<HistoryEntry>,
    /// The place to ask for next, for older ones; none at the beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<usize>,
}

/// What acknowledges a fresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refreshed {
    /// Until when it is good; none where it does not end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// What acknowledges a request for the sessions.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Sessions {
    /// The last used first.
    pub sessions: Vec<SessionEntry>,
}

/// An answer and that there is one.
#[derive(Serialize)]
struct Followed<T> {
    ok: bool,
    #[serde(flatten)]
    answer: T,
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Done => Followed { ok: true, answer: Done {} }.serialize(to),
            Self::Accepted(answer) => Followed { ok: true, answer }.serialize(to),
            Self::Decided(answer) => Followed { ok: true, answer }.serialize(to),
            Self::Rules(answer) => Followed { ok: true, answer }.serialize(to),
            Self::History(answer) => Followed { ok: true, answer }.serialize(to),
            Self::Refreshed(answer) => Followed { ok: true, answer }.serialize(to),
            Self::Directory(answer) => Followed { ok: true, answer }.serialize(to),
            Self::File(answer) => Followed { ok: true, answer }.serialize(to),
            Self::Budgets(answer) => Followed { ok: true, answer }.serialize(to),
            Self::Sessions(answer) => Followed { ok: true, answer }.serialize(to),
        }
    }
}

/// The acknowledgement of a command that was not followed: `{ ok: false, code, message, hint? }`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Refused {
    /// `false`.
    pub ok: bool,
    /// Why, for programs.
    pub code: Code,
    /// Why, for people.
    pub message: String,
    /// Whether the same may succeed later.
    pub retryable: bool,
    /// What to do about it, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl From<Failure> for Refused {
    fn from(Failure { code, message, hint }: Failure) -> Self {
        Self { ok: false, code, message, retryable: code.is_retryable(), hint }
    }
}
