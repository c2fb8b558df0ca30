//! Calls of tools as they arrive: in pieces or whole, with or without an index, with or without an id.

use crate::json::{arguments, named};
use lockkeeper_ports::ProposedCall;
use serde_json::{Map, Value, json};

/// A call so far.
#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    args: String,
    /// What a vendor wants back with the call, as Gemini does behind this API.
    extra: Option<Value>,
}

/// All calls of an answer, in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// Takes a piece of a call.
    pub(super) fn add(&mut self, piece: &Value) {
        let index = piece.get("index").and_then(Value::as_u64);
        let id = named(piece, "/id").unwrap_or_default();
        let name = named(piece, "/function/name").unwrap_or_default();
        let at = self.find(index, &id, !name.is_empty()).unwrap_or_else(|| {
            self.calls.push(Call { index, ..Call::default() });
            self.calls.len() - 1
        });
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.id.is_empty() {
            call.id = id;
        }
        if call.name.is_empty() {
            call.name = name;
        }
        match piece.pointer("/function/arguments") {
            Some(Value::String(args)) => call.args.push_str(args),
            Some(args @ (Value::Object(_) | Value::Array(_))) => call.args.push_str(&args.to_string()),
            _ => {}
        }
        if let Some(extra) = piece.get("extra_content").filter(|extra| !extra.is_null()) {
            call.extra = Some(extra.clone());
        }
    }

    /// The call that a piece goes on with: that of its index, unless it brings an id of its own (some servers call
    /// every index 0); without an index that of its id, else the last one unless the piece names a tool.
    fn find(&self, index: Option<u64>, id: &str, names_tool: bool) -> Option<usize> {
        let goes_on = |call: &Call| id.is_empty() || call.id.is_empty() || call.id == id;
        let by_index = |index| self.calls.iter().rposition(|call| call.index == Some(index) && goes_on(call));
        let by_id = || self.calls.iter().rposition(|call| !id.is_empty() && call.id == id);
        let last = || self.calls.len().checked_sub(1).filter(|_| id.is_empty() && !names_tool);
        match index {
            Some(index) => by_index(index),
            None => by_id().or_else(last),
        }
    }

    /// The calls as the port and as the server want them.
    pub(super) fn into_parts(self) -> (Vec<ProposedCall>, Vec<Value>) {
        self.calls.into_iter().map(Call::into_parts).unzip()
    }
}

impl Call {
    fn into_parts(self) -> (ProposedCall, Value) {
        let function = json!({"name": self.name, "arguments": self.args});
        let mut raw = Map::from_iter([
            ("id".to_owned(), Value::String(self.id.clone())),
            ("type".to_owned(), Value::String("function".to_owned())),
            ("function".to_owned(), function),
        ]);
        raw.extend(self.extra.map(|extra| ("extra_content".to_owned(), extra)));
        let provider_id = Some(self.id).filter(|id| !id.is_empty());
        let proposed = ProposedCall { provider_id, name: self.name, args: arguments(&self.args) };
        (proposed, Value::Object(raw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[Value], expected: &[(&str, &str, Value)]) {
        let mut calls = Calls::default();
        for piece in pieces {
            calls.add(piece);
        }
        let found: Vec<_> = calls.into_parts().0.into_iter().collect();
        let found: Vec<_> =
            found.iter().map(|c| (c.provider_id.as_deref().unwrap_or(""), c.name.as_str(), c.args.clone())).collect();
        assert_eq!(found, expected);
    }

    fn piece(index: Option<u64>, id: Option<&str>, name: Option<&str>, args: &str) -> Value {
        json!({"index": index, "id": id, "function": {"name": name, "arguments": args}})
    }

    #[test]
    fn pieces_find_their_call_by_index() {
        let pieces = [
            piece(Some(0), Some("a"), Some("f"), ""),
            piece(Some(1), Some("b"), Some("g"), "{\"y\""),
            piece(Some(0), None, None, "{\"x\":1}"),
            piece(Some(1), None, None, ":2}"),
        ];
        check(&pieces, &[("a", "f", json!({"x": 1})), ("b", "g", json!({"y": 2}))]);
    }

    #[test]
    fn pieces_find_their_call_without_an_index() {
        let pieces = [
            piece(None, Some("a"), Some("f"), "{\"x\""),
            piece(None, None, None, ":1}"),
            piece(None, Some("b"), Some("f"), "{}"),
            piece(None, None, Some("f"), "{\"z\":1}"),
        ];
        check(&pieces, &[("a", "f", json!({"x": 1})), ("b", "f", json!({})), ("", "f", json!({"z": 1}))]);
    }

    #[test]
    fn whole_calls_that_share_an_index_stay_apart() {
        let pieces = [piece(Some(0), Some("a"), Some("f"), "{}"), piece(Some(0), Some("b"), Some("f"), "{}")];
        check(&pieces, &[("a", "f", json!({})), ("b", "f", json!({}))]);
    }

    #[test]
    fn a_piece_that_repeats_id_and_name_adds_its_arguments_alone() {
        let pieces = [piece(Some(0), Some("a"), Some("f"), "{\"x\""), piece(Some(0), Some("a"), Some("f"), ":1}")];
        check(&pieces, &[("a", "f", json!({"x": 1}))]);
    }

    #[test]
    fn arguments_may_be_an_object_or_missing_or_no_json() {
        check(&[json!({"function": {"name": "f", "arguments": {"x": 1}}})], &[("", "f", json!({"x": 1}))]);
        check(&[json!({"function": {"name": "f", "arguments": null}})], &[("", "f", json!({}))]);
        check(&[piece(None, Some("a"), Some("f"), "{\"x\":")], &[("a", "f", json!("{\"x\":"))]);
        check(&[json!(null)], &[("", "", json!({}))]);
    }
}
