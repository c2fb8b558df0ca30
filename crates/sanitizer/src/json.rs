//! The same for values.

use crate::{Found, Sanitizer, secrets::Secrets};
use serde_json::{Map, Value};

pub(crate) fn clean(sanitizer: &Sanitizer, value: Value) -> Value {
    let value = walk(sanitizer, value);
    let (length, max) = (value.to_string().len(), sanitizer.config.max_bytes);
    if length > max && !value.is_string() {
        return Value::String(format!("[left out: {length} bytes of JSON, and at most {max} are taken]"));
    }
    value
}

fn walk(sanitizer: &Sanitizer, value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(sanitizer.clean(&text)),
        Value::Array(items) => items.into_iter().map(|item| walk(sanitizer, item)).collect(),
        Value::Object(fields) => {
            let clean = |(name, value): (String, Value)| (sanitizer.clean(&name), walk(sanitizer, value));
            Value::Object(fields.into_iter().map(clean).collect::<Map<_, _>>())
        }
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
    }
}

pub(crate) fn find(secrets: &Secrets, value: &Value) -> Option<Found> {
    match value {
        Value::String(text) => secrets.find(text),
        Value::Array(items) => items.iter().find_map(|item| find(secrets, item)),
        Value::Object(fields) => {
            fields.iter().find_map(|(name, value)| secrets.find(name).or_else(|| find(secrets, value)))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}
