use super::Via;
use crate::{Measure, PrincipalId, QuestionId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose budget it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetOf {
    /// The session's.
    Session,
    /// Its owner's for the day.
    Day,
}

/// A turn would cost more than there is, and a human is asked whether it goes on to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetAsked {
    /// Its name, which the answer gives; none in logs of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub question: Option<QuestionId>,
    /// Whose budget it is.
    pub of: BudgetOf,
    /// What there is not enough of.
    pub measure: Measure,
    /// How much of it is spent or set aside.
    pub taken: u64,
    /// How much of it there is in all.
    pub limit: u64,
    /// When silence is a no.
    pub expires_at: Timestamp,
}

/// A human said whether the turn goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetAnswered {
    /// The question that is closed; none in logs of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub question: Option<QuestionId>,
    /// Whether it does.
    pub go_on: bool,
    /// Who said so; none when time did, or the end of the turn.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub by: Option<PrincipalId>,
    /// By which way. For the log alone.
    #[serde(skip_serializing_if = "Via::is_unknown", default)]
    pub via: Via,
}
