//! What was said, as attributes of spans: only where the configuration asks for it.

use lockkeeper_domain::Message;
use opentelemetry::KeyValue;
use serde_json::{Value, json};

/// Whether spans carry what was said, and how much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    wanted: bool,
    max: usize,
}

impl Content {
    pub(crate) fn new(wanted: bool, max: usize) -> Self {
        Self { wanted, max }
    }

    /// An attribute with a text, if content is wanted.
    pub(crate) fn attribute(self, name: &'static str, text: impl FnOnce() -> String) -> Option<KeyValue> {
        self.wanted.then(|| {
            let mut text = text();
            text.truncate(text.floor_char_boundary(self.max));
            KeyValue::new(name, text)
        })
    }
}

/// What a model is shown, in the conventions' form: of each message its role and its parts.
pub(crate) fn messages(messages: &[Message]) -> String {
    Value::from(messages.iter().map(message).collect::<Vec<_>>()).to_string()
}

/// What a model said, in the same form.
pub(crate) fn answer(text: &str, calls: impl Iterator<Item = (String, Value)>) -> String {
    let parts = [said(text)].into_iter().chain(calls.map(|(name, args)| asked(&name, &args)));
    let parts: Vec<_> = parts.collect();
    json!([{"role": "assistant", "parts": parts}]).to_string()
}

fn message(message: &Message) -> Value {
    match message {
        Message::User { message, .. } => json!({"role": "user", "parts": [said(&message.text)]}),
        Message::Assistant { message, .. } => {
            let calls = message.calls.iter().map(|call| asked(call.name.as_str(), &call.args));
            let parts: Vec<_> = [said(&message.text)].into_iter().chain(calls).collect();
            json!({"role": "assistant", "parts": parts})
        }
        Message::Tool { results, .. } => {
            let result = |result: &lockkeeper_domain::CallResult| json!({"type": "tool_call_response", "id": result.call, "result": result.result.text()});
            let parts: Vec<_> = results.iter().map(result).collect();
            json!({"role": "tool", "parts": parts})
        }
    }
}

fn said(text: &str) -> Value {
    json!({"type": "text", "content": text})
}

fn asked(name: &str, args: &Value) -> Value {
    json!({"type": "tool_call", "name": name, "arguments": args})
}
