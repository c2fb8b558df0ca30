//! What both APIs need to know about a history: the wire's names of calls, and results as text and images.

use crate::config::Api;
use lockkeeper_domain::{
    Attachment, CallResult, Content, KnownContent, Message, ToolCall, ToolDefinition, UserMessage,
};
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// The longest name of a tool that the APIs take.
const MAX_NAME: usize = 64;

/// A history's entry with the wire's names of the calls that it is about.
pub(crate) struct Entry<'a> {
    pub(crate) message: &'a Message,
    /// One for each call of an assistant's message, or for each result of the message after it.
    pub(crate) ids: Vec<String>,
}

/// Pairs each message with the names of its calls.
pub(crate) fn entries(messages: &[Message]) -> impl Iterator<Item = Entry<'_>> {
    let mut asked: &[ToolCall] = &[];
    messages.iter().map(move |message| {
        let ids = match message {
            Message::User { .. } => Vec::new(),
            Message::Assistant { message, .. } => {
                asked = &message.calls;
                wire_ids(asked)
            }
            Message::Tool { results, .. } => result_ids(asked, results),
        };
        Entry { message, ids }
    })
}

/// The wire's names of a step's calls: the provider's own where there is one and it names one call alone, else
/// Lockkeeper's.
fn wire_ids(calls: &[ToolCall]) -> Vec<String> {
    let mut taken = HashSet::new();
    let id = |call: &ToolCall| {
        let own = call.provider_id.as_deref().filter(|id| !id.is_empty());
        let own = own.filter(|id| taken.insert((*id).to_owned()));
        own.unwrap_or(call.id.as_str()).to_owned()
    };
    calls.iter().map(id).collect()
}

fn result_ids(calls: &[ToolCall], results: &[CallResult]) -> Vec<String> {
    let ids = wire_ids(calls);
    let id = |result: &CallResult| {
        let known = std::iter::zip(calls, &ids).find(|(call, _)| call.id == result.call);
        known.map_or_else(|| result.call.as_str().to_owned(), |(_, id)| id.clone())
    };
    results.iter().map(id).collect()
}

/// For each of `calls`, named `ids`, the place of the raw call that it came from, each at most once.
pub(crate) fn origins(calls: &[ToolCall], raw: &[(&str, &str)]) -> Vec<Option<usize>> {
    let mut free: Vec<bool> = vec![true; raw.len()];
    let origin = |call: &ToolCall| {
        let own = call.provider_id.as_deref().unwrap_or_default();
        let fits = |(at, (id, name)): (usize, &(&str, &str))| {
            (free.get(at) == Some(&true) && *id == own && *name == call.name.as_str()).then_some(at)
        };
        let at = raw.iter().enumerate().find_map(fits)?;
        free[at] = false;
        Some(at)
    };
    calls.iter().map(origin).collect()
}

/// The replay of a message, if the same provider and API made it.
pub(crate) fn own_replay(message: &lockkeeper_domain::AssistantMessage, api: Api) -> Option<&Value> {
    let replay = message.replay.as_ref()?;
    (replay.provider == crate::NAME && replay.api == api.name()).then_some(&replay.raw)
}

/// A name that the APIs take, for one that a model made up.
pub(crate) fn tool_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '_' };
    let name: String = name.chars().take(MAX_NAME).map(plain).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// Arguments as the APIs take them: the text of an object.
pub(crate) fn object_text(args: &Value) -> String {
    match args {
        Value::Object(_) => args.to_string(),
        Value::Null => "{}".to_owned(),
        other => json!({"arguments": other}).to_string(),
    }
}

/// A tool's schema as the APIs take it: an object at its root, without alternatives there. What that widens, the
/// tool's server still checks.
pub(crate) fn parameters(tool: &ToolDefinition) -> Value {
    let mut schema = tool.input_schema.as_object().cloned().unwrap_or_default();
    schema.insert("type".to_owned(), "object".into());
    schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    for refused in ["oneOf", "anyOf", "allOf", "enum", "not"] {
        schema.shift_remove(refused);
    }
    Value::Object(schema)
}

/// A result's text, and its images as data URLs.
pub(crate) fn result_parts(result: &CallResult, with_images: bool) -> (String, Vec<String>) {
    let (mut lines, mut images) = (Vec::new(), Vec::new());
    for part in &result.result.content {
        match part {
            Content::Known(KnownContent::Text { text }) => lines.push(text.clone()),
            Content::Known(KnownContent::Image { data, mime_type }) if with_images => {
                images.push(data_url(mime_type, data));
            }
            Content::Known(KnownContent::Image { mime_type, .. }) => {
                lines.push(format!("[An image that you cannot see: {mime_type}]"));
            }
            Content::Other(value) => lines.push(value.to_string()),
        }
    }
    if lines.is_empty() {
        lines.extend(result.result.structured.as_ref().map(Value::to_string));
    }
    let text = match (lines.join("\n"), images.is_empty()) {
        (text, true) if text.is_empty() => "(no output)".to_owned(),
        (text, _) => text,
    };
    let failed = if result.result.is_error() { "The call failed: " } else { "" };
    (format!("{failed}{text}"), images)
}

/// A user's text, and the images as data URLs. Of an attachment that is no image, the model learns that it is there.
pub(crate) fn user_parts(message: &UserMessage, with_images: bool) -> (String, Vec<String>) {
    let mut text = message.text.clone();
    let mut images = Vec::new();
    for Attachment { name, mime_type, data } in &message.attachments {
        if with_images && mime_type.starts_with("image/") {
            images.push(data_url(mime_type, data));
        } else {
            let name = name.as_deref().unwrap_or("without a name");
            text = format!("{text}\n\n[An attachment that you cannot see: {name}, {mime_type}]");
        }
    }
    (text, images)
}

fn data_url(mime_type: &str, data: &str) -> String {
    format!("data:{mime_type};base64,{data}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::{CallId, ToolName, TurnId};
    use lockkeeper_testkit::llm::history::tool;

    fn call(index: usize, provider_id: Option<&str>, name: &str) -> ToolCall {
        ToolCall {
            id: CallId::minted(TurnId::default(), 0, index),
            provider_id: provider_id.map(str::to_owned),
            name: ToolName::as_written(name),
            server: None,
            tool: name.to_owned(),
            args: json!({}),
        }
    }

    #[test]
    fn a_call_keeps_its_providers_name_where_that_names_it_alone() {
        let calls = [call(0, Some("a"), "f"), call(1, Some("a"), "f"), call(2, None, "f"), call(3, Some(""), "f")];
        assert_eq!(wire_ids(&calls), ["a", "call_0_0_1", "call_0_0_2", "call_0_0_3"]);
    }

    #[test]
    fn a_raw_call_is_the_origin_of_one_call() {
        let calls = [call(0, Some("a"), "f"), call(1, Some("a"), "f"), call(2, Some("b"), "g"), call(3, None, "h")];
        let raw = [("b", "g"), ("a", "f"), ("a", "f"), ("c", "f"), ("", "h")];
        assert_eq!(origins(&calls, &raw), [Some(1), Some(2), Some(0), Some(4)]);
        assert_eq!(origins(&calls, &[]), [None; 4]);
    }

    #[test]
    fn a_name_or_arguments_that_the_apis_refuse_are_made_acceptable() {
        assert_eq!(tool_name("fs.read file"), "fs_read_file");
        assert_eq!(tool_name(""), "unnamed");
        assert_eq!(tool_name(&"x".repeat(100)).len(), MAX_NAME);
        assert_eq!(object_text(&json!({"a": 1})), r#"{"a":1}"#);
        assert_eq!(object_text(&json!("{\"a\":")), r#"{"arguments":"{\"a\":"}"#);
        assert_eq!(object_text(&Value::Null), "{}");
    }

    #[test]
    fn a_schema_becomes_an_object_at_its_root_and_stays_as_it_is_below() {
        let mut odd = tool("s", "t", &json!({"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}));
        assert_eq!(parameters(&odd), odd.input_schema);
        odd.input_schema = json!({"oneOf": [{"required": ["a"]}], "$defs": {"x": {}}});
        assert_eq!(parameters(&odd), json!({"$defs": {"x": {}}, "type": "object", "properties": {}}));
        odd.input_schema = json!(true);
        assert_eq!(parameters(&odd), json!({"type": "object", "properties": {}}));
    }
}
