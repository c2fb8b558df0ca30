//! The output items of a response, as they grow.

use crate::json::{arguments, count, list, named, text};
use lockkeeper_ports::ProposedCall;
use serde_json::Value;
use std::collections::HashMap;

/// Between the parts of an item, and between items.
pub(super) const GAP: &str = "\n\n";

/// What tells items apart: their place, since some proxies change the ids from event to event; or their id, since
/// llama.cpp gives no place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Place(u64),
    Id(String),
    None,
}

impl Key {
    fn of(event: &Value) -> Self {
        let place = event.get("output_index").and_then(Value::as_u64);
        let id = || named(event, "/item_id").or_else(|| named(event, "/item/id"));
        place.map(Self::Place).or_else(|| id().map(Self::Id)).unwrap_or(Self::None)
    }
}

/// An item of which at least one event has come.
#[derive(Debug, Default)]
pub(super) struct Item {
    /// Where it stands in the output, where the server says so.
    place: Option<u64>,
    /// Its arguments so far, where it is a call.
    args: String,
    /// What was streamed of its text.
    pub(super) spoken: Parts,
    /// What was streamed of its reasoning.
    pub(super) reasoned: Parts,
    is_call: bool,
    done: Option<Value>,
}

/// The parts of an item as far as they were streamed, an empty line between them.
#[derive(Debug, Default)]
pub(super) struct Parts {
    text: String,
    last: u64,
}

impl Parts {
    /// Adds a piece of the `part`-th part; returns what is new, with the gap before it.
    pub(super) fn add(&mut self, part: u64, piece: &str) -> String {
        let is_next = std::mem::replace(&mut self.last, part) != part;
        let gap = if is_next && !self.text.is_empty() && !piece.is_empty() { GAP } else { "" };
        let new = format!("{gap}{piece}");
        self.text.push_str(&new);
        new
    }

    /// What of `whole` was not streamed: all of it where no piece was, nothing where the pieces say something else.
    pub(super) fn missing(&mut self, whole: &str) -> String {
        let rest = whole.strip_prefix(self.text.as_str()).unwrap_or_default().to_owned();
        self.text.push_str(&rest);
        rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}

/// All items, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Items {
    items: Vec<Item>,
    by_key: HashMap<Key, usize>,
}

impl Items {
    /// The item that `event` is about.
    pub(super) fn of(&mut self, event: &Value) -> &mut Item {
        let next = self.items.len();
        let at = *self.by_key.entry(Key::of(event)).or_insert(next);
        if at == next {
            let place = event.get("output_index").and_then(Value::as_u64);
            self.items.push(Item { place, ..Item::default() });
        }
        &mut self.items[at]
    }

    pub(super) fn begin(&mut self, event: &Value) {
        let is_call = event.get("item").is_some_and(is_call);
        self.of(event).is_call = is_call;
    }

    pub(super) fn add_arguments(&mut self, event: &Value) {
        self.of(event).args.push_str(text(event, "/delta"));
    }

    pub(super) fn end_arguments(&mut self, event: &Value) {
        if let Some(args) = named(event, "/arguments").or_else(|| named(event, "/input")) {
            self.of(event).args = args;
        }
    }

    /// Keeps the item as it is at its end, once.
    pub(super) fn finish(&mut self, event: &Value) {
        let Some(item) = event.get("item") else { return };
        let slot = self.of(event);
        slot.is_call = is_call(item);
        slot.done.get_or_insert_with(|| item.clone());
    }

    pub(super) fn any_finished(&self) -> bool {
        self.items.iter().any(|item| item.done.is_some())
    }

    /// Whether a call began and did not end.
    pub(super) fn has_open_call(&self) -> bool {
        self.items.iter().any(|item| item.is_call && item.done.is_none())
    }

    /// The finished items in the order of the output, and the calls among them.
    pub(super) fn into_output(mut self) -> (Vec<Value>, Vec<ProposedCall>) {
        self.items.sort_by_key(|item| item.place.unwrap_or(u64::MAX));
        let (mut output, mut calls) = (Vec::new(), Vec::new());
        for Item { args, done, .. } in self.items {
            let Some(item) = done else { continue };
            calls.extend(call(&item, args));
            output.push(item);
        }
        (output, calls)
    }
}

pub(super) fn is_call(item: &Value) -> bool {
    matches!(text(item, "/type"), "function_call" | "custom_tool_call")
}

fn call(item: &Value, streamed: String) -> Option<ProposedCall> {
    let args = match text(item, "/type") {
        "function_call" => match item.get("arguments") {
            // The documentation says text; some servers send the object itself.
            Some(args @ Value::Object(_)) => args.clone(),
            _ => arguments(&named(item, "/arguments").unwrap_or(streamed)),
        },
        "custom_tool_call" => Value::String(named(item, "/input").unwrap_or(streamed)),
        _ => return None,
    };
    let provider_id = named(item, "/call_id").or_else(|| named(item, "/id"));
    Some(ProposedCall { provider_id, name: text(item, "/name").to_owned(), args })
}

/// The parts of a finished item that people read: whether each is a refusal, and its text.
pub(super) fn spoken_parts(item: &Value) -> Vec<(bool, &str)> {
    if text(item, "/type") != "message" {
        return Vec::new();
    }
    let part = |part| match text(part, "/type") {
        "refusal" => (true, text(part, "/refusal")),
        _ => (false, text(part, "/text")),
    };
    list(item, "/content").iter().map(part).filter(|(_, text)| !text.is_empty()).collect()
}

/// The summary of a finished reasoning item, or the reasoning itself where the server shows it.
pub(super) fn reasoned_parts(item: &Value) -> Vec<&str> {
    if text(item, "/type") != "reasoning" {
        return Vec::new();
    }
    let of = |pointer| list(item, pointer).iter().map(|part| text(part, "/text")).filter(|t| !t.is_empty());
    let summary: Vec<&str> = of("/summary").collect();
    if summary.is_empty() { of("/content").collect() } else { summary }
}

/// Which part of its item an event is about.
pub(super) fn part_of(event: &Value) -> u64 {
    count(event, "/content_index").max(count(event, "/summary_index"))
}
