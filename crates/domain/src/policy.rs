use crate::ToolDefinition;
use serde::{Deserialize, Serialize};

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

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionRule {
    /// The call runs without a question.
    Allow,
    /// A human is asked.
    Ask,
    /// The call is refused.
    Deny,
}

/// A rule that a human wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The server, by name; a `*` stands for any characters.
    #[serde(default = "any")]
    pub server: String,
    /// The tool, as its server calls it; a `*` stands for any characters.
    #[serde(default = "any")]
    pub tool: String,
    /// What becomes of its calls.
    pub decision: DecisionRule,
}

fn any() -> String {
    "*".to_owned()
}

/// The rules of the gate. Deny comes before ask, ask before allow, and what no rule covers is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Policy {
    rules: Vec<Rule>,
}

impl Policy {
    /// A policy of these rules.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// How many rules it has.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether it has no rule, so that every call asks.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What the policy says of a call of `tool`.
    pub fn judge(&self, tool: &ToolDefinition) -> Verdict {
        let strictest = [DecisionRule::Deny, DecisionRule::Ask, DecisionRule::Allow];
        let covers = |rule: &&Rule| glob(&rule.server, tool.server.as_str()) && glob(&rule.tool, &tool.tool);
        let found = strictest
            .into_iter()
            .find_map(|decision| self.rules.iter().filter(covers).find(|rule| rule.decision == decision));
        let Some(rule) = found else {
            return Verdict::Ask { why: "no rule covers this tool".to_owned() };
        };
        let why = format!("rule for {}.{}", rule.server, rule.tool);
        match rule.decision {
            DecisionRule::Allow => Verdict::Allow { why },
            DecisionRule::Ask => Verdict::Ask { why },
            DecisionRule::Deny => Verdict::Deny { why },
        }
    }
}

/// Whether `text` matches `pattern`, where `*` stands for any characters.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Annotations, ServerName, ToolName};
    use serde_json::json;

    fn tool(server: &str, tool: &str) -> ToolDefinition {
        let server = ServerName::new(server);
        ToolDefinition {
            name: ToolName::namespaced(&server, tool),
            server,
            tool: tool.to_owned(),
            title: None,
            description: String::new(),
            input_schema: json!({"type": "object"}),
            annotations: Annotations { read_only_hint: Some(true), ..Annotations::default() },
            fingerprint: String::new(),
        }
    }

    fn rule(server: &str, tool: &str, decision: DecisionRule) -> Rule {
        Rule { server: server.to_owned(), tool: tool.to_owned(), decision }
    }

    #[test]
    fn what_no_rule_covers_is_asked_whatever_its_annotations_say() {
        assert!(matches!(Policy::default().judge(&tool("fs", "read")), Verdict::Ask { .. }));
    }

    #[test]
    fn deny_comes_before_ask_and_ask_before_allow_in_any_order() {
        let mut rules = vec![
            rule("*", "*", DecisionRule::Allow),
            rule("fs", "*", DecisionRule::Ask),
            rule("*", "delete_*", DecisionRule::Deny),
        ];
        for _ in 0..rules.len() {
            rules.rotate_left(1);
            let policy = Policy::new(rules.clone());
            assert!(matches!(policy.judge(&tool("web", "fetch")), Verdict::Allow { .. }));
            assert!(matches!(policy.judge(&tool("fs", "read")), Verdict::Ask { .. }));
            assert!(matches!(policy.judge(&tool("fs", "delete_all")), Verdict::Deny { .. }));
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        let cases = [
            ("*", "", true),
            ("read", "read", true),
            ("read", "reads", false),
            ("read_*", "read_file", true),
            ("*_file", "read_file", true),
            ("*a*b*", "xaybz", true),
            ("*a*b", "ba", false),
            ("ab*ba", "aba", false),
        ];
        for (pattern, text, matches) in cases {
            assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
        }
    }
}
