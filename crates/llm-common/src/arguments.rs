//! The arguments of a call out of the text that a model wrote.

use serde_json::{Map, Value};

/// What templates of models leave behind a call.
const TAILS: [&str; 8] =
    ["</tool_call>", "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "</s>", "<|call|>", "<|tool_call_end|>", "<|end|>"];
/// How often an object's JSON may have become the JSON of a text.
const WRAPPED: usize = 2;

/// A call's arguments: an object where one was meant. An empty text is an empty object; what is no JSON stays text, and never
/// runs.
pub fn arguments(text: &str) -> Value {
    let text = unfenced(text);
    if matches!(text, "" | "null" | "None" | "undefined" | "nil") {
        return Value::Object(Map::new());
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value) => unwrapped(value, WRAPPED),
        Err(_) => one_of_many(text).unwrap_or_else(|| Value::String(text.to_owned())),
    }
}

/// Whether the text is a whole object already.
pub fn is_whole(text: &str) -> bool {
    let text = text.trim();
    text.starts_with('{') && serde_json::from_str::<Value>(text).is_ok_and(|value| value.is_object())
}

fn unfenced(text: &str) -> &str {
    let mut text = text.trim();
    if let Some(fenced) = text.strip_prefix("```").and_then(|rest| rest.strip_suffix("```")) {
        text = fenced.trim_start_matches(|c: char| c.is_ascii_alphabetic()).trim();
    }
    while let Some(rest) = TAILS.iter().find_map(|tail| text.strip_suffix(tail)) {
        text = rest.trim_end();
    }
    text
}

/// Some servers write the JSON of an object as the JSON of a text.
fn unwrapped(value: Value, depth: usize) -> Value {
    let Value::String(text) = &value else { return value };
    let inner = depth.checked_sub(1).and_then(|depth| {
        let inner = serde_json::from_str::<Value>(text.trim()).ok()?;
        Some(unwrapped(inner, depth))
    });
    inner.filter(Value::is_object).unwrap_or(value)
}

/// Several objects one after the other are one, if the others are empty or the same.
fn one_of_many(text: &str) -> Option<Value> {
    let mut found: Option<Value> = None;
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        let value = unwrapped(value.ok()?, WRAPPED);
        match (&found, value) {
            (_, Value::Object(fields)) if fields.is_empty() => {}
            (_, Value::Null) => {}
            (None, value @ Value::Object(_)) => found = Some(value),
            (Some(known), value) if *known == value => {}
            _ => return None,
        }
    }
    Some(found.unwrap_or_else(|| Value::Object(Map::new())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_found_however_it_is_written() {
        for text in [
            r#"{"a":1}"#,
            r#" {}{"a":1} "#,
            r#"{"a":1}{"a":1}"#,
            r#"{"a":1}{}"#,
            r#"null{"a":1}"#,
            r#""{\"a\":1}""#,
            r#""\"{\\\"a\\\":1}\"""#,
            "```json\n{\"a\":1}\n```",
            "{\"a\":1}\n</tool_call>",
        ] {
            assert_eq!(arguments(text), json!({"a": 1}), "{text}");
        }
        for text in ["", "  ", "null", "None", "{}", "{}{}"] {
            assert_eq!(arguments(text), json!({}), "{text}");
        }
    }

    #[test]
    fn what_is_cut_or_means_two_things_stays_text() {
        for text in [r#"{"a":"#, r#"{"a":1}{"a":2}"#, r#"{}{"a""#, "a: 1"] {
            assert_eq!(arguments(text), json!(text), "{text}");
        }
        assert_eq!(arguments("7"), json!(7));
        assert_eq!(arguments(r#""words""#), json!("words"));
    }
}
