//! The body of `POST /responses`.

use super::items::is_call;
use crate::{
    config::{Api, Config},
    failure::Feature,
    history::{entries, object_text, origins, own_replay, result_parts, tool_name, user_parts},
    json::{named, text},
};
use lockkeeper_domain::{AssistantMessage, Message, ToolCall, UserMessage};
use lockkeeper_llm_common::WireTool;
use lockkeeper_ports::GenerateRequest;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// The longest key of a cache that the API takes.
const MAX_CACHE_KEY: usize = 64;
/// The smallest limit of an answer's length that the API takes.
const MIN_OUTPUT_TOKENS: u32 = 16;

/// The body for `request`, without the features that were refused before.
pub(crate) fn body(config: &Config, request: &GenerateRequest, tools: &[WireTool], without: &[Feature]) -> Value {
    let with = |feature| !without.contains(&feature);
    let key = request.session.as_str();
    let mut body = json!({
        "model": request.model,
        "input": input(&request.messages, &with),
        "max_output_tokens": request.max_output_tokens.max(MIN_OUTPUT_TOKENS),
        "store": false,
        "stream": true,
    });
    let Some(fields) = body.as_object_mut() else { return body };
    if with(Feature::CacheKey) {
        fields.insert("prompt_cache_key".to_owned(), key.get(..MAX_CACHE_KEY).unwrap_or(key).into());
    }
    if !request.system.is_empty() {
        fields.insert("instructions".to_owned(), (*request.system).into());
    }
    if !tools.is_empty() {
        fields.insert("tools".to_owned(), tools.iter().map(tool).collect());
    }
    if with(Feature::Encrypted) && with(Feature::Reasoning) {
        fields.insert("include".to_owned(), json!(["reasoning.encrypted_content"]));
    }
    let reasoning = reasoning(config, with(Feature::Summary), with(Feature::Effort));
    if with(Feature::Reasoning) && !reasoning.is_empty() {
        fields.insert("reasoning".to_owned(), Value::Object(reasoning));
    }
    body
}

fn reasoning(config: &Config, with_summary: bool, with_effort: bool) -> Map<String, Value> {
    let summary = Some(&config.reasoning_summary).filter(|summary| with_summary && !summary.is_empty());
    let effort = config.reasoning_effort.as_ref().filter(|_| with_effort).map(|effort| ("effort", effort));
    let fields = effort.into_iter().chain(summary.map(|summary| ("summary", summary)));
    fields.map(|(field, value)| (field.to_owned(), Value::from(value.as_str()))).collect()
}

fn tool(tool: &WireTool) -> Value {
    json!({
        "type": "function",
        "name": tool.name.as_str(),
        "description": tool.description,
        "parameters": tool.schema,
        // The API's default rewrites a schema, and refuses most of what MCP servers send.
        "strict": false,
    })
}

fn input(messages: &[Message], with: &impl Fn(Feature) -> bool) -> Vec<Value> {
    let (with_replay, with_images) = (with(Feature::Replay), with(Feature::Images));
    let mut input = Vec::new();
    let mut custom = HashSet::new();
    for entry in entries(messages, Api::Responses, with(Feature::LongIds)) {
        match entry.message {
            Message::User { message, .. } => input.push(user(message, with_images)),
            Message::Assistant { message, .. } => {
                let own = own_replay(message, Api::Responses).filter(|_| with_replay);
                let items = match own.and_then(Value::as_array) {
                    Some(raw) => replayed(raw, &message.calls, &entry.ids),
                    None => degraded(message, &entry.ids),
                };
                let is_custom = |item: &&Value| text(item, "/type") == "custom_tool_call";
                custom = items.iter().filter(is_custom).filter_map(|item| named(item, "/call_id")).collect();
                input.extend(items);
            }
            Message::Tool { results, .. } => {
                for (result, id) in std::iter::zip(results, &entry.ids) {
                    input.push(output(&result_parts(result, with_images), id, custom.contains(id)));
                }
            }
        }
    }
    input
}

fn user(message: &UserMessage, with_images: bool) -> Value {
    let (text, images) = user_parts(message, with_images);
    json!({"type": "message", "role": "user", "content": content(&text, &images)})
}

fn content(text: &str, images: &[String]) -> Vec<Value> {
    let text = (!text.is_empty() || images.is_empty()).then(|| json!({"type": "input_text", "text": text}));
    let image = |url: &String| json!({"type": "input_image", "image_url": url, "detail": "auto"});
    text.into_iter().chain(images.iter().map(image)).collect()
}

/// The items as they came, without what the API would refuse: a call that was not run and so has no result, and
/// reasoning that nothing follows.
fn replayed(raw: &[Value], calls: &[ToolCall], ids: &[String]) -> Vec<Value> {
    let raw_calls: Vec<&Value> = raw.iter().filter(|item| is_call(item)).collect();
    let names: Vec<(&str, &str)> = raw_calls.iter().map(|item| (own_id(item), text(item, "/name"))).collect();
    let origins = origins(calls, &names);
    let mut seen = 0;
    let mut items = Vec::new();
    for item in raw {
        let mut item = item.clone();
        if is_call(&item) {
            let call = origins.iter().position(|origin| *origin == Some(seen));
            seen += 1;
            let Some(id) = call.and_then(|call| ids.get(call)) else { continue };
            if let Some(fields) = item.as_object_mut() {
                fields.insert("call_id".to_owned(), id.as_str().into());
            }
        }
        items.push(item);
    }
    while items.last().is_some_and(|item| text(item, "/type") == "reasoning") {
        items.pop();
    }
    let made = std::iter::zip(calls, ids).zip(&origins).filter(|(_, origin)| origin.is_none());
    items.extend(made.map(|((call, id), _)| function_call(call, id)));
    items
}

fn own_id(item: &Value) -> &str {
    match text(item, "/call_id") {
        "" => text(item, "/id"),
        id => id,
    }
}

fn degraded(message: &AssistantMessage, ids: &[String]) -> Vec<Value> {
    let said = json!({
        "type": "message",
        "role": "assistant",
        "content": [{"type": "output_text", "text": message.text}],
    });
    let said = (!message.text.is_empty()).then_some(said);
    let calls = std::iter::zip(&message.calls, ids).map(|(call, id)| function_call(call, id));
    said.into_iter().chain(calls).collect()
}

fn function_call(call: &ToolCall, id: &str) -> Value {
    json!({
        "type": "function_call",
        "call_id": id,
        "name": tool_name(call.name.as_str()),
        "arguments": object_text(&call.args),
    })
}

fn output((text, images): &(String, Vec<String>), id: &str, is_custom: bool) -> Value {
    let output = if images.is_empty() { Value::from(text.as_str()) } else { Value::Array(content(text, images)) };
    let kind = if is_custom { "custom_tool_call_output" } else { "function_call_output" };
    json!({"type": kind, "call_id": id, "output": output})
}
