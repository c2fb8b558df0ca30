use super::{Rules, Time};
use lockkeeper_domain::{self as domain, Rule, RuleId};
use lockkeeper_orchestrator::RuleList;
use schemars::JsonSchema;
use serde::Serialize;

/// A rule that an approval for always has stored.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StoredRule {
    /// Its name, for `policy:revoke`.
    pub id: RuleId,
    /// The rule, as a configuration has it.
    pub rule: Rule,
    /// When it was stored.
    pub created_at: Time,
    /// When it last let a call run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<Time>,
}

/// A rule of the operator's, which stands above stored ones.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct FileRule {
    /// What people call it, as in `rule 2 of policy.toml`.
    pub name: String,
    /// The rule, as a configuration has it.
    pub rule: Rule,
}

/// The rules that are about a principal's calls.
pub(crate) fn rules(list: RuleList) -> Rules {
    let file_rules = list.operator.into_iter().map(|(name, rule)| FileRule { name, rule }).collect();
    Rules { rules: list.stored.into_iter().map(Into::into).collect(), file_rules }
}

impl From<domain::StoredRule> for StoredRule {
    fn from(stored: domain::StoredRule) -> Self {
        let domain::StoredRule { id, rule, created_at, last_used_at, intent: _ } = stored;
        Self { id, rule, created_at: Time(created_at), last_used_at: last_used_at.map(Time) }
    }
}
