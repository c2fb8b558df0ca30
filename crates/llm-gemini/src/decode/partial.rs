//! A call whose arguments come in pieces, each with the place where it belongs
//! (<https://cloud.google.com/vertex-ai/generative-ai/docs/reference/rest/v1/PartialArg>).

use super::string;
use serde_json::{Map, Value, json};

/// How deep, and how far into an array, a piece may belong.
const DEPTH: usize = 64;
const INDEX: usize = 4_096;

#[derive(Clone, Debug)]
pub(super) struct PartialCall {
    part: Map<String, Value>,
    call: Map<String, Value>,
    args: Value,
}

enum Step {
    Key(String),
    Index(usize),
}

impl PartialCall {
    pub(super) fn begun(part: &Value, call: &Value) -> Self {
        let mut part = part.as_object().cloned().unwrap_or_default();
        part.shift_remove("functionCall");
        let mut fields = call.as_object().cloned().unwrap_or_default();
        for key in ["args", "partialArgs", "willContinue"] {
            fields.shift_remove(key);
        }
        let args = call.get("args").filter(|args| !args.is_null()).cloned().unwrap_or_else(|| json!({}));
        let mut begun = Self { part, call: fields, args };
        begun.add(call);
        begun
    }

    pub(super) fn extend(&mut self, part: &Value, call: &Value) {
        if let (None, Some(signature)) = (self.part.get("thoughtSignature"), part.get("thoughtSignature")) {
            self.part.insert("thoughtSignature".to_owned(), signature.clone());
        }
        self.add(call);
    }

    /// The part that the call would have been in one piece.
    pub(super) fn into_part(mut self) -> Value {
        self.call.insert("args".to_owned(), self.args);
        let mut part = Map::from_iter([("functionCall".to_owned(), Value::Object(self.call))]);
        part.extend(self.part);
        Value::Object(part)
    }

    fn add(&mut self, call: &Value) {
        for piece in call.get("partialArgs").and_then(Value::as_array).into_iter().flatten() {
            let (Some(path), Some(value)) = (path(string(piece, "jsonPath")), value(piece)) else { continue };
            let Some(place) = place(&mut self.args, &path) else { continue };
            match (place, value) {
                (Value::String(text), Value::String(more)) => text.push_str(&more),
                (place, value) => *place = value,
            }
        }
    }
}

fn value(piece: &Value) -> Option<Value> {
    let known = ["stringValue", "numberValue", "boolValue"].into_iter().find_map(|key| piece.get(key));
    known.cloned().or_else(|| piece.get("nullValue").map(|_| Value::Null))
}

/// A path such as `$.a[0]['b']`; none where it is not of this form.
fn path(text: &str) -> Option<Vec<Step>> {
    let mut rest = text.strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if let Some(name) = rest.strip_prefix('.') {
            let end = name.find(['.', '[']).unwrap_or(name.len());
            steps.push(Step::Key(name[..end].to_owned()));
            rest = &name[end..];
        } else if let Some(quoted) = rest.strip_prefix("['").or_else(|| rest.strip_prefix("[\"")) {
            let end = quoted.find("']").or_else(|| quoted.find("\"]"))?;
            steps.push(Step::Key(quoted[..end].to_owned()));
            rest = &quoted[end + 2..];
        } else {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            steps.push(Step::Index(index.parse().ok().filter(|index| *index < INDEX)?));
            rest = after;
        }
    }
    (1..=DEPTH).contains(&steps.len()).then_some(steps)
}

/// The place that `path` names, made where it is not there yet.
fn place<'a>(root: &'a mut Value, path: &[Step]) -> Option<&'a mut Value> {
    let mut place = root;
    for step in path {
        if place.is_null() {
            *place = if matches!(step, Step::Key(_)) { json!({}) } else { json!([]) };
        }
        place = match (step, place) {
            (Step::Key(key), Value::Object(fields)) => fields.entry(key.as_str()).or_insert(Value::Null),
            (Step::Index(index), Value::Array(items)) => {
                if items.len() <= *index {
                    items.resize(index + 1, Value::Null);
                }
                items.get_mut(*index)?
            }
            _ => return None,
        };
    }
    Some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_find_their_places() {
        let mut call =
            PartialCall::begun(&json!({"thoughtSignature": "s"}), &json!({"name": "f", "willContinue": true}));
        for piece in [
            json!({"jsonPath": "$.a", "stringValue": "x", "willContinue": true}),
            json!({"jsonPath": "$.a", "stringValue": "y"}),
            json!({"jsonPath": "$.list[1].n", "numberValue": 7}),
            json!({"jsonPath": "$['a key']", "boolValue": true}),
            json!({"jsonPath": "$.none", "nullValue": "NULL_VALUE"}),
        ] {
            call.extend(&json!({}), &json!({"partialArgs": [piece], "willContinue": true}));
        }
        let args = json!({"a": "xy", "list": [null, {"n": 7}], "a key": true, "none": null});
        let expected = json!({"functionCall": {"name": "f", "args": args}, "thoughtSignature": "s"});
        assert_eq!(call.into_part(), expected);
    }

    #[test]
    fn pieces_without_a_place_are_left_out() {
        let mut call = PartialCall::begun(&json!({}), &json!({"name": "f", "args": {"a": 1}}));
        for path in ["", "a", "$", "$.a.b", "$.a[", "$[99999999]", "$['x", "$[-1]", "$x", "$.é["] {
            call.extend(&json!({}), &json!({"partialArgs": [{"jsonPath": path, "stringValue": "x"}, 7, {}]}));
        }
        assert_eq!(call.into_part(), json!({"functionCall": {"name": "f", "args": {"a": 1}}}));
    }
}
