//! `reasoning_details`: how `OpenRouter` gives out what a vendor wants back, in pieces.

use serde_json::Value;

/// The details so far.
#[derive(Debug, Default)]
pub(super) struct Details {
    details: Vec<Value>,
}

impl Details {
    /// Takes a piece: it goes on with the last detail where that is of the same type and index, else it is a new one.
    pub(super) fn add(&mut self, piece: &Value) {
        let same = |a: &Value, field: &str| a.get(field) == piece.get(field);
        let last = self.details.last_mut().filter(|last| same(last, "type") && same(last, "index"));
        // Encrypted data is whole in each piece.
        let goes_on = last.filter(|_| piece.get("data").is_none_or(Value::is_null));
        let (Some(Value::Object(last)), Value::Object(piece)) = (goes_on, piece) else {
            self.details.push(piece.clone());
            return;
        };
        for (field, value) in piece {
            match (field.as_str(), last.get_mut(field), value) {
                ("text" | "summary", Some(Value::String(told)), Value::String(more)) => told.push_str(more),
                (_, _, Value::Null) => {}
                (_, _, value) => drop(last.insert(field.clone(), value.clone())),
            }
        }
    }

    pub(super) fn into_value(self) -> Option<Value> {
        (!self.details.is_empty()).then_some(Value::Array(self.details))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pieces_of_one_detail_are_joined() {
        let mut details = Details::default();
        for piece in [
            json!({"type": "reasoning.text", "index": 0, "text": "a", "signature": null}),
            json!({"type": "reasoning.text", "index": 0, "text": "b"}),
            json!({"type": "reasoning.text", "index": 0, "signature": "s"}),
            json!({"type": "reasoning.encrypted", "index": 1, "data": "x"}),
            json!({"type": "reasoning.encrypted", "index": 1, "data": "y"}),
        ] {
            details.add(&piece);
        }
        let expected = json!([
            {"type": "reasoning.text", "index": 0, "text": "ab", "signature": "s"},
            {"type": "reasoning.encrypted", "index": 1, "data": "x"},
            {"type": "reasoning.encrypted", "index": 1, "data": "y"},
        ]);
        assert_eq!(details.into_value(), Some(expected));
    }
}
