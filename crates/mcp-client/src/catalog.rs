//! The tools that a server lists, checked, bounded and fingerprinted.

use crate::{Config, text::clean};
use lockkeeper_domain::{Annotations, ServerName, ToolDefinition, ToolName};
use lockkeeper_ports::LeftOutTool;
use lockkeeper_sanitizer::{clean_schema, visible};
use lockkeeper_tool_schema::Inspector;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
};

/// The longest name of a tool that MCP allows.
const MAX_NAME: usize = 128;
const MAX_TITLE: usize = 128;
/// How many tools that are left out are told of.
const MAX_LEFT_OUT: usize = 16;

/// The tools of one server, by the names that the server gives them.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) tools: BTreeMap<String, ToolDefinition>,
    /// The first of the tools that are not offered, and why.
    pub(crate) left_out: Vec<LeftOutTool>,
    server: ServerName,
    /// The tools that the operator wants of it; `None` for all.
    wanted: Option<BTreeSet<String>>,
    greeting: Value,
    inspector: Inspector,
    room: usize,
    max_tools: usize,
    max_description: usize,
    max_schema_text: usize,
}

impl Catalog {
    /// No tools yet. `greeting` is the server's answer to `initialize`.
    pub(crate) fn new(server: &ServerName, config: &Config, greeting: &Value) -> Self {
        let member = |name| greeting.get(name).cloned().unwrap_or_default();
        Self {
            tools: BTreeMap::new(),
            left_out: Vec::new(),
            inspector: Inspector::new(config.schema.clone()),
            server: server.clone(),
            wanted: None,
            greeting: json!({"serverInfo": member("serverInfo"), "instructions": member("instructions")}),
            room: config.max_catalog_bytes,
            max_tools: config.max_tools,
            max_description: config.max_description_bytes,
            max_schema_text: config.max_schema_text_bytes,
        }
    }

    /// Takes these tools alone; the others are as if the server had none of them, and count for no limit.
    pub(crate) fn only(self, wanted: Option<BTreeSet<String>>) -> Self {
        Self { wanted, ..self }
    }

    fn is_wanted(&self, tool: &Value) -> bool {
        let name = tool.get("name").and_then(Value::as_str);
        self.wanted.as_ref().is_none_or(|wanted| name.is_some_and(|name| wanted.contains(name)))
    }

    /// Adds a page as the server sent it. False when there is no room for more; what cannot be offered is left out.
    pub(crate) fn add(&mut self, page: &[Value]) -> bool {
        for tool in page {
            if !self.is_wanted(tool) {
                continue;
            }
            let definition = match self.define(tool) {
                Ok(definition) => definition,
                Err(reason) => {
                    let name = tool.get("name").and_then(Value::as_str).unwrap_or_default();
                    self.leave_out(clean(name, MAX_NAME), reason.to_owned());
                    continue;
                }
            };
            let size = tool.to_string().len();
            if self.tools.len() == self.max_tools || size > self.room {
                tracing::warn!(mcp.server = %self.server, "left out the rest of a server's tools: there are too many");
                return false;
            }
            if self.tools.contains_key(&definition.tool) {
                self.leave_out(definition.tool, "a tool with its name was listed before".to_owned());
                continue;
            }
            self.room -= size;
            if let Err(over) = self.inspector.check(&definition.input_schema) {
                self.leave_out(definition.tool, over.to_string());
                continue;
            }
            self.tools.insert(definition.tool.clone(), definition);
        }
        true
    }

    fn leave_out(&mut self, tool: String, reason: String) {
        tracing::warn!(mcp.server = %self.server, mcp.tool = tool, reason, "left out a tool");
        if self.left_out.len() < MAX_LEFT_OUT {
            self.left_out.push(LeftOutTool { tool, reason });
        }
    }

    /// Fails with the reason why the tool cannot be offered.
    fn define(&self, raw: &Value) -> Result<ToolDefinition, &'static str> {
        let name = raw.get("name").and_then(Value::as_str).filter(|name| is_name(name));
        let tool = name.ok_or("its name must have 1 to 128 characters of A-Z a-z 0-9 _ . -")?;
        let input_schema = raw.get("inputSchema").filter(|schema| schema.is_object());
        let input_schema = input_schema.ok_or("its input schema must be an object")?;
        let room = Cell::new(self.max_schema_text);
        let words = |text: &str| {
            let words = clean(text, self.max_description.min(room.get()));
            room.set(room.get().saturating_sub(words.len()));
            words
        };
        let input_schema = clean_schema(input_schema, &visible, &words)
            .ok_or("its input schema has hidden or unusual characters in a name, pattern, or value")?;
        let text = |value: Option<&Value>, max| value.and_then(Value::as_str).map(|text| clean(text, max));
        let annotations = raw.get("annotations");
        let title = text(raw.get("title"), MAX_TITLE)
            .or_else(|| text(annotations.and_then(|annotations| annotations.get("title")), MAX_TITLE));
        Ok(ToolDefinition {
            name: ToolName::namespaced(&self.server, tool),
            server: self.server.clone(),
            tool: tool.to_owned(),
            title: title.filter(|title| !title.is_empty()),
            description: text(raw.get("description"), self.max_description).unwrap_or_default(),
            input_schema,
            annotations: annotations.map(hints).unwrap_or_default(),
            fingerprint: self.fingerprint(raw),
        })
    }

    /// SHA-256, in hexadecimal, over the tool as its server sent it and what the server said of itself.
    fn fingerprint(&self, tool: &Value) -> String {
        let mut whole = String::new();
        write_canonical(&json!({"server": self.greeting, "tool": tool}), &mut whole);
        let digits = Sha256::digest(whole).into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
        digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
    }
}

/// Whether MCP allows the name: letters that look like others, and characters that nobody sees, are no part of it.
fn is_name(tool: &str) -> bool {
    let character = |c: u8| c.is_ascii_alphanumeric() || b"_.-".contains(&c);
    (1..=MAX_NAME).contains(&tool.len()) && tool.bytes().all(character)
}

/// A hint that is no truth value is none.
fn hints(annotations: &Value) -> Annotations {
    let hint = |name| annotations.get(name).and_then(Value::as_bool);
    Annotations {
        read_only_hint: hint("readOnlyHint"),
        destructive_hint: hint("destructiveHint"),
        idempotent_hint: hint("idempotentHint"),
        open_world_hint: hint("openWorldHint"),
    }
}

/// JSON with the members of each object in the order of their names, and no space: one text for one value.
fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => write_object(object, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

fn write_object(object: &Map<String, Value>, out: &mut String) {
    let sorted: BTreeMap<_, _> = object.iter().collect();
    out.push('{');
    for (at, (name, member)) in sorted.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(&Value::from(name.as_str()).to_string());
        out.push(':');
        write_canonical(member, out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog(greeting: &Value, tools: &[Value]) -> Catalog {
        let mut catalog = Catalog::new(&ServerName::new("fs"), &Config::default(), greeting);
        catalog.add(tools);
        catalog
    }

    fn fingerprint(greeting: &Value, tool: Value) -> String {
        let catalog = catalog(greeting, &[tool]);
        catalog.tools.into_values().next().expect("a tool").fingerprint
    }

    #[test]
    fn a_fingerprint_changes_with_anything_that_the_server_says() {
        let greeting = json!({"serverInfo": {"name": "a", "version": "1"}, "instructions": "be nice"});
        let tool = json!({"name": "t", "inputSchema": {"type": "object", "x": 1}, "_meta": {"a": 1}});
        let same = json!({"_meta": {"a": 1}, "inputSchema": {"x": 1, "type": "object"}, "name": "t"});
        let pinned = fingerprint(&greeting, tool.clone());
        assert_eq!(pinned.len(), 64);
        assert_eq!(fingerprint(&greeting, same), pinned, "the order of members means nothing");
        for (name, value) in [("description", json!("d")), ("_meta", json!({"a": 2})), ("annotations", json!({}))] {
            let mut changed = tool.clone();
            changed[name] = value;
            assert_ne!(fingerprint(&greeting, changed), pinned, "{name}");
        }
        let other = json!({"serverInfo": {"name": "a", "version": "1"}, "instructions": "be nasty"});
        assert_ne!(fingerprint(&other, tool), pinned);
    }

    #[test]
    fn tools_that_cannot_be_offered_are_left_out() {
        let schema = json!({"type": "object"});
        let tools = [
            json!({"name": "", "inputSchema": schema}),
            json!({"name": "a\u{202e}b", "inputSchema": schema}),
            json!({"name": "read_file\u{2800}", "inputSchema": schema}),
            json!({"name": "read_file\u{3164}", "inputSchema": schema}),
            json!({"name": "re\u{430}d_file", "inputSchema": schema}),
            json!({"name": "a b", "inputSchema": schema}),
            json!({"name": "x".repeat(129), "inputSchema": schema}),
            json!({"name": "hidden", "inputSchema": {"properties": {"a\u{200b}": {}}}}),
            json!({"name": "none"}),
            json!({"name": "text", "inputSchema": "object"}),
            json!({"inputSchema": schema}),
            json!(42),
            json!({"name": "good", "inputSchema": schema, "description": 5, "annotations": {"readOnlyHint": "yes"}}),
            json!({"name": "good", "inputSchema": schema, "description": "shadow"}),
        ];
        let catalog = catalog(&json!({}), &tools);
        let names: Vec<_> =
            catalog.tools.values().map(|tool| (tool.tool.as_str(), tool.description.as_str())).collect();
        assert_eq!(names, [("good", "")]);
        assert_eq!(catalog.tools["good"].annotations, Annotations::default());
    }

    #[test]
    fn tools_that_are_not_wanted_are_not_there_and_take_no_room() {
        let config = Config { max_tools: 2, ..Config::default() };
        let wanted = ["tool-40", "tool-41", "missing"].map(str::to_owned);
        let catalog = Catalog::new(&ServerName::new("fs"), &config, &json!({}));
        let mut catalog = catalog.only(Some(wanted.into_iter().collect()));
        let page: Vec<_> =
            (0..100).map(|n| json!({"name": format!("tool-{n}"), "inputSchema": {"type": "object"}})).collect();
        assert!(catalog.add(&page), "there is room");
        let names: Vec<_> = catalog.tools.keys().map(String::as_str).collect();
        assert_eq!(names, ["tool-40", "tool-41"]);
        assert_eq!(catalog.left_out, []);
    }

    #[test]
    fn tools_over_the_limits_are_left_out() {
        let page: Vec<_> =
            (0..200).map(|i| json!({"name": format!("t{i:03}"), "inputSchema": {"type": "object"}})).collect();
        let mut catalog = Catalog::new(&ServerName::new("fs"), &Config::default(), &json!({}));
        assert!(!catalog.add(&page));
        assert_eq!(catalog.tools.len(), 128);
        let mut catalog = Catalog::new(&ServerName::new("fs"), &Config::default(), &json!({}));
        let huge = json!({"name": "huge", "inputSchema": {"type": "object", "x": "A".repeat(2 << 20)}});
        assert!(!catalog.add(&[huge]));
        assert!(catalog.tools.is_empty());
    }

    /// Covers: S1-1
    #[test]
    fn tools_over_the_schema_budget_are_left_out_with_a_reason() {
        let endless = json!({"name": "bad", "inputSchema": {"allOf": [{"$ref": "#"}]}});
        let good = json!({"name": "good", "inputSchema": {"type": "object"}});
        let catalog = catalog(&json!({}), &[endless, good]);
        assert_eq!(catalog.tools.keys().collect::<Vec<_>>(), ["good"]);
        let reason = "its input schema refers to itself without end".to_owned();
        assert_eq!(catalog.left_out, [LeftOutTool { tool: "bad".to_owned(), reason }]);
    }

    #[test]
    fn a_description_is_cleaned_and_cut() {
        let description = format!("Reads\u{e0049}\u{1b}[8m. {}", "x".repeat(2000));
        let tool = json!({"name": "t", "title": "T\u{202e}", "inputSchema": {}, "description": description});
        let tool = &catalog(&json!({}), &[tool]).tools["t"];
        assert!(tool.description.len() <= 1024 && tool.description.starts_with("Reads."), "{}", tool.description);
        assert_eq!(tool.title.as_deref(), Some("T\\u{202E}"));
    }

    /// Covers: S2-5
    #[test]
    fn texts_in_a_schema_are_cleaned_and_cut() {
        let words = format!("\u{e0041}\u{202e}\u{200b}Do {}", "this ".repeat(4000));
        let property = |i: i32| (format!("p{i}"), json!({"type": "string", "description": words}));
        let schema = json!({"type": "object", "properties": (0..50).map(property).collect::<Map<_, _>>()});
        let raw = json!({"name": "t", "inputSchema": schema});
        let tool = &catalog(&json!({}), std::slice::from_ref(&raw)).tools["t"];
        let first = tool.input_schema["properties"]["p0"]["description"].as_str().expect("text");
        assert!(first.starts_with("\\u{202E}Do this") && first.len() <= 1024, "{first}");
        assert!(tool.input_schema.to_string().len() < 20_000, "{}", tool.input_schema);
        let cleaned = json!({"name": "t", "inputSchema": tool.input_schema});
        assert_ne!(tool.fingerprint, fingerprint(&json!({}), cleaned), "it is taken over what the server sent");
    }
}
