use super::{Asked, command, same::same};
use crate::Annotations;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecisionRule {
    /// The call runs without a question.
    Allow,
    /// A human is asked.
    Ask,
    /// The call is refused.
    Deny,
}

/// A rule that a human wrote. It covers a call that everything in it fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The server, by name; a `*` stands for any characters.
    #[serde(default = "any")]
    pub server: String,
    /// The tool, as its server calls it; a `*` stands for any characters.
    #[serde(default = "any")]
    pub tool: String,
    /// Whose calls, by the name of the principal; a `*` stands for any characters.
    #[serde(default = "any")]
    pub user: String,
    /// What arguments must be, by their names: `path`, or `options.path` within an object. An argument that is missing
    /// fits nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, ArgumentRule>,
    /// The hash of the tool's definition: a tool that has changed is not covered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// What the tool's server says of the tool. It is not to be trusted, so a rule with hints may ask or deny, and not allow.
    #[serde(default, skip_serializing_if = "HintRule::is_empty")]
    pub hints: HintRule,
    /// What becomes of its calls.
    pub decision: DecisionRule,
}

/// What an argument must be: all that is given of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ArgumentRule {
    /// This very value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equals: Option<Value>,
    /// One of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub one_of: Option<Vec<Value>>,
    /// A text of this form; a `*` stands for any characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
    /// A path at or below this one, in words: without `..`, and relative only where this is. Links are the tool's
    /// business.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<String>,
    /// A simple shell command that begins with these words: one program with plain words, and nothing that a shell makes
    /// something else of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// Hints that a tool must have. One that its server does not give counts as the riskier one, as in MCP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HintRule {
    /// Whether what the tool changes may be lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destructive: Option<bool>,
    /// Whether it deals with things outside of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_world: Option<bool>,
    /// Whether it changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

impl Default for Rule {
    /// Asks for everything.
    fn default() -> Self {
        Self {
            server: any(),
            tool: any(),
            user: any(),
            args: BTreeMap::new(),
            fingerprint: None,
            hints: HintRule::default(),
            decision: DecisionRule::Ask,
        }
    }
}

fn any() -> String {
    "*".to_owned()
}

impl Rule {
    /// Whether the rule is about this call.
    pub fn covers(&self, asked: Asked<'_>) -> bool {
        glob(&self.server, asked.server)
            && glob(&self.tool, asked.tool)
            && glob(&self.user, asked.user)
            && self.fingerprint.as_ref().is_none_or(|fingerprint| fingerprint == asked.fingerprint)
            && self.hints.fit(asked.hints)
            && self.fits_args(asked.args)
    }

    /// Whether the arguments are what the rule says of them.
    pub fn fits_args(&self, args: &Value) -> bool {
        self.args.iter().all(|(name, rule)| find(args, name).is_some_and(|value| rule.fits(value)))
    }

    /// What is wrong with it.
    pub fn problem(&self) -> Option<String> {
        if self.decision == DecisionRule::Allow && !self.hints.is_empty() {
            return Some("allows by hints of the tool's server, which may lie: let it ask or deny".to_owned());
        }
        let empty = self.args.iter().find(|(_, rule)| **rule == ArgumentRule::default());
        if let Some((name, _)) = empty {
            return Some(format!(
                "says nothing of the argument `{name}`: use equals, one_of, matches, within or command"
            ));
        }
        let compound =
            |rule: &ArgumentRule| rule.command.as_deref().is_some_and(|words| command::words(words).is_none());
        if let Some((name, _)) = self.args.iter().find(|(_, rule)| compound(rule)) {
            return Some(format!(
                "holds the argument `{name}` to a command that is not simple: use one program with plain words"
            ));
        }
        let climbs = |rule: &ArgumentRule| rule.within.as_deref().is_some_and(|path| parts(path).is_none());
        let (name, _) = self.args.iter().find(|(_, rule)| climbs(rule))?;
        Some(format!("holds the argument `{name}` within a path with `..`"))
    }
}

impl ArgumentRule {
    fn fits(&self, value: &Value) -> bool {
        self.equals.as_ref().is_none_or(|wanted| same(wanted, value))
            && self.one_of.as_ref().is_none_or(|wanted| wanted.iter().any(|wanted| same(wanted, value)))
            && self.matches.as_ref().is_none_or(|pattern| value.as_str().is_some_and(|text| glob(pattern, text)))
            && self
                .command
                .as_ref()
                .is_none_or(|words| value.as_str().is_some_and(|text| command::begins_with(words, text)))
            && self.within.as_ref().is_none_or(|above| value.as_str().is_some_and(|path| is_within(above, path)))
    }
}

impl HintRule {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn fit(&self, hints: &Annotations) -> bool {
        let fits = |wanted: Option<bool>, hint: Option<bool>, unsaid: bool| {
            wanted.is_none_or(|wanted| wanted == hint.unwrap_or(unsaid))
        };
        fits(self.read_only, hints.read_only_hint, false)
            && fits(self.destructive, hints.destructive_hint, true)
            && fits(self.open_world, hints.open_world_hint, true)
    }
}

/// The argument by this name; a dot leads into an object.
fn find<'a>(args: &'a Value, name: &str) -> Option<&'a Value> {
    name.split('.').try_fold(args, |value, part| value.as_object()?.get(part))
}

/// Whether `path` is at or below `above`, by its words alone.
pub(super) fn is_within(above: &str, path: &str) -> bool {
    let (Some(wanted), Some(found)) = (parts(above), parts(path)) else { return false };
    above.starts_with('/') == path.starts_with('/') && found.starts_with(&wanted)
}

/// The names in a path; `None` if it climbs, or holds what ends a path for some.
pub(super) fn parts(path: &str) -> Option<Vec<&str>> {
    if path.contains(['\0', '\\']) {
        return None;
    }
    let names: Vec<_> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    (!names.contains(&"..")).then_some(names)
}

/// Whether `text` matches `pattern`, where `*` stands for any characters.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
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
