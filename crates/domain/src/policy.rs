mod command;
mod past;
mod rule;
mod same;
mod scope;
mod standing;

pub use past::{Fate, PastCall};
pub use rule::{ArgumentRule, DecisionRule, HintRule, Rule};
pub use same::inexact_number;
pub use scope::{Grant, GrantScope};
pub use standing::{Denials, RuleIntent, StoredRule};

use crate::{Annotations, CallGate, Digest, ToolCall, ToolDefinition};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the gate says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It runs, by this rule.
    Allow {
        /// The rule, for people.
        why: String,
    },
    /// A human is asked.
    Ask {
        /// The rule, for people.
        why: String,
    },
    /// It does not run, by this rule.
    Deny {
        /// The rule, for people.
        why: String,
    },
}

/// What is asked of the gate: a call of a tool.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The tool's server.
    pub server: &'a str,
    /// The tool, as its server calls it.
    pub tool: &'a str,
    /// What its server says of it.
    pub hints: &'a Annotations,
    /// The hash of its definition.
    pub fingerprint: &'a str,
    /// The arguments.
    pub args: &'a Value,
    /// Whose session it is.
    pub user: &'a str,
}

impl<'a> Asked<'a> {
    /// A call of this tool.
    pub fn of(tool: &'a ToolDefinition, args: &'a Value, user: &'a str) -> Self {
        let ToolDefinition { server, tool, annotations: hints, fingerprint, .. } = tool;
        Self { server: server.as_str(), tool, hints, fingerprint, args, user }
    }

    /// A call as it was judged before; `None` for one of no tool.
    pub fn again(call: &'a ToolCall, gate: &'a CallGate, user: &'a str) -> Option<Self> {
        let CallGate { annotations: hints, fingerprint, .. } = gate;
        let server = call.server.as_ref()?.as_str();
        Some(Self { server, tool: &call.tool, hints, fingerprint, args: &call.args, user })
    }
}

/// The rules of the gate. Deny comes before ask, ask before allow, and what no rule covers is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Policy {
    rules: Vec<Rule>,
    /// The place of the first rule that comes from a file of its own, and the file's name.
    #[serde(skip)]
    file: Option<(usize, String)>,
}

impl Policy {
    /// A policy of these rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules, file: None }
    }

    /// With the rules of a file besides, which people are told by its name.
    #[must_use]
    pub fn with_file(self, name: impl Into<String>, rules: Vec<Rule>) -> Self {
        let file = Some((self.rules.len(), name.into()));
        Self { rules: self.rules.into_iter().chain(rules).collect(), file }
    }

    /// What people call the rule at this place: `rule 3`, or `rule 1 of policy.toml`.
    pub fn name_of(&self, place: usize) -> String {
        match &self.file {
            Some((first, file)) if place >= *first => format!("rule {} of {file}", place - first + 1),
            _ => format!("rule {}", place + 1),
        }
    }

    /// The rules, in the order in which they were written.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How many rules it has.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether it has no rule, so that every call asks.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Names the rules as they are, in sixteen hexadecimal digits: another set of rules, or another order, has another version.
    /// Approvals and the audit say under which rules they came about.
    pub fn version(&self) -> String {
        const DIGITS: usize = 16;
        Digest::of(self).to_string()[..DIGITS].to_owned()
    }

    /// What is wrong with the rules, each by its place.
    pub fn problems(&self) -> Vec<(usize, String)> {
        self.rules.iter().enumerate().filter_map(|(place, rule)| Some((place, rule.problem()?))).collect()
    }

    /// The rule that decides a call, by its place: the first of the strictest that cover it.
    pub fn decisive(&self, asked: Asked<'_>) -> Option<(usize, &Rule)> {
        let strictest = [DecisionRule::Deny, DecisionRule::Ask, DecisionRule::Allow];
        let covering = |decision| {
            let rules = self.rules.iter().enumerate();
            rules.filter(move |(_, rule)| rule.decision == decision).find(|(_, rule)| rule.covers(asked))
        };
        strictest.into_iter().find_map(covering)
    }

    /// What the policy says of a call.
    pub fn judge(&self, asked: Asked<'_>) -> Verdict {
        let Some((place, rule)) = self.decisive(asked) else {
            return Verdict::Ask { why: "no rule covers this tool".to_owned() };
        };
        let why = format!("{} for {}.{}", self.name_of(place), rule.server, rule.tool);
        match rule.decision {
            DecisionRule::Allow => Verdict::Allow { why },
            DecisionRule::Ask => Verdict::Ask { why },
            DecisionRule::Deny => Verdict::Deny { why },
        }
    }
}

#[cfg(test)]
mod tests;
