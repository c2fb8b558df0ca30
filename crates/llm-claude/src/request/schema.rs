//! The vendor wants an object at a schema's root, and no `anyOf`, `oneOf`, `allOf` or `$ref` there. MCP has no such
//! rule. What is lost here is only the model's guidance: the arguments are checked against the tool's own schema.

use serde_json::{Map, Value, json};

const COMBINATORS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
/// How deep combinators at the root may be nested in each other.
const DEPTH: usize = 8;

/// The nearest schema to `schema` that the vendor takes. One that it takes already is left as it is.
pub(super) fn object(schema: &Value) -> Value {
    let Some(fields) = schema.as_object() else { return json!({"type": "object"}) };
    let plain = !COMBINATORS.iter().chain(&["$ref"]).any(|key| fields.contains_key(*key));
    if plain && fields.get("type").is_some_and(|t| t == "object") {
        return schema.clone();
    }
    let mut root = fields.clone();
    COMBINATORS.iter().chain(&["$ref"]).for_each(|key| drop(root.shift_remove(*key)));
    let mut properties = Map::new();
    let mut required = Vec::new();
    gather(schema, schema, &mut properties, &mut required, DEPTH);
    root.insert("type".to_owned(), json!("object"));
    if !properties.is_empty() {
        root.insert("properties".to_owned(), Value::Object(properties));
    }
    if required.is_empty() {
        root.shift_remove("required");
    } else {
        root.insert("required".to_owned(), Value::Array(required));
    }
    Value::Object(root)
}

/// Collects the properties of all branches. What every branch requires stays required.
fn gather(root: &Value, schema: &Value, properties: &mut Map<String, Value>, required: &mut Vec<Value>, depth: usize) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        properties.entry(name.clone()).or_insert_with(|| property.clone());
    }
    add(required, schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default());
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|r| root.pointer(r.strip_prefix('#')?));
    if let Some(target) = target {
        gather(root, target, properties, required, depth);
    }
    for branch in branches(schema, "allOf") {
        gather(root, branch, properties, required, depth);
    }
    for key in ["anyOf", "oneOf"] {
        let mut common: Option<Vec<Value>> = None;
        for branch in branches(schema, key) {
            let mut own = Vec::new();
            gather(root, branch, properties, &mut own, depth);
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

fn add(required: &mut Vec<Value>, names: Vec<Value>) {
    for name in names {
        if !required.contains(&name) {
            required.push(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schema: &Value, expected: &Value) {
        assert_eq!(object(schema), *expected, "{schema}");
    }

    #[test]
    fn an_object_is_left_as_it_is() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {"a": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/b"}]}},
            "$defs": {"b": {"type": "number"}},
            "additionalProperties": false,
        });
        check(&schema, &schema);
    }

    #[test]
    fn a_root_without_a_type_is_an_object() {
        check(&json!({}), &json!({"type": "object"}));
        check(&json!(true), &json!({"type": "object"}));
        check(&json!({"properties": {"a": {}}}), &json!({"properties": {"a": {}}, "type": "object"}));
        check(&json!({"type": ["object", "null"]}), &json!({"type": "object"}));
    }

    #[test]
    fn branches_become_properties_and_only_what_all_require_is_required() {
        let schema = json!({"description": "d", "anyOf": [
            {"type": "object", "properties": {"a": {"type": "string"}, "c": {}}, "required": ["a", "c"]},
            {"type": "object", "properties": {"b": {"type": "number"}, "c": {}}, "required": ["c"]},
        ]});
        let properties = json!({"a": {"type": "string"}, "c": {}, "b": {"type": "number"}});
        check(&schema, &json!({"description": "d", "type": "object", "properties": properties, "required": ["c"]}));
    }

    #[test]
    fn references_are_followed_and_circles_end() {
        let defs = json!({"x": {"type": "object", "properties": {"a": {}}, "required": ["a"]}, "y": {"$ref": "#"}});
        check(
            &json!({"$ref": "#/$defs/x", "$defs": defs}),
            &json!({"$defs": defs, "type": "object", "properties": {"a": {}}, "required": ["a"]}),
        );
        check(&json!({"$ref": "#/$defs/y", "$defs": defs}), &json!({"$defs": defs, "type": "object"}));
        check(&json!({"allOf": [{"$ref": "other.json"}]}), &json!({"type": "object"}));
    }
}
