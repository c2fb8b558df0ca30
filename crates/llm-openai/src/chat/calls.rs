//! Calls of tools as they arrive: in pieces or whole, with or without an index, with or without an id.

use crate::json::{arguments, is_whole, named};
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
        let piece = Piece::of(piece);
        let at = match self.find(&piece) {
            Found::Repeats => return,
            Found::GoesOn(at) => at,
            Found::Begins => {
                self.calls.push(Call { index: piece.index, ..Call::default() });
                self.calls.len() - 1
            }
        };
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.id.is_empty() {
            call.id = piece.id;
        }
        if call.name.is_empty() {
            call.name = piece.name;
        }
        call.args.push_str(&piece.args);
        if piece.extra.is_some() {
            call.extra = piece.extra;
        }
    }

    /// Which call a piece belongs to. Servers repeat indexes and ids for calls of their own, and change them within a call, so
    /// neither is believed alone.
    fn find(&self, piece: &Piece) -> Found {
        if piece.name.is_empty() { self.unnamed(piece) } else { self.named(piece) }
    }

    /// A piece without a name goes on with the call of its id, else with that of its index, else with the last one.
    fn unnamed(&self, piece: &Piece) -> Found {
        let same_id = |call: &Call| !piece.id.is_empty() && call.id == piece.id;
        let same_index = |call: &Call| piece.index.is_some() && call.index == piece.index;
        let both = self.calls.iter().rposition(|call| same_id(call) && same_index(call));
        let either = || self.calls.iter().rposition(same_id).or_else(|| self.calls.iter().rposition(same_index));
        let open = || self.calls.len().checked_sub(1).filter(|last| !self.calls[*last].is_whole());
        match both.or_else(either).or_else(open) {
            Some(at) if self.calls[at].repeats(piece) => Found::Repeats,
            Some(at) => Found::GoesOn(at),
            None => Found::Begins,
        }
    }

    /// A piece with a name begins a call, unless it says again what the call is that it goes on with.
    fn named(&self, piece: &Piece) -> Found {
        let same_id = |call: &Call| !piece.id.is_empty() && call.id == piece.id;
        let same_index = |call: &Call| call.index == piece.index;
        let place = self.calls.iter().rposition(|call| same_id(call) && same_index(call));
        let place = place.or_else(|| self.calls.iter().rposition(|call| same_index(call) && piece.index.is_some()));
        let last = || self.calls.len().checked_sub(1).filter(|_| piece.index.is_none());
        // An index that changes within a call: only one that has begun its arguments is gone on with.
        let begun = || self.calls.iter().rposition(|call| same_id(call) && !call.args.is_empty() && !call.is_whole());
        let Some(at) = place.or_else(begun).or_else(last) else { return Found::Begins };
        let call = &self.calls[at];
        let other_id = !piece.id.is_empty() && !call.id.is_empty() && piece.id != call.id;
        let other_name = !call.name.is_empty() && call.name != piece.name;
        if call.name.is_empty() && !other_id {
            return Found::GoesOn(at);
        }
        if other_id || other_name {
            return Found::Begins;
        }
        if call.repeats(piece) {
            return Found::Repeats;
        }
        // An empty object may be the beginning of the real one, where the id says that it is the same call.
        let is_placeholder = call.args.trim() == "{}" && same_id(call);
        let goes_on = !call.is_whole() || is_placeholder;
        let without_place = piece.index.is_none() && piece.id.is_empty();
        let begins_again = without_place && (call.args.is_empty() || is_whole(&piece.args));
        if goes_on && !begins_again { Found::GoesOn(at) } else { Found::Begins }
    }

    /// The calls as the port and as the server want them.
    pub(super) fn into_parts(self) -> (Vec<ProposedCall>, Vec<Value>) {
        self.calls.into_iter().filter(|call| !call.is_nothing()).map(Call::into_parts).unzip()
    }

    /// Whether all arguments are objects, so that none was cut.
    pub(super) fn are_whole(&self) -> bool {
        self.calls.iter().all(|call| !call.name.is_empty() && arguments(&call.args).is_object())
    }
}

/// Where a piece belongs.
enum Found {
    GoesOn(usize),
    Begins,
    /// It says what was said already.
    Repeats,
}

/// A piece of a call, as it came.
struct Piece {
    index: Option<u64>,
    id: String,
    name: String,
    args: String,
    extra: Option<Value>,
}

impl Piece {
    fn of(piece: &Value) -> Self {
        let index = piece.get("index");
        Self {
            index: index.and_then(|index| index.as_u64().or_else(|| index.as_str()?.parse().ok())),
            id: named(piece, "/id").unwrap_or_default(),
            name: named(piece, "/function/name").unwrap_or_default(),
            args: match piece.pointer("/function/arguments") {
                Some(Value::String(args)) => args.clone(),
                Some(args @ (Value::Object(_) | Value::Array(_))) => args.to_string(),
                _ => String::new(),
            },
            extra: piece.get("extra_content").filter(|extra| !extra.is_null()).cloned(),
        }
    }
}

impl Call {
    fn is_whole(&self) -> bool {
        is_whole(&self.args)
    }

    /// Whether a piece is all of the arguments once more, as some servers end a call.
    fn repeats(&self, piece: &Piece) -> bool {
        self.is_whole() && piece.args.trim() != "{}" && piece.args.trim() == self.args.trim()
    }

    /// Whether it is no call at all.
    fn is_nothing(&self) -> bool {
        self.name.is_empty() && matches!(self.args.trim(), "" | "{}")
    }

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
        check(&[json!(null)], &[]);
    }

    #[test]
    fn whole_calls_without_ids_stay_apart_at_one_index() {
        let two = [piece(Some(0), Some(""), Some("f"), "{\"x\":1}"), piece(Some(0), None, Some("g"), "{}")];
        check(&two, &[("", "f", json!({"x": 1})), ("", "g", json!({}))]);
        let same = [piece(Some(0), None, Some("f"), "{\"x\":1}"), piece(Some(0), None, Some("f"), "{\"x\":2}")];
        check(&same, &[("", "f", json!({"x": 1})), ("", "f", json!({"x": 2}))]);
        let shared = [
            piece(Some(0), Some("a"), Some("f"), "{\"x\":1}"),
            piece(Some(0), Some("a"), Some("g"), ""),
            piece(Some(0), Some("a"), None, "{\"y\":2}"),
        ];
        check(&shared, &[("a", "f", json!({"x": 1})), ("a", "g", json!({"y": 2}))]);
    }

    #[test]
    fn ids_and_indexes_that_change_within_a_call_do_not_split_it() {
        let ids = [
            piece(Some(0), Some("a"), Some("f"), ""),
            piece(Some(0), Some("b"), None, "{\"x\""),
            piece(Some(0), Some("c"), None, ":1}"),
        ];
        check(&ids, &[("a", "f", json!({"x": 1}))]);
        let indexes = [
            piece(Some(0), Some("a"), Some("f"), "{\"x\""),
            piece(Some(1), Some("a"), None, ":"),
            piece(Some(2), None, None, "1}"),
        ];
        check(&indexes, &[("a", "f", json!({"x": 1}))]);
        let interleaved = [
            piece(Some(0), Some("a"), Some("f"), ""),
            piece(Some(0), Some("b"), Some("g"), ""),
            piece(Some(0), Some("a"), None, "{\"x\":1}"),
            piece(Some(0), Some("b"), None, "{\"y\":2}"),
        ];
        check(&interleaved, &[("a", "f", json!({"x": 1})), ("b", "g", json!({"y": 2}))]);
    }

    #[test]
    fn arguments_that_come_twice_or_behind_an_empty_object_are_read_once() {
        let prefixed = [
            piece(Some(0), Some("a"), Some("f"), "{}"),
            piece(Some(0), None, None, "{\"x\""),
            piece(Some(0), None, None, ":1}"),
        ];
        check(&prefixed, &[("a", "f", json!({"x": 1}))]);
        let repeated = [
            piece(Some(0), Some("a"), Some("f"), "{\"x\""),
            piece(Some(0), None, None, ":1}"),
            piece(Some(0), Some("a"), Some("f"), "{\"x\":1}"),
            piece(Some(0), None, None, "{\"x\":1}"),
        ];
        check(&repeated, &[("a", "f", json!({"x": 1}))]);
        let wrapped = [piece(Some(0), Some("a"), Some("f"), "\"{\\\"x\\\":1}\"")];
        check(&wrapped, &[("a", "f", json!({"x": 1}))]);
    }
}
