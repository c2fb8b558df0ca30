//! The body of `POST /chat/completions`.

use crate::{
    config::{Api, Config},
    failure::Feature,
    history::{Entry, entries, object_text, origins, own_replay, result_parts, tool_name, user_parts},
    json::{arguments, list, text},
};
use lockkeeper_domain::{AssistantMessage, CallResult, Message, ToolCall};
use lockkeeper_llm_common::WireTool;
use lockkeeper_ports::GenerateRequest;
use serde_json::{Map, Value, json};

/// The body for `request`, without the features that were refused before.
pub(crate) fn body(config: &Config, request: &GenerateRequest, tools: &[WireTool], without: &[Feature]) -> Value {
    let with = |feature| !without.contains(&feature);
    let mut body = json!({
        "model": request.model,
        "messages": messages(config, request, &with),
        "stream": true,
    });
    let Some(fields) = body.as_object_mut() else { return body };
    if with(Feature::StreamOptions) {
        fields.insert("stream_options".to_owned(), json!({"include_usage": true}));
    }
    // The new name is OpenAI's, and the old one is what the other servers know.
    let new_name = config.is_vendor() == with(Feature::TokenLimit);
    let limit = if new_name { "max_completion_tokens" } else { "max_tokens" };
    fields.insert(limit.to_owned(), request.max_output_tokens.into());
    if !tools.is_empty() {
        fields.insert("tools".to_owned(), tools.iter().map(tool).collect());
    }
    if let Some(effort) =
        config.reasoning_effort.as_deref().filter(|_| with(Feature::Reasoning) && with(Feature::Effort))
    {
        fields.insert("reasoning_effort".to_owned(), effort.into());
    }
    body
}

fn tool(tool: &WireTool) -> Value {
    let function = json!({
        "name": tool.name.as_str(),
        "description": tool.description,
        "parameters": tool.schema,
    });
    json!({"type": "function", "function": function})
}

fn messages(config: &Config, request: &GenerateRequest, with: &impl Fn(Feature) -> bool) -> Vec<Value> {
    let (with_replay, with_images) = (with(Feature::Replay), with(Feature::Images));
    let system = (!request.system.is_empty()).then(|| json!({"role": "system", "content": &*request.system}));
    let mut messages: Vec<Value> = system.into_iter().collect();
    for Entry { message, ids } in entries(&request.messages, Api::Chat, with(Feature::LongIds)) {
        match message {
            Message::User { message, .. } => {
                let (text, images) = user_parts(message, with_images);
                messages.push(json!({"role": "user", "content": content(text, &images)}));
            }
            Message::Assistant { message, .. } => {
                let own = own_replay(message, Api::Chat).filter(|_| with_replay);
                messages.extend(assistant(config, message, own, &ids));
            }
            Message::Tool { results, .. } => messages.extend(step(results, &ids, with_images)),
        }
    }
    messages
}

fn content(text: String, images: &[String]) -> Value {
    if images.is_empty() {
        return Value::String(text);
    }
    let text = (!text.is_empty()).then(|| json!({"type": "text", "text": text}));
    let image = |url: &String| json!({"type": "image_url", "image_url": {"url": url}});
    text.into_iter().chain(images.iter().map(image)).collect()
}

/// What the model said: with what its server wants back, where that server said it; none if it said nothing.
fn assistant(config: &Config, message: &AssistantMessage, own: Option<&Value>, ids: &[String]) -> Option<Value> {
    let nothing = json!({});
    let raw = own.unwrap_or(&nothing);
    let mut fields = raw.as_object().cloned().unwrap_or_default();
    if !config.echo_reasoning {
        fields.shift_remove("reasoning_content");
        fields.shift_remove("reasoning");
    }
    fields.insert("role".to_owned(), "assistant".into());
    // Some servers refuse a message that has neither content nor calls.
    let content =
        if message.text.is_empty() && !message.calls.is_empty() { Value::Null } else { message.text.as_str().into() };
    fields.insert("content".to_owned(), content);
    fields.shift_remove("tool_calls");
    let calls = tool_calls(list(raw, "/tool_calls"), &message.calls, ids);
    if !calls.is_empty() {
        fields.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    (!message.text.is_empty() || !message.calls.is_empty()).then_some(Value::Object(fields))
}

fn tool_calls(raw: &[Value], calls: &[ToolCall], ids: &[String]) -> Vec<Value> {
    let names: Vec<(&str, &str)> = raw.iter().map(|call| (text(call, "/id"), text(call, "/function/name"))).collect();
    let origins = origins(calls, &names);
    let wire = |((call, id), origin): ((&ToolCall, &String), Option<usize>)| {
        let raw = origin.and_then(|at| raw.get(at));
        let mut fields = raw.and_then(Value::as_object).cloned().unwrap_or_default();
        fields.insert("id".to_owned(), id.as_str().into());
        fields.insert("type".to_owned(), "function".into());
        fields.insert("function".to_owned(), Value::Object(function(call, raw)));
        Value::Object(fields)
    };
    std::iter::zip(calls, ids).zip(origins).map(wire).collect()
}

/// The function as it was called; arguments that are no object are wrapped, since servers parse them for their
/// templates and fail.
fn function(call: &ToolCall, raw: Option<&Value>) -> Map<String, Value> {
    let said = raw.map(|raw| text(raw, "/function/arguments")).filter(|said| arguments(said).is_object());
    let args = match said.filter(|said| !said.trim().is_empty()) {
        Some(said) => said.to_owned(),
        None => object_text(&call.args),
    };
    Map::from_iter([("name".to_owned(), tool_name(call.name.as_str()).into()), ("arguments".to_owned(), args.into())])
}

/// A step's results, and their images in a user's message after them: the API takes none within a result.
fn step(results: &[CallResult], ids: &[String], with_images: bool) -> Vec<Value> {
    let mut messages = Vec::new();
    let mut shown = Vec::new();
    for (result, id) in std::iter::zip(results, ids) {
        let (mut text, images) = result_parts(result, with_images);
        if !images.is_empty() {
            text.push_str(if text.is_empty() { "" } else { "\n" });
            text.push_str("(The images of this result follow.)");
            shown.push(json!({"type": "text", "text": format!("Images of the result of {id}:")}));
            let image = |url: &String| json!({"type": "image_url", "image_url": {"url": url}});
            shown.extend(images.iter().map(image));
        }
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": text}));
    }
    if !shown.is_empty() {
        messages.push(json!({"role": "user", "content": shown}));
    }
    messages
}
