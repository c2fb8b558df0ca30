use super::Time;
use lockkeeper_domain::{self as domain, BudgetOf, Ceiling, Measure, PrincipalId, QuestionId, Spend};
use lockkeeper_orchestrator as orchestrator;
use lockkeeper_ports::Balance;
use schemars::JsonSchema;
use serde::Serialize;

/// What was spent, and may be: the answer to `usage:get`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Budgets {
    /// By this session, from its beginning on.
    pub session: Account,
    /// By all of your sessions, today.
    pub day: Account,
    /// The limits.
    pub limits: Limits,
}

/// Where an account stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// The day in UTC; absent for a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// What was spent: `tokens`, `toolCalls`, `wallMs`.
    #[serde(flatten)]
    pub spent: Spend,
    /// What is set aside for work that goes on.
    pub held: Spend,
}

/// The limits; what is absent has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Of a session.
    pub session: Ceiling,
    /// Of a principal's day.
    pub day: Ceiling,
    /// What happens beyond: `stop` or `ask`.
    pub on_exceeded: &'static str,
}

/// `budget:asked`: a turn would cost more than there is, and waits for a human's `budget:answer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetAsked {
    /// The question's name: the answer gives it back as `question`. None where a server of an earlier version asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<QuestionId>,
    /// Whose budget it is.
    pub of: BudgetOf,
    /// What there is not enough of.
    pub measure: Measure,
    /// How much is spent or set aside.
    pub taken: u64,
    /// How much there is in all.
    pub limit: u64,
    /// When silence is a no.
    pub expires_at: Time,
}

/// `budget:answered`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BudgetAnswered {
    /// The question that is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub question: Option<QuestionId>,
    /// Whether the turn goes on.
    pub go_on: bool,
    /// Who said so; none when time did, or the end of the turn.
    pub by: Option<PrincipalId>,
}

impl From<orchestrator::Usage> for Budgets {
    fn from(usage: orchestrator::Usage) -> Self {
        let account = |Balance { spent, held }, date| Account { date, spent, held };
        Self {
            session: account(usage.session, None),
            day: account(usage.day, Some(usage.date.to_string())),
            limits: Limits {
                session: usage.session_limits,
                day: usage.day_limits,
                on_exceeded: usage.on_exceeded.as_str(),
            },
        }
    }
}

impl From<domain::BudgetAsked> for BudgetAsked {
    fn from(asked: domain::BudgetAsked) -> Self {
        let domain::BudgetAsked { question, of, measure, taken, limit, expires_at } = asked;
        Self { question, of, measure, taken, limit, expires_at: Time(expires_at) }
    }
}

impl From<domain::BudgetAnswered> for BudgetAnswered {
    fn from(answered: domain::BudgetAnswered) -> Self {
        let domain::BudgetAnswered { question, go_on, by, via: _ } = answered;
        Self { question, go_on, by }
    }
}
