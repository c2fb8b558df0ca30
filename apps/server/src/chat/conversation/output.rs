//! Events that are only told.

use crate::chat::{socket::Event, visible};
use serde_json::Value;

/// How much of a tool's output is shown.
const MAX_LINES: usize = 40;
const MAX_CHARS: usize = 4_000;

/// `system:ready`.
pub(super) fn ready(payload: &Value) -> String {
    let text = |key| payload.get(key).and_then(Value::as_str).map(visible::line).unwrap_or_default();
    let tools = payload.get("tools").and_then(Value::as_array).map_or(0, Vec::len);
    let again = if payload.get("resumed") == Some(&Value::Bool(true)) { ", resumed" } else { "" };
    format!("  session {}{again}: {} {}, {tools} tools", text("sessionId"), text("provider"), text("model"))
}

/// `agent:error`.
pub(super) fn failure(payload: &Value) -> String {
    let text = |key| payload.get(key).and_then(Value::as_str).map(visible::line);
    let message = text("message").or_else(|| payload.as_str().map(visible::line)).unwrap_or_default();
    let code = text("code").map(|code| format!(" [{code}]")).unwrap_or_default();
    let hint = text("hint").map(|hint| format!("\n  {hint}")).unwrap_or_default();
    format!("! {message}{code}{hint}")
}

/// `budget:asked`.
pub(super) fn budget(payload: &Value) -> String {
    let number = |key| payload.get(key).and_then(Value::as_u64).unwrap_or_default();
    let text = |key| payload.get(key).and_then(Value::as_str).map(visible::line).unwrap_or_default();
    let (taken, limit) = (number("taken"), number("limit"));
    let whose = if text("of") == "session" { "this session" } else { "your day" };
    format!("! the budget of {whose} is used up: {taken} of {limit} {}; /go continues, /stop ends", text("measure"))
}

/// `tool:approval_resolved`.
pub(super) fn resolved(payload: &Value) -> String {
    let text = |key| payload.get(key).and_then(Value::as_str).map(visible::line).unwrap_or_default();
    let edited = if payload.get("args").is_some_and(|args| !args.is_null()) { ", with edited arguments" } else { "" };
    match text("reason") {
        reason if reason.is_empty() => format!("  {}{edited}", text("decision")),
        reason => format!("  {}: {reason}", text("decision")),
    }
}

/// All others; none for what a terminal need not show.
pub(super) fn told(event: &Event) -> Option<String> {
    let payload = &event.payload;
    let text = |key| payload.get(key).and_then(Value::as_str);
    let told = match event.name.as_str() {
        "system:message" => format!("  {}", visible::prose(payload.as_str().or(text("text"))?)),
        "system:progress" if text("status") == Some("failed") => format!("! {}", visible::line(text("message")?)),
        "tool:output" => block(&tool_text(payload)),
        "tool:error" => {
            let code = text("code").unwrap_or_default();
            format!("! {}: {} [{}]", visible::line(text("name")?), clipped(text("message")?), visible::line(code))
        }
        "session:expired" => format!("! the sandbox is gone: {}", visible::line(text("reason")?)),
        "history:snapshot" => earlier(payload)?,
        _ => return None,
    };
    Some(told)
}

/// How much was said before: the session's history has it.
fn earlier(payload: &Value) -> Option<String> {
    let messages = payload.get("messages").and_then(Value::as_array).map_or(0, Vec::len);
    (messages > 0).then(|| format!("  ({messages} earlier messages)"))
}

/// The text of a tool's result: its content parts as a JSON string, or whatever it is.
fn tool_text(payload: &Value) -> String {
    let raw = payload.as_str().map_or_else(|| payload.to_string(), str::to_owned);
    let parsed: Option<Value> = serde_json::from_str(&raw).ok();
    let parts = match &parsed {
        Some(Value::Array(parts)) => parts,
        Some(Value::Object(object)) => match object.get("content").and_then(Value::as_array) {
            Some(parts) => parts,
            None => return raw,
        },
        _ => return raw,
    };
    let part = |part: &Value| match part.get("text").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => format!("({})", part.get("type").and_then(Value::as_str).unwrap_or("content")),
    };
    parts.iter().map(part).collect::<Vec<_>>().join("\n")
}

fn block(text: &str) -> String {
    clipped(text).lines().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n")
}

/// At most [`MAX_LINES`] lines and [`MAX_CHARS`] characters, harmless, and how much is left out.
fn clipped(text: &str) -> String {
    let mut shown: String = text.lines().take(MAX_LINES).collect::<Vec<_>>().join("\n");
    if let Some((end, _)) = shown.char_indices().nth(MAX_CHARS) {
        shown.truncate(end);
    }
    let left_out = text.trim_end().len().saturating_sub(shown.len());
    let shown = visible::prose(&shown);
    if left_out == 0 { shown } else { format!("{shown}\n... {left_out} more bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told_of(name: &str, payload: Value) -> Option<String> {
        told(&Event { name: name.to_owned(), payload, meta: Value::Null })
    }

    #[test]
    fn a_tools_output_is_its_text_and_bounded() {
        let content = json!([{"type": "text", "text": "a\n\u{1b}[2Jb"}, {"type": "image", "data": ""}]).to_string();
        assert_eq!(told_of("tool:output", json!(content)).as_deref(), Some("  | a\n  | \\u{1b}[2Jb\n  | (image)"));
        let long = (0..100).map(|n| n.to_string()).collect::<Vec<_>>().join("\n");
        let shown = told_of("tool:output", json!(long)).expect("shown");
        assert_eq!(shown.lines().count(), MAX_LINES + 1);
        assert!(shown.ends_with("more bytes"), "{shown}");
        let wide = told_of("tool:output", json!("ä".repeat(10_000))).expect("shown");
        assert!(wide.chars().count() < MAX_CHARS + 50);
    }

    #[test]
    fn an_unknown_event_is_not_told() {
        assert_eq!(told_of("news:tomorrow", json!("x")), None);
    }
}
