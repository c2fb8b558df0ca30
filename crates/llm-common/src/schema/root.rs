//! The root of a tool's schema: an object without alternatives. What that widens, the tool's server still checks.

use super::keywords;
use serde_json::{Map, Value, json};

const COMBINATORS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
/// What the vendors refuse at the root besides.
const REFUSED: [&str; 6] = ["enum", "const", "not", "if", "then", "else"];
/// How deep combinators at the root may be nested in each other.
const DEPTH: usize = 8;

/// The nearest object to `schema`, whose references are followed already.
pub(super) fn object(schema: Value, lists_properties: bool) -> Value {
    let Value::Object(mut root) = schema else { return object(json!({}), lists_properties) };
    for key in REFUSED {
        root.shift_remove(key);
    }
    if COMBINATORS.iter().any(|key| root.contains_key(*key)) {
        let whole = Value::Object(root.clone());
        for key in COMBINATORS {
            root.shift_remove(key);
        }
        let (mut properties, mut required) = (Map::new(), Vec::new());
        gather(&whole, &mut properties, &mut required, DEPTH);
        if !properties.is_empty() {
            root.insert("properties".to_owned(), Value::Object(properties));
        }
        root.shift_remove("required");
        if !required.is_empty() {
            root.insert("required".to_owned(), json!(required));
        }
    }
    root.shift_remove("items");
    root.insert("type".to_owned(), json!("object"));
    if lists_properties {
        root.entry("properties").or_insert_with(|| json!({}));
    }
    Value::Object(root)
}

/// Collects the properties of all branches. What every branch requires stays required.
fn gather(schema: &Value, properties: &mut Map<String, Value>, required: &mut Vec<String>, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        properties.entry(name.clone()).or_insert_with(|| property.clone());
    }
    add(required, schema.get("required").map(keywords::required).unwrap_or_default());
    for branch in branches(schema, "allOf") {
        gather(branch, properties, required, depth);
    }
    for key in ["anyOf", "oneOf"] {
        let mut common: Option<Vec<String>> = None;
        for branch in branches(schema, key) {
            let mut own = Vec::new();
            gather(branch, properties, &mut own, depth);
            common = Some(match common {
                None => own,
                Some(common) => common.into_iter().filter(|name| own.contains(name)).collect(),
            });
        }
        add(required, common.unwrap_or_default());
    }
}

fn branches<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn add(required: &mut Vec<String>, names: Vec<String>) {
    for name in names {
        if !required.contains(&name) {
            required.push(name);
        }
    }
}
