use super::content;
use crate::replay;
use lockkeeper_domain::{AssistantMessage, CallId, Message};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};

/// The history as the vendor takes it. Messages of the same side that follow each other become one, since the sides
/// have to alternate.
pub(super) fn of(history: &[Message]) -> Vec<Value> {
    let mut messages = Messages::default();
    for message in history {
        match message {
            Message::User { message, .. } => messages.push("user", content::user(message)),
            Message::Assistant { message, .. } => messages.assistant(message),
            Message::Tool { results, .. } => {
                let blocks = results.iter().map(|r| content::result(r, messages.id_of(&r.call))).collect();
                messages.push("user", blocks);
            }
        }
    }
    let join = |(role, content): (&str, Vec<Value>)| json!({"role": role, "content": content});
    messages.done.into_iter().map(join).collect()
}

#[derive(Default)]
struct Messages {
    done: Vec<(&'static str, Vec<Value>)>,
    /// What each call is called on the wire.
    ids: HashMap<CallId, String>,
    used: HashSet<String>,
}

impl Messages {
    fn push(&mut self, role: &'static str, content: Vec<Value>) {
        match self.done.last_mut() {
            _ if content.is_empty() => {}
            Some((last, blocks)) if *last == role => blocks.extend(content),
            _ => self.done.push((role, content)),
        }
    }

    fn assistant(&mut self, message: &AssistantMessage) {
        let replayed = replay::blocks(message).filter(|blocks| self.are_new(blocks));
        let blocks = replayed.unwrap_or_else(|| degraded(message));
        for (call, id) in message.calls.iter().zip(replay::call_ids(&blocks)) {
            self.used.insert(id.to_owned());
            self.ids.insert(call.id.clone(), id.to_owned());
        }
        self.push("assistant", blocks);
    }

    /// Whether no call of `blocks` has an id that another one has. The vendor refuses a conversation in which ids
    /// return, and servers that speak its API do give out the same ones again.
    fn are_new(&self, blocks: &[Value]) -> bool {
        let mut here = HashSet::new();
        replay::call_ids(blocks).all(|id| is_id(id) && !self.used.contains(id) && here.insert(id))
    }

    fn id_of<'a>(&'a self, call: &'a CallId) -> &'a str {
        self.ids.get(call).map_or(call.as_str(), String::as_str)
    }
}

/// What is left of an answer without its replay: text, and calls under our own ids.
fn degraded(message: &AssistantMessage) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !message.text.trim().is_empty() {
        blocks.push(content::text(&message.text));
    }
    blocks.extend(message.calls.iter().map(|call| {
        let input = if call.args.is_object() { call.args.clone() } else { json!({"value": call.args}) };
        json!({"type": "tool_use", "id": call.id.as_str(), "name": name(call.name.as_str()), "input": input})
    }));
    blocks
}

/// A name that the vendor takes. The name of a tool is one; what another model wrote in its place may not be.
fn name(written: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let name: String = written.chars().map(fits).take(64).collect();
    if name.is_empty() { "_".to_owned() } else { name }
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}
