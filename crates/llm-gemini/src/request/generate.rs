//! The body of `streamGenerateContent` (<https://ai.google.dev/api/generate-content>).

use super::{NO_SIGNATURE, arguments, content, name};
use crate::{Api, Config, replay};
use lockkeeper_domain::{AssistantMessage, CallId, CallResult, Message, UserMessage};
use lockkeeper_llm_common::WireTool;
use lockkeeper_ports::GenerateRequest;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

pub(super) fn body(request: &GenerateRequest, model: &str, config: &Config, tools: &[WireTool]) -> Value {
    let mut body = Map::new();
    if !request.system.trim().is_empty() {
        body.insert("systemInstruction".to_owned(), json!({"parts": [{"text": *request.system}]}));
    }
    if !tools.is_empty() {
        body.insert("tools".to_owned(), self::tools(tools));
    }
    let mut generation = json!({"maxOutputTokens": request.max_output_tokens});
    let mut thinking = Map::new();
    if config.thinking {
        thinking.insert("includeThoughts".to_owned(), json!(true));
    }
    if let Some(level) = &config.thinking_level {
        thinking.insert("thinkingLevel".to_owned(), json!(level));
    }
    if let (false, Some(fields)) = (thinking.is_empty(), generation.as_object_mut()) {
        fields.insert("thinkingConfig".to_owned(), Value::Object(thinking));
    }
    body.insert("generationConfig".to_owned(), generation);
    body.insert("contents".to_owned(), Contents::of(&request.messages, model));
    Value::Object(body)
}

pub(super) fn tools(tools: &[WireTool]) -> Value {
    json!([{"functionDeclarations": tools.iter().map(tool).collect::<Vec<_>>()}])
}

fn tool(tool: &WireTool) -> Value {
    json!({
        "name": tool.name.as_str(),
        "description": tool.description,
        "parametersJsonSchema": tool.schema,
    })
}

struct Contents {
    done: Vec<Value>,
    /// What each call is called on the wire.
    calls: HashMap<CallId, (Option<String>, String)>,
    /// Whether the model is of a generation that checks signatures and takes images within results.
    current: bool,
}

impl Contents {
    fn of(history: &[Message], model: &str) -> Value {
        let current = super::checks_signatures(model);
        let mut contents = Self { done: Vec::new(), calls: HashMap::new(), current };
        for message in history {
            match message {
                Message::User { message, .. } => contents.push("user", user(message)),
                Message::Assistant { message, .. } => contents.assistant(message),
                Message::Tool { results, .. } => contents.results(results),
            }
        }
        Value::Array(contents.done)
    }

    fn push(&mut self, role: &str, parts: Vec<Value>) {
        if !parts.is_empty() {
            let fields = [("role".to_owned(), json!(role)), ("parts".to_owned(), Value::Array(parts))];
            self.done.push(Value::Object(Map::from_iter(fields)));
        }
    }

    fn assistant(&mut self, message: &AssistantMessage) {
        let replayed = replay::items(Api::GenerateContent, message);
        let mut parts = replayed.unwrap_or_else(|| degraded(message));
        if self.current {
            sign_first_call(&mut parts);
        }
        let on_wire = parts.iter().filter_map(|part| replay::wire_call(Api::GenerateContent, part));
        for (call, wire) in message.calls.iter().zip(on_wire) {
            self.calls.insert(call.id.clone(), (wire.id.map(ToOwned::to_owned), wire.name.to_owned()));
        }
        self.push("model", parts);
    }

    /// All responses of a step go into one content.
    fn results(&mut self, results: &[CallResult]) {
        let mut apart = Vec::new();
        let responses = results.iter().map(|result| self.response(result, &mut apart)).collect();
        self.push("user", responses);
        self.push("user", apart);
    }

    fn response(&self, result: &CallResult, apart: &mut Vec<Value>) -> Value {
        let (text, media) = content::of_result(&result.result);
        let key = if result.result.is_error() { "error" } else { "output" };
        let fallback = (None, name(result.name.as_str()));
        let (id, name) = self.calls.get(&result.call).unwrap_or(&fallback);
        let mut response = Map::new();
        if let Some(id) = id {
            response.insert("id".to_owned(), json!(id));
        }
        response.insert("name".to_owned(), json!(name));
        response.insert("response".to_owned(), json!({key: text}));
        let media: Vec<Value> = media.into_iter().map(|m| inline(m.mime_type, m.data)).collect();
        if self.current && !media.is_empty() {
            response.insert("parts".to_owned(), Value::Array(media));
        } else {
            apart.extend(media);
        }
        json!({"functionResponse": response})
    }
}

fn user(message: &UserMessage) -> Vec<Value> {
    let mut parts: Vec<Value> = Vec::new();
    for file in &message.attachments {
        let what = file.name.as_deref().unwrap_or("a file");
        parts.push(match content::from_user(what, &file.mime_type, &file.data) {
            Ok(mime_type) => inline(mime_type, &file.data),
            Err(line) => json!({"text": line}),
        });
    }
    if !message.text.is_empty() || parts.is_empty() {
        parts.push(json!({"text": message.text}));
    }
    parts
}

/// What is left of an answer without its replay: text, and calls under our own ids.
fn degraded(message: &AssistantMessage) -> Vec<Value> {
    let text = (!message.text.is_empty()).then(|| json!({"text": message.text}));
    let calls = message.calls.iter().map(|call| {
        let (name, args) = (name(call.name.as_str()), arguments(&call.args));
        json!({"functionCall": {"id": call.id.as_str(), "name": name, "args": args}})
    });
    text.into_iter().chain(calls).collect()
}

/// The first call of a step must be signed. Where it is not, because another provider or an older model made it, a word of
/// the vendor's stands in.
fn sign_first_call(parts: &mut [Value]) {
    let mut calls = parts.iter_mut().filter(|part| part.get("functionCall").is_some());
    if let Some(fields) = calls.next().and_then(Value::as_object_mut) {
        fields.entry("thoughtSignature").or_insert_with(|| json!(NO_SIGNATURE));
    }
}

fn inline(mime_type: &str, data: &str) -> Value {
    json!({"inlineData": {"mimeType": mime_type, "data": data}})
}
