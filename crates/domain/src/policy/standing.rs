//! Rules that a user's "always" stores: narrow ones, which stand until they are revoked.

use super::{Asked, DecisionRule, Rule, rule::glob, same::same};
use crate::{Annotations, CallId, Digest, RuleId, ServerName, SessionId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// A rule that a user's approval stored. It lets a call run that no rule of the operator's is about, and never one that such
/// a rule denies or asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredRule {
    /// Its name among those of its user.
    pub id: RuleId,
    /// The rule.
    pub rule: Rule,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it last let a call run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub last_used_at: Option<Timestamp>,
    /// The approval that would store it, where it is not known to be recorded yet: such a rule lets nothing run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub intent: Option<RuleIntent>,
}

/// An approval for always that is about to be recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleIntent {
    /// In which session.
    pub session: SessionId,
    /// For which call.
    pub call: CallId,
}

impl StoredRule {
    /// A rule that is stored at `now`. The same rule has the same id, whenever it is stored.
    pub fn new(rule: Rule, now: Timestamp) -> Self {
        const DIGITS: usize = 32;
        let id = RuleId::parse(&Digest::of(&rule).to_string()[..DIGITS]).expect("hexadecimal digits are an id");
        Self { id, rule, created_at: now, last_used_at: None, intent: None }
    }

    /// What is stored of this rule until its approval is recorded: under a name of its own, so that the rule itself may be
    /// there already, and deciding nothing, also for servers that know no intents.
    #[must_use]
    pub fn intended(&self, session: SessionId, call: CallId) -> Self {
        const DIGITS: usize = 32;
        let digest = Digest::of(&(&self.id, &session, &call)).to_string();
        let id = RuleId::parse(format!("intent_{}", &digest[..DIGITS])).expect("letters and digits are an id");
        let rule = Rule { decision: DecisionRule::Ask, ..self.rule.clone() };
        Self { id, rule, intent: Some(RuleIntent { session, call }), ..self.clone() }
    }

    /// The rule that an intent is about, as it stands once its approval is recorded.
    #[must_use]
    pub fn recorded(&self) -> Self {
        Self::new(Rule { decision: DecisionRule::Allow, ..self.rule.clone() }, self.created_at)
    }
}

impl Rule {
    /// The rule that "always" stores for this call: this very tool, as it is defined now, for this user. `None` where it is not
    /// offered: what a tool destroys, or does to the world outside, a human looks at each time.
    pub fn always(asked: Asked<'_>) -> Option<Self> {
        let Asked { server, tool, hints, fingerprint, user, .. } = asked;
        // A star in a name would make the rule one about other tools too.
        let exact = [server, tool, user].iter().all(|name| !name.contains('*'));
        if !exact || fingerprint.is_empty() || is_risky(hints) {
            return None;
        }
        Some(Self {
            server: server.to_owned(),
            tool: tool.to_owned(),
            user: user.to_owned(),
            fingerprint: Some(fingerprint.to_owned()),
            decision: DecisionRule::Allow,
            ..Self::default()
        })
    }

    /// Whether it is about calls of this user.
    pub fn is_about(&self, user: &str) -> bool {
        glob(&self.user, user)
    }

    /// Whether a call of this tool with these arguments would be the rule's, whatever the tool's definition and its user.
    fn reaches(&self, server: &ServerName, tool: &str, args: Option<&Value>) -> bool {
        glob(&self.server, server.as_str()) && glob(&self.tool, tool) && args.is_none_or(|args| self.fits_args(args))
    }
}

/// What a server does not say of its tool is the riskier thing, as in MCP.
pub(super) fn is_risky(hints: &Annotations) -> bool {
    let only_reads = hints.read_only_hint == Some(true);
    hints.destructive_hint.unwrap_or(!only_reads) || hints.open_world_hint.unwrap_or(true)
}

/// The calls that a human denied in a session. No rule is stored that one of them would be covered by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Denials {
    calls: Vec<DeniedCall>,
    /// Tools with more, or larger, denied calls than are remembered one by one: all of theirs count as denied.
    tools: BTreeSet<(ServerName, String)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct DeniedCall {
    server: ServerName,
    tool: String,
    args: Value,
}

impl Denials {
    /// How many calls are remembered one by one.
    pub const MOST: usize = 64;
    /// The largest arguments that are, in bytes of JSON.
    pub const MOST_BYTES: usize = 2 << 10;

    /// Whether nothing was denied.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.tools.is_empty()
    }

    /// A human denied this call.
    pub(crate) fn remember(&mut self, server: &ServerName, tool: &str, args: &Value) {
        let known = |call: &DeniedCall| call.server == *server && call.tool == tool && same(&call.args, args);
        if self.calls.iter().any(known) {
            return;
        }
        if self.calls.len() >= Self::MOST || args.to_string().len() > Self::MOST_BYTES {
            self.tools.insert((server.clone(), tool.to_owned()));
        } else {
            self.calls.push(DeniedCall { server: server.clone(), tool: tool.to_owned(), args: args.clone() });
        }
    }

    /// Whether the rule would cover a call that was denied.
    pub fn any_within(&self, rule: &Rule) -> bool {
        self.calls.iter().any(|call| rule.reaches(&call.server, &call.tool, Some(&call.args)))
            || self.tools.iter().any(|(server, tool)| rule.reaches(server, tool, None))
    }

    /// Whether this call was denied.
    pub fn hold(&self, asked: Asked<'_>) -> bool {
        let is_tool = |server: &ServerName, tool: &str| server.as_str() == asked.server && tool == asked.tool;
        self.calls.iter().any(|call| is_tool(&call.server, &call.tool) && same(&call.args, asked.args))
            || self.tools.iter().any(|(server, tool)| is_tool(server, tool))
    }
}

#[cfg(test)]
mod tests;
