//! The body of a request (<https://platform.claude.com/docs/en/api/messages/create>).

mod content;
mod fallback;
mod messages;

use crate::{Config, PromptCache};
pub(crate) use fallback::Offers;
use lockkeeper_llm_common::{Dialect, Memory, Toolbox, WireTool};
use lockkeeper_ports::{Completion, GenerateRequest, Notice};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How many of the last messages of the user's side carry a marker of the cache. The one before the last keeps what the
/// request before this one stored in reach. With the marker of the instructions they are below the vendor's limit of four.
const CACHED_MESSAGES: usize = 2;

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) body: Value,
    pub(crate) model: String,
    pub(crate) offers: Offers,
    toolbox: Toolbox,
    /// What this request had to do without, and why.
    refused_fields: BTreeMap<&'static str, String>,
    refused_parts: BTreeSet<u64>,
    notices: Vec<Notice>,
    /// Whether the last message is the vendor's own, of a turn that it paused.
    goes_on: bool,
}

impl Request {
    /// The request for an answer to `request`, which offers no more than `most`, and nothing that the server is known to refuse.
    pub(crate) fn new(request: GenerateRequest, config: &Config, most: Offers, memory: &Memory) -> Self {
        let choice = (&config.tools, "llm.claude.tools");
        let toolbox = Toolbox::pack(&request.tools, &Dialect::CLAUDE, choice, (memory, &request.model));
        let mut new = Self {
            body: body(&request, config, toolbox.tools()),
            model: request.model,
            offers: Offers::of(config),
            toolbox,
            refused_fields: BTreeMap::new(),
            refused_parts: BTreeSet::new(),
            notices: Vec::new(),
            goes_on: false,
        };
        new.lower(most);
        new.leave_out_known(&memory.of(&new.model));
        new
    }

    /// What people should know of it.
    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        let mut notices = self.toolbox.take_notices();
        notices.append(&mut self.notices);
        notices
    }

    /// The arguments of calls under the names that the tools' servers know.
    pub(crate) fn restore(&self, completion: &mut Completion) {
        self.toolbox.restore(completion);
    }

    /// Adds what the vendor has said of a turn that it paused.
    pub(crate) fn go_on_from(&mut self, blocks: &[Value]) {
        let Some(messages) = self.body.get_mut("messages").and_then(Value::as_array_mut) else { return };
        if std::mem::replace(&mut self.goes_on, true) {
            messages.pop();
        }
        messages.push(json!({"role": "assistant", "content": blocks}));
    }
}

/// The body that asks for an answer to `request`.
pub(crate) fn body(request: &GenerateRequest, config: &Config, tools: &[WireTool]) -> Value {
    let cache = cache_control(config.prompt_cache);
    let mut messages = messages::of(&request.messages);
    let mut system = Vec::new();
    if !request.system.trim().is_empty() {
        system.push(json!({"type": "text", "text": *request.system}));
    }
    let mut tools: Vec<Value> = tools.iter().map(tool).collect();
    if let Some(cache) = &cache {
        // The vendor's order is tools, instructions, messages: a marker covers all that is before it.
        mark(if system.is_empty() { tools.last_mut() } else { system.last_mut() }, cache);
        let users = messages.iter_mut().rev().filter(|message| message.get("role").is_some_and(|role| role == "user"));
        users.take(CACHED_MESSAGES).for_each(|message| mark(last_block(message), cache));
    }
    let mut body = Map::new();
    body.insert("model".to_owned(), json!(request.model));
    body.insert("max_tokens".to_owned(), json!(request.max_output_tokens));
    body.insert("stream".to_owned(), json!(true));
    if config.thinking {
        body.insert("thinking".to_owned(), thinking(config));
    }
    if let Some(effort) = &config.effort {
        body.insert("output_config".to_owned(), json!({"effort": effort}));
    }
    if !system.is_empty() {
        body.insert("system".to_owned(), Value::Array(system));
    }
    if !tools.is_empty() {
        body.insert("tools".to_owned(), Value::Array(tools));
    }
    body.insert("messages".to_owned(), Value::Array(messages));
    Value::Object(body)
}

/// Without summaries a model that thinks between its calls would seem to hang.
fn thinking(config: &Config) -> Value {
    let mut thinking = json!({"type": "adaptive", "display": "summarized"});
    if let (true, Some(fields)) = (config.drop_unbound_thinking, thinking.as_object_mut()) {
        fields.insert("block_binding".to_owned(), json!({"prefix_mismatch_behavior": "drop_block"}));
    }
    thinking
}

fn tool(tool: &WireTool) -> Value {
    json!({
        "name": tool.name.as_str(),
        "description": tool.description,
        "input_schema": tool.schema,
    })
}

fn cache_control(cache: PromptCache) -> Option<Value> {
    match cache {
        PromptCache::Off => None,
        PromptCache::FiveMinutes => Some(json!({"type": "ephemeral"})),
        PromptCache::OneHour => Some(json!({"type": "ephemeral", "ttl": "1h"})),
    }
}

fn last_block(message: &mut Value) -> Option<&mut Value> {
    message.get_mut("content")?.as_array_mut()?.last_mut()
}

fn mark(block: Option<&mut Value>, cache: &Value) {
    if let Some(fields) = block.and_then(Value::as_object_mut) {
        fields.insert("cache_control".to_owned(), cache.clone());
    }
}
