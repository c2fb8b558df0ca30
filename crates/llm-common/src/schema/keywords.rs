//! Single keywords of a schema, as the drafts after the fourth have them. What cannot be meant is left out.

use serde_json::{Map, Value, json};

const TYPES: [&str; 7] = ["object", "array", "string", "integer", "number", "boolean", "null"];

/// What a `type` says: the names of JSON Schema, however they are written.
pub(super) fn types(value: &Value) -> Vec<&'static str> {
    let mut known = Vec::new();
    let named = match value {
        Value::String(name) => std::slice::from_ref(name).iter().map(String::as_str).collect(),
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    for name in named.into_iter().flat_map(|name| name.split('|')) {
        if let Some(name) = type_name(name)
            && !known.contains(&name)
        {
            known.push(name);
        }
    }
    known
}

fn type_name(written: &str) -> Option<&'static str> {
    let name = written.trim().to_ascii_lowercase();
    Some(match name.as_str() {
        "int" | "int32" | "int64" | "long" => "integer",
        "float" | "double" | "decimal" => "number",
        "str" | "text" | "char" => "string",
        "bool" => "boolean",
        "dict" | "map" | "struct" => "object",
        "list" | "tuple" | "set" => "array",
        "none" | "nil" => "null",
        name => return TYPES.iter().find(|known| **known == name).copied(),
    })
}

/// `type` again, out of the names.
pub(super) fn type_value(types: &[&str]) -> Option<Value> {
    match types {
        [] => None,
        [one] => Some(json!(one)),
        many => Some(json!(many)),
    }
}

/// The fourth draft has `exclusiveMinimum: true` beside `minimum`; the later ones have the number itself.
pub(super) fn exclusive_bounds(fields: &mut Map<String, Value>) {
    for (exclusive, plain) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        match fields.get(exclusive) {
            Some(Value::Bool(true)) => {
                let bound = fields.shift_remove(plain);
                fields.shift_remove(exclusive);
                fields.extend(bound.map(|bound| (exclusive.to_owned(), bound)));
            }
            Some(Value::Bool(false)) => drop(fields.shift_remove(exclusive)),
            _ => {}
        }
    }
}

/// The value of a keyword that takes one kind of values; none where it is of another. Booleans as bounds are left for
/// [`exclusive_bounds`].
pub(super) fn plain(key: &str, value: &Value) -> Option<Value> {
    match key {
        "minimum" | "maximum" | "multipleOf" => number(value).filter(|n| key != "multipleOf" || is_positive(n)),
        "exclusiveMinimum" | "exclusiveMaximum" => value.is_boolean().then(|| value.clone()).or_else(|| number(value)),
        "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" | "minContains"
        | "maxContains" => count(value),
        "uniqueItems" | "readOnly" | "writeOnly" | "deprecated" => value.is_boolean().then(|| value.clone()),
        "description" | "title" | "format" | "pattern" | "contentEncoding" | "contentMediaType" => text(value),
        "enum" => choices(value),
        "examples" => value.is_array().then(|| value.clone()),
        "const" | "default" => Some(value.clone()),
        _ => (!value.is_null()).then(|| value.clone()),
    }
}

fn number(value: &Value) -> Option<Value> {
    match value {
        Value::Number(_) => Some(value.clone()),
        Value::String(text) => serde_json::from_str::<Value>(text.trim()).ok().filter(Value::is_number),
        _ => None,
    }
}

fn is_positive(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number > 0.0)
}

fn count(value: &Value) -> Option<Value> {
    let number = number(value)?;
    let whole = number.as_f64().filter(|n| *n >= 0.0 && n.fract() == 0.0)?;
    number.as_u64().map(|n| json!(n)).or_else(|| format!("{whole:.0}").parse::<u64>().ok().map(|n| json!(n)))
}

fn text(value: &Value) -> Option<Value> {
    match value {
        Value::String(_) => Some(value.clone()),
        Value::Array(lines) => {
            let lines: Vec<&str> = lines.iter().filter_map(Value::as_str).collect();
            (!lines.is_empty()).then(|| json!(lines.join("\n")))
        }
        _ => None,
    }
}

/// The values of an `enum`, each once.
fn choices(value: &Value) -> Option<Value> {
    let mut choices: Vec<&Value> = Vec::new();
    for choice in value.as_array()? {
        if !choices.contains(&choice) {
            choices.push(choice);
        }
    }
    (!choices.is_empty()).then(|| json!(choices))
}

/// The names in a `required`, each once.
pub(super) fn required(value: &Value) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in value.as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_by_their_names_in_other_languages() {
        assert_eq!(types(&json!("STRING")), ["string"]);
        assert_eq!(types(&json!(["int", "float", "int", "any", 7])), ["integer", "number"]);
        assert_eq!(types(&json!("string|null")), ["string", "null"]);
        assert!(
            types(&json!("any")).is_empty() && types(&json!({"a": 1})).is_empty() && types(&json!(null)).is_empty()
        );
    }

    #[test]
    fn values_of_another_kind_are_read_or_left_out() {
        assert_eq!(plain("minLength", &json!("3")), Some(json!(3)));
        assert_eq!(plain("minLength", &json!(3.0)), Some(json!(3)));
        assert_eq!(plain("minItems", &json!(-1)), None);
        assert_eq!(plain("minimum", &json!(" 1.5 ")), Some(json!(1.5)));
        assert_eq!(plain("maximum", &json!("many")), None);
        assert_eq!(plain("multipleOf", &json!(0)), None);
        assert_eq!(plain("description", &json!(["a", "b"])), Some(json!("a\nb")));
        assert_eq!(plain("description", &json!({})), None);
        assert_eq!(plain("enum", &json!(["a", "a", 1])), Some(json!(["a", 1])));
        assert_eq!(plain("enum", &json!([])), None);
        assert_eq!(plain("default", &Value::Null), Some(Value::Null));
    }
}
