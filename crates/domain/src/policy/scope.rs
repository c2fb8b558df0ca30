//! How far an approval for the session reaches: the scopes that a question offers, and what each of them covers.

use super::{Asked, command, rule, same::same, standing::is_risky};
use crate::{PrincipalId, ServerName, WorkspaceId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which later calls an approval for the session covers, all of the same tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GrantScope {
    /// Every call of the tool. Offered only where the tool's server says that it neither destroys nor reaches outside.
    #[default]
    Tool,
    /// Calls with exactly these arguments.
    Exact,
    /// Simple shell commands that begin with these words. All other arguments must be the same.
    Command {
        /// The argument that holds the command.
        argument: String,
        /// The words that it must begin with.
        prefix: String,
    },
    /// Paths at or below this one, by their names. Other arguments may differ, but none may be added.
    Path {
        /// The argument that holds the path.
        argument: String,
        /// The directory.
        within: String,
    },
}

/// The largest arguments that a narrow scope is offered for, in bytes of JSON: a grant stores them.
const MOST_BYTES: usize = 2 << 10;

impl GrantScope {
    /// The scopes that are offered for this call, the narrowest first.
    pub fn offered(asked: Asked<'_>) -> Vec<Self> {
        let mut offered = Vec::new();
        if asked.fingerprint.is_empty() {
            return offered;
        }
        if let Value::Object(args) = asked.args
            && asked.args.to_string().len() <= MOST_BYTES
        {
            offered.push(Self::Exact);
            offered.extend(Self::of_command(args).or_else(|| Self::of_path(args)));
        }
        if !is_risky(asked.hints) {
            offered.push(Self::Tool);
        }
        offered
    }

    fn of_command(args: &Map<String, Value>) -> Option<Self> {
        let (argument, command) = args.iter().find(|(name, _)| is_command(name))?;
        let prefix = command::offered(command.as_str()?)?;
        Some(Self::Command { argument: argument.clone(), prefix })
    }

    /// A scope for the directory of the call's one path. With two paths, one of them would be free; with a command, the
    /// command would be.
    fn of_path(args: &Map<String, Value>) -> Option<Self> {
        let mut paths = args.iter().filter(|(name, _)| is_path(name));
        let (argument, path) = paths.next()?;
        if paths.next().is_some() || args.keys().any(|name| is_command(name)) {
            return None;
        }
        let path = path.as_str()?;
        let names = rule::parts(path)?;
        let (_, directory) = names.split_last()?;
        let root = if path.starts_with('/') { "/" } else { "" };
        let within = format!("{root}{}", directory.join("/"));
        (!directory.is_empty()).then(|| Self::Path { argument: argument.clone(), within })
    }
}

fn is_command(name: &str) -> bool {
    has_word(name, &["command", "cmd", "script", "code", "shell"])
}

fn is_path(name: &str) -> bool {
    has_word(name, &["path", "file", "filename", "dir", "directory", "folder", "source", "destination", "target"])
}

/// Whether a name such as `output_path` or `outputPath` has one of these words.
fn has_word(name: &str, words: &[&str]) -> bool {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric());
    parts.map(str::to_ascii_lowercase).any(|part| words.iter().any(|word| part.ends_with(word)))
}

/// A human's approval of calls of one tool, for the rest of the session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// The tool's server.
    pub server: ServerName,
    /// The tool, as its server calls it.
    pub tool: String,
    /// The definition that was granted: a changed tool asks again.
    pub fingerprint: String,
    /// Who granted it.
    pub by: PrincipalId,
    /// Which calls it covers.
    #[serde(default)]
    pub scope: GrantScope,
    /// The arguments of the call that was approved, where the scope compares with them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub args: Option<Value>,
    /// The workspace that it was given for. In another one it covers nothing.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub workspace: Option<WorkspaceId>,
}

impl Grant {
    /// How many grants a session keeps. The oldest goes first: its calls are asked about again.
    pub const MOST: usize = 64;

    /// Whether the grant answers for this call, wherever it runs.
    pub fn covers(&self, asked: Asked<'_>) -> bool {
        self.server.as_str() == asked.server
            && self.tool == asked.tool
            && self.fingerprint == asked.fingerprint
            && self.fits(asked)
    }

    fn fits(&self, asked: Asked<'_>) -> bool {
        // A grant of an earlier version may be for a whole tool that is not granted as a whole any more.
        if self.scope == GrantScope::Tool {
            return !is_risky(asked.hints);
        }
        let (Some(Value::Object(granted)), Value::Object(args)) = (&self.args, asked.args) else { return false };
        let text = |name: &str| args.get(name).and_then(Value::as_str);
        let is_known = |name: &String| granted.contains_key(name);
        match &self.scope {
            GrantScope::Tool => false,
            GrantScope::Exact => granted.len() == args.len() && same_but(granted, args, None),
            GrantScope::Command { argument, prefix } => {
                granted.len() == args.len()
                    && same_but(granted, args, Some(argument))
                    && text(argument).is_some_and(|command| command::begins_with(prefix, command))
            }
            GrantScope::Path { argument, within } => {
                args.keys().all(is_known) && text(argument).is_some_and(|path| rule::is_within(within, path))
            }
        }
    }
}

/// Whether all granted arguments, but for this one, are there and the same.
fn same_but(granted: &Map<String, Value>, args: &Map<String, Value>, but: Option<&String>) -> bool {
    granted
        .iter()
        .filter(|(name, _)| Some(*name) != but)
        .all(|(name, value)| args.get(name).is_some_and(|found| same(value, found)))
}

#[cfg(test)]
mod tests;
