//! What both APIs need to know about a history: the wire's names of calls, and results as text and images.

use crate::config::Api;
use lockkeeper_domain::{Attachment, CallResult, Content, KnownContent, Message, ToolCall, UserMessage};
use lockkeeper_llm_common::media::{self, Shown};
use serde_json::{Value, json};
use std::collections::HashSet;

/// The longest name of a tool that the APIs take.
const MAX_NAME: usize = 64;
/// The longest id of a call that they take.
const MAX_ID: usize = 40;
/// The length of the ids that Mistral takes, of letters and digits.
const SHORT_ID: usize = 9;

/// The images that the APIs take.
const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// A history's entry with the wire's names of the calls that it is about.
pub(crate) struct Entry<'a> {
    pub(crate) message: &'a Message,
    /// One for each call of an assistant's message, or for each result of the message after it.
    pub(crate) ids: Vec<String>,
}

/// Pairs each message with the names of its calls in `api`; short ones unless the server takes `long_ids`.
pub(crate) fn entries(messages: &[Message], api: Api, long_ids: bool) -> impl Iterator<Item = Entry<'_>> {
    let mut own = false;
    let name = move |ids: Vec<String>| if long_ids { ids } else { ids.iter().map(|id| short_id(id)).collect() };
    let mut asked: &[ToolCall] = &[];
    messages.iter().map(move |message| {
        let ids = match message {
            Message::User { .. } => Vec::new(),
            Message::Assistant { message, .. } => {
                asked = &message.calls;
                own = own_replay(message, api).is_some();
                name(wire_ids(asked, own))
            }
            Message::Tool { results, .. } => name(result_ids(asked, results, own)),
        };
        Entry { message, ids }
    })
}

/// The wire's names of a step's calls: those of the provider where it is this one, and where each names one call alone, else
/// Lockkeeper's. What another provider calls its calls may be longer than this one takes.
fn wire_ids(calls: &[ToolCall], are_own: bool) -> Vec<String> {
    let mut taken = HashSet::new();
    let fits = |id: &str| !id.is_empty() && (are_own || id.len() <= MAX_ID && id.chars().all(is_plain));
    let id = |call: &ToolCall| {
        let own = call.provider_id.as_deref().filter(|id| fits(id));
        let own = own.filter(|id| taken.insert((*id).to_owned()));
        own.unwrap_or(call.id.as_str()).to_owned()
    };
    calls.iter().map(id).collect()
}

/// As many letters and digits as Mistral wants, the same for the same id.
fn short_id(id: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in id.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    let mut short = String::new();
    for _ in 0..SHORT_ID {
        let digit = u32::try_from(hash % 36).unwrap_or_default();
        short.extend(char::from_digit(digit, 36));
        hash /= 36;
    }
    short
}

fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn result_ids(calls: &[ToolCall], results: &[CallResult], are_own: bool) -> Vec<String> {
    let ids = wire_ids(calls, are_own);
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
    let plain = |c: char| if is_plain(c) { c } else { '_' };
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

/// A result's text, and its images as data URLs.
pub(crate) fn result_parts(result: &CallResult, with_images: bool) -> (String, Vec<String>) {
    let (mut lines, mut images) = (Vec::new(), Vec::new());
    for part in &result.result.content {
        match part {
            Content::Known(KnownContent::Text { text }) => lines.push(text.clone()),
            Content::Known(KnownContent::Image { data, mime_type }) if with_images => {
                match media::image("an image", mime_type, data, &IMAGES) {
                    Shown::As(mime_type) => images.push(data_url(mime_type, data)),
                    Shown::LeftOut(line) => lines.push(line),
                }
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
        let name = name.as_deref().unwrap_or("without a name");
        let shown = media::image(name, mime_type, data, &IMAGES);
        match shown {
            Shown::As(mime_type) if with_images => images.push(data_url(mime_type, data)),
            Shown::LeftOut(line) if with_images && mime_type.starts_with("image/") => {
                text = format!("{text}\n\n{line}");
            }
            _ => text = format!("{text}\n\n[An attachment that you cannot see: {name}, {mime_type}]"),
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
        assert_eq!(wire_ids(&calls, true), ["a", "call_0_0_1", "call_0_0_2", "call_0_0_3"]);
    }

    #[test]
    fn ids_of_another_provider_that_may_be_refused_give_way_to_own_ones() {
        let long = "x".repeat(41);
        let calls = [call(0, Some("toolu_1"), "f"), call(1, Some(&long), "f"), call(2, Some("a|b"), "f")];
        assert_eq!(wire_ids(&calls, false), ["toolu_1", "call_0_0_1", "call_0_0_2"]);
        assert_eq!(wire_ids(&calls, true), ["toolu_1", long.as_str(), "a|b"]);
        let short = short_id("call_0_0_1");
        assert!(short.len() == 9 && short.chars().all(|c| c.is_ascii_alphanumeric()), "{short}");
        assert_ne!(short, short_id("call_0_0_2"));
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
}
