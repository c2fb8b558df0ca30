//! The body of `interactions` (<https://ai.google.dev/gemini-api/docs/interactions>), with the whole conversation in each
//! request: the vendor stores nothing.

use super::{NO_SIGNATURE, arguments, content, name};
use crate::{Api, Config, replay};
use lockkeeper_domain::{AssistantMessage, CallId, CallResult, Message, UserMessage};
use lockkeeper_llm_common::WireTool;
use lockkeeper_ports::GenerateRequest;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

pub(super) fn body(request: &GenerateRequest, model: &str, config: &Config, tools: &[WireTool]) -> Value {
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(model));
    body.insert("stream".to_owned(), json!(true));
    body.insert("store".to_owned(), json!(false));
    if !request.system.trim().is_empty() {
        body.insert("system_instruction".to_owned(), json!(*request.system));
    }
    if !tools.is_empty() {
        body.insert("tools".to_owned(), self::tools(tools));
    }
    let mut generation = Map::from_iter([("max_output_tokens".to_owned(), json!(request.max_output_tokens))]);
    if config.thinking {
        generation.insert("thinking_summaries".to_owned(), json!("auto"));
    }
    if let Some(level) = &config.thinking_level {
        generation.insert("thinking_level".to_owned(), json!(level));
    }
    body.insert("generation_config".to_owned(), Value::Object(generation));
    body.insert("input".to_owned(), input(&request.messages, super::checks_signatures(model)));
    Value::Object(body)
}

pub(super) fn tools(tools: &[WireTool]) -> Value {
    tools.iter().map(tool).collect()
}

fn tool(tool: &WireTool) -> Value {
    json!({
        "type": "function",
        "name": tool.name.as_str(),
        "description": tool.description,
        "parameters": tool.schema,
    })
}

fn input(history: &[Message], signed: bool) -> Value {
    let mut steps = Vec::new();
    let mut calls = HashMap::new();
    for message in history {
        match message {
            Message::User { message, .. } => steps.push(json!({"type": "user_input", "content": user(message)})),
            Message::Assistant { message, .. } => {
                let said = replay::items(Api::Interactions, message).unwrap_or_else(|| degraded(message, signed));
                let on_wire = said.iter().filter_map(|step| replay::wire_call(Api::Interactions, step));
                for (call, wire) in message.calls.iter().zip(on_wire) {
                    let id = wire.id.unwrap_or_else(|| call.id.as_str()).to_owned();
                    calls.insert(call.id.clone(), (id, wire.name.to_owned()));
                }
                steps.extend(said);
            }
            Message::Tool { results, .. } => steps.extend(results.iter().map(|r| result(r, &calls))),
        }
    }
    Value::Array(steps)
}

fn user(message: &UserMessage) -> Vec<Value> {
    let mut blocks: Vec<Value> = Vec::new();
    for file in &message.attachments {
        let what = file.name.as_deref().unwrap_or("a file");
        blocks.push(match content::from_user(what, &file.mime_type, &file.data) {
            Ok(mime_type) => media(mime_type, &file.data),
            Err(line) => text(&line),
        });
    }
    if !message.text.is_empty() || blocks.is_empty() {
        blocks.push(text(&message.text));
    }
    blocks
}

fn result(result: &CallResult, calls: &HashMap<CallId, (String, String)>) -> Value {
    let (words, files) = content::of_result(&result.result);
    let blocks: Vec<Value> =
        std::iter::once(text(&words)).chain(files.into_iter().map(|m| media(m.mime_type, m.data))).collect();
    let fallback = (result.call.as_str().to_owned(), name(result.name.as_str()));
    let (id, name) = calls.get(&result.call).unwrap_or(&fallback);
    let mut step = json!({"type": "function_result", "call_id": id, "name": name, "result": blocks});
    if let (true, Some(fields)) = (result.result.is_error(), step.as_object_mut()) {
        fields.insert("is_error".to_owned(), json!(true));
    }
    step
}

/// What is left of an answer without its replay: text, and calls under our own ids.
fn degraded(message: &AssistantMessage, signed: bool) -> Vec<Value> {
    let said = (!message.text.is_empty()).then(|| json!({"type": "model_output", "content": [text(&message.text)]}));
    let calls = message.calls.iter().enumerate().map(|(index, call)| {
        let (name, args) = (name(call.name.as_str()), arguments(&call.args));
        let mut step = json!({"type": "function_call", "id": call.id.as_str(), "name": name, "arguments": args});
        if let (true, Some(fields)) = (signed && index == 0, step.as_object_mut()) {
            fields.insert("signature".to_owned(), json!(NO_SIGNATURE));
        }
        step
    });
    said.into_iter().chain(calls).collect()
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn media(mime_type: &str, data: &str) -> Value {
    let family = mime_type.split('/').next().filter(|family| ["image", "audio", "video"].contains(family));
    let kind = family.unwrap_or("document");
    json!({"type": kind, "mime_type": mime_type, "data": data})
}
