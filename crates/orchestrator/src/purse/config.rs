use lockkeeper_domain::Ceiling;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What sessions and principals may spend, and what happens beyond it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budgets {
    /// What one session may spend from its beginning on. Unlimited by default: what a session is worth, its operator knows alone,
    /// and each of its turns is bounded by `session.max_steps` and `session.max_calls_per_step`.
    pub session: Limits,
    /// What all sessions of one principal may spend on one day in UTC. Unlimited by default.
    pub day: Limits,
    /// What happens to a turn that would spend more: `stop` ends it with `budget_exceeded`, `ask` asks a human whether it may go on
    /// to its end. `stop` by default.
    pub on_exceeded: OnExceeded,
    /// How long what was set aside stays so when its server has died, in seconds: 900. Work that takes longer keeps it.
    pub hold_secs: u64,
}

/// Limits of one account. What is not set has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Tokens that models read and write.
    pub max_tokens: Option<u64>,
    /// Calls of tools that run.
    pub max_tool_calls: Option<u64>,
    /// How long models and tools are at work, in seconds.
    pub max_wall_secs: Option<u64>,
}

/// What happens to a turn that would spend more than it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnExceeded {
    /// It ends.
    #[default]
    Stop,
    /// A human is asked.
    Ask,
}

impl OnExceeded {
    /// As configurations write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Ask => "ask",
        }
    }
}

impl Default for Budgets {
    fn default() -> Self {
        Self { session: Limits::default(), day: Limits::default(), on_exceeded: OnExceeded::Stop, hold_secs: 900 }
    }
}

impl Budgets {
    /// What is wrong with the values, each with its key; empty when nothing is.
    pub(crate) fn problems(&self) -> Vec<(&'static str, String)> {
        let least = |key, value: u64| (value == 0).then(|| (key, "is 0 and must be at least 1".to_owned()));
        let limits = [
            ("budgets.session.max_tokens", self.session.max_tokens),
            ("budgets.session.max_tool_calls", self.session.max_tool_calls),
            ("budgets.session.max_wall_secs", self.session.max_wall_secs),
            ("budgets.day.max_tokens", self.day.max_tokens),
            ("budgets.day.max_tool_calls", self.day.max_tool_calls),
            ("budgets.day.max_wall_secs", self.day.max_wall_secs),
            ("budgets.hold_secs", Some(self.hold_secs)),
        ];
        limits.into_iter().filter_map(|(key, value)| least(key, value?)).collect()
    }

    pub(super) fn hold(&self) -> Duration {
        Duration::from_secs(self.hold_secs)
    }
}

impl Limits {
    /// The same, as the domain counts.
    pub fn ceiling(&self) -> Ceiling {
        Ceiling {
            tokens: self.max_tokens,
            tool_calls: self.max_tool_calls,
            wall_ms: self.max_wall_secs.map(|secs| secs.saturating_mul(1_000)),
        }
    }
}
