//! Texts of a JSON Schema, cleaned without a change of what the schema accepts.

use serde_json::{Map, Value};

/// Keywords whose values are for readers alone, besides those that begin with `x-`.
const TEXTS: &[&str] = &[
    "title",
    "description",
    "markdownDescription",
    "$comment",
    "examples",
    "example",
    "default",
    "enumDescriptions",
    "enumNames",
    "errorMessage",
];
/// Keywords whose members are names of properties or definitions, and schemas.
const NAMED: &[&str] = &["properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"];

/// Returns the schema with `words` applied to the texts for readers. `None` if `clean` would change another string (a name of a
/// property, a value of an `enum`, a pattern), because that would change what the schema means.
pub fn clean_schema(schema: &Value, clean: &dyn Fn(&str) -> String, words: &dyn Fn(&str) -> String) -> Option<Value> {
    match schema {
        Value::Object(members) => {
            let mut cleaned = Map::new();
            for (name, value) in members {
                is_clean(name, clean).then_some(())?;
                let value = match value {
                    value if name.starts_with("x-") || TEXTS.contains(&name.as_str()) => text(value, words),
                    Value::Object(named) if NAMED.contains(&name.as_str()) => {
                        let schemas = named.iter().map(|(name, schema)| {
                            is_clean(name, clean).then_some(())?;
                            Some((name.clone(), clean_schema(schema, clean, words)?))
                        });
                        Value::Object(schemas.collect::<Option<_>>()?)
                    }
                    // A value that happens to look like a schema must stay as it is.
                    value if matches!(name.as_str(), "enum" | "const") => {
                        is_clean_value(value, clean).then(|| value.clone())?
                    }
                    value => clean_schema(value, clean, words)?,
                };
                cleaned.insert(name.clone(), value);
            }
            Some(Value::Object(cleaned))
        }
        Value::Array(items) => {
            items.iter().map(|item| clean_schema(item, clean, words)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        Value::String(text) => is_clean(text, clean).then(|| schema.clone()),
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(schema.clone()),
    }
}

fn is_clean(text: &str, clean: &dyn Fn(&str) -> String) -> bool {
    clean(text) == text
}

fn is_clean_value(value: &Value, clean: &dyn Fn(&str) -> String) -> bool {
    match value {
        Value::String(text) => is_clean(text, clean),
        Value::Array(items) => items.iter().all(|item| is_clean_value(item, clean)),
        Value::Object(members) => {
            members.iter().all(|(name, value)| is_clean(name, clean) && is_clean_value(value, clean))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

fn text(value: &Value, words: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(said) => Value::String(words(said)),
        Value::Array(items) => items.iter().map(|item| text(item, words)).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (words(name), text(value, words)));
            Value::Object(members.collect())
        }
        plain => plain.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visible;
    use serde_json::json;

    /// Covers: S2-5
    #[test]
    fn texts_are_cleaned_and_structure_is_kept_or_refused() {
        let clean = |schema: Value| clean_schema(&schema, &visible, &visible);
        let schema = json!({"properties": {"description": {"type": "string", "description": "a\u{e0041}b", "enum": ["x"]}},
            "$defs": {"d": {"items": [{"title": "\u{202e}t", "examples": [{"a\u{200b}": "\u{200b}"}]}]}}});
        let expected = json!({"properties": {"description": {"type": "string", "description": "ab", "enum": ["x"]}},
            "$defs": {"d": {"items": [{"title": "\\u{202E}t", "examples": [{"a": ""}]}]}}});
        assert_eq!(clean(schema), Some(expected));
        for refused in [
            json!({"properties": {"a\u{200b}": {}}}),
            json!({"properties": {"title": {"enum": ["a\u{202e}"]}}}),
            json!({"properties": {"description": "a\u{200b}"}}),
            json!({"required": ["a\u{200b}"]}),
            json!({"anyOf": [{"const": {"description": "a\u{200b}"}}]}),
            json!({"items": {"pattern": "\u{200b}"}}),
        ] {
            assert_eq!(clean(refused.clone()), None, "{refused}");
        }
    }
}
