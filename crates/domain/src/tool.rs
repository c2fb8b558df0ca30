use crate::Code;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// Names an MCP server within a configuration.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ServerName(String);

impl ServerName {
    /// The server that the configuration calls `name`.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a model calls a tool: unique in its session, and of the form `[A-Za-z_][A-Za-z0-9_-]{0,63}`, which all
/// providers take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ToolName(String);

impl ToolName {
    /// The longest name that all providers take, in characters.
    pub const MAX_LEN: usize = 64;

    /// The name of tool `tool` of server `server`, as `server__tool`. Characters that providers refuse become `_`;
    /// where that or the length limit loses something, a short hash of the exact pair ends the name, so that
    /// two tools never share one.
    pub fn namespaced(server: &ServerName, tool: &str) -> Self {
        let exact = format!("{server}__{tool}");
        let mut name: String =
            exact.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' }).collect();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            name.insert(0, '_');
        }
        // "__" inside a part could be read as the separator of another pair.
        let ambiguous = server.as_str().contains("__")
            || server.as_str().ends_with('_')
            || tool.starts_with('_')
            || tool.contains("__");
        if name != exact || name.len() > Self::MAX_LEN || ambiguous {
            let suffix = format!("_{:08x}", fnv1a(server.as_str(), tool));
            name.truncate(Self::MAX_LEN - suffix.len());
            name.push_str(&suffix);
        }
        Self(name)
    }

    /// A name as a model wrote it, which may name no tool at all.
    pub fn as_written(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// FNV-1a over both parts with a separator between them: it tells names apart and guards nothing.
fn fnv1a(server: &str, tool: &str) -> u32 {
    let bytes = server.bytes().chain([0xff]).chain(tool.bytes());
    bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

impl fmt::Display for ToolName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a tool's server says about the tool's effects (MCP 2025-11-25, `ToolAnnotations`). Untrusted: a policy
/// may let them raise a risk, never lower one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Annotations {
    /// The tool changes nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_hint: Option<bool>,
    /// What the tool changes may be lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destructive_hint: Option<bool>,
    /// The same call twice does what one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotent_hint: Option<bool>,
    /// The tool deals with things outside of its server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_world_hint: Option<bool>,
}

/// A tool that a session offers to its model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolDefinition {
    /// What the model calls it.
    pub name: ToolName,
    /// Whose it is.
    pub server: ServerName,
    /// What its server calls it.
    pub tool: String,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it does, in its server's words: untrusted.
    pub description: String,
    /// The JSON Schema of its arguments: as its server sent it, with clean texts for readers.
    pub input_schema: Value,
    /// Its server's hints.
    #[serde(default)]
    pub annotations: Annotations,
    /// A hash over the whole definition as its server sent it: a changed tool is another tool.
    pub fingerprint: String,
}

impl ToolDefinition {
    /// The largest schema that is kept of a tool to be shown later, in bytes. What is larger is known by its fingerprint alone.
    const MAX_KEPT_SCHEMA: usize = 16 << 10;

    /// What is kept of the definition, so that people can see later what of it has changed.
    #[must_use]
    pub fn kept(&self) -> Self {
        let is_small = self.input_schema.to_string().len() <= Self::MAX_KEPT_SCHEMA;
        let input_schema = if is_small { self.input_schema.clone() } else { Value::Null };
        Self { input_schema, ..self.clone() }
    }

    /// What differs between two definitions, as MCP names it. `other` stands for what is not shown: the server's words about
    /// itself, and members that Lockkeeper does not know.
    pub fn changes(&self, now: &Self) -> Vec<&'static str> {
        let differs = [
            ("title", self.title != now.title),
            ("description", self.description != now.description),
            ("inputSchema", self.input_schema != now.input_schema),
            ("annotations", self.annotations != now.annotations),
        ];
        let mut changes: Vec<_> = differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect();
        if changes.is_empty() && self.fingerprint != now.fingerprint {
            changes.push("other");
        }
        changes
    }
}

/// A part of a message or of a tool's result, in the form that MCP gives it (`ContentBlock`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Content {
    /// Text or an image.
    Known(KnownContent),
    /// Audio, resources, links, and what later revisions add: kept as it came.
    Other(#[schemars(with = "std::collections::BTreeMap<String, Value>")] Value),
}

/// The parts that every provider understands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum KnownContent {
    /// Text.
    Text {
        /// The text.
        text: String,
    },
    /// An image.
    #[serde(rename_all = "camelCase")]
    Image {
        /// The bytes, in base64.
        data: String,
        /// The media type, as in `image/png`.
        mime_type: String,
    },
}

impl Content {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Known(KnownContent::Text { text: text.into() })
    }

    /// An image: base64 and its media type.
    pub fn image(data: impl Into<String>, mime_type: impl Into<String>) -> Self {
        Self::Known(KnownContent::Image { data: data.into(), mime_type: mime_type.into() })
    }

    /// The text, where it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Known(KnownContent::Text { text }) => Some(text),
            _ => None,
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The tool ran and succeeded.
    Succeeded,
    /// It did not; the code says why.
    Failed(Code),
}

/// What a call came to: the one result that the model, the client and the log get.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolResult {
    /// How it ended.
    pub outcome: Outcome,
    /// What it said.
    pub content: Vec<Content>,
    /// What it said in the form of its output schema.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub structured: Option<Value>,
}

impl ToolResult {
    /// The tool succeeded and said this.
    pub fn succeeded(content: Vec<Content>) -> Self {
        Self { outcome: Outcome::Succeeded, content, structured: None }
    }

    /// The call failed; `message` tells people and models why.
    pub fn failed(code: Code, message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed(code), content: vec![Content::text(message)], structured: None }
    }

    /// Whether a model should be told that the call failed.
    pub fn is_error(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    /// How much it says, in bytes: of text, of images as they are encoded, of anything else as JSON.
    pub fn size(&self) -> u64 {
        let size = |part: &Content| match part {
            Content::Known(KnownContent::Text { text }) => text.len(),
            Content::Known(KnownContent::Image { data, .. }) => data.len(),
            Content::Other(value) => value.to_string().len(),
        };
        self.content.iter().map(size).sum::<usize>() as u64
    }

    /// All text of the result, a line break between parts.
    pub fn text(&self) -> String {
        self.content.iter().filter_map(Content::as_text).collect::<Vec<_>>().join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::HashSet;

    #[test]
    fn a_namespaced_name_is_one_that_all_providers_take() {
        let long = "t".repeat(200);
        let pairs = [
            ("workspace", "read_file", "workspace__read_file"),
            ("fs", "read.file", ""),
            ("fs", "read/file", ""),
            ("9", "x", ""),
            ("ü", "ü", ""),
            ("a__b", "c", ""),
            ("a", "b__c", ""),
            ("fs", long.as_str(), ""),
        ];
        let mut seen = HashSet::new();
        for (server, tool, expected) in pairs {
            let name = ToolName::namespaced(&ServerName::new(server), tool);
            let text = name.as_str();
            assert!(text.len() <= ToolName::MAX_LEN, "{text}");
            assert!(text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'), "{text}");
            assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-'), "{text}");
            assert!(expected.is_empty() || text == expected, "{text}");
            assert!(seen.insert(name), "{server}.{tool} shares a name");
        }
    }

    #[test]
    fn unknown_content_is_kept_as_it_came() {
        let wire = json!([
            {"type": "text", "text": "a"},
            {"type": "image", "data": "AA==", "mimeType": "image/png"},
            {"type": "resource_link", "uri": "file:///a", "name": "a"},
        ]);
        let content: Vec<Content> = serde_json::from_value(wire.clone()).expect("content");
        assert_eq!(content[0].as_text(), Some("a"));
        assert!(matches!(content[2], Content::Other(_)));
        assert_eq!(serde_json::to_value(&content).expect("json"), wire);
    }
}
