//! The part of JSON Schema that Gemini knows (<https://ai.google.dev/gemini-api/docs/structured-output>): no `allOf`, one type
//! to a schema, choices of texts and numbers, and alternatives that stand alone.

use super::keywords::{required, type_value, types};
use serde_json::{Map, Value, json};

const KNOWN: [&str; 20] = [
    "type",
    "format",
    "title",
    "description",
    "enum",
    "items",
    "prefixItems",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
    "anyOf",
    "properties",
    "additionalProperties",
    "required",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "default",
];

/// The nearest schema that Gemini takes, of one whose parts are such schemas already.
pub(super) fn schema(mut fields: Map<String, Value>) -> Map<String, Value> {
    merge_all(&mut fields);
    choices(&mut fields);
    for key in ["exclusiveMinimum", "exclusiveMaximum"] {
        let plain = if key == "exclusiveMinimum" { "minimum" } else { "maximum" };
        if let Some(bound) = fields.shift_remove(key) {
            fields.entry(plain).or_insert(bound);
        }
    }
    if let Some(Value::Array(others)) = fields.shift_remove("oneOf") {
        match fields.get_mut("anyOf").and_then(Value::as_array_mut) {
            Some(known) => known.extend(others),
            None => drop(fields.insert("anyOf".to_owned(), Value::Array(others))),
        }
    }
    fields.retain(|key, _| KNOWN.contains(&key.as_str()));
    infer_type(&mut fields);
    format(&mut fields);
    keep_known_required(&mut fields);
    one_type(apart(fields))
}

/// What all of several schemas say, in one.
fn merge_all(fields: &mut Map<String, Value>) {
    let Some(Value::Array(all)) = fields.shift_remove("allOf") else { return };
    for part in all {
        let Value::Object(part) = part else { continue };
        overlay(fields, part);
    }
}

/// Adds to `fields` what `part` says and they do not.
fn overlay(fields: &mut Map<String, Value>, part: Map<String, Value>) {
    for (key, value) in part {
        match (key.as_str(), fields.get_mut(&key), value) {
            ("properties", Some(Value::Object(known)), Value::Object(more)) => {
                for (name, property) in more {
                    known.entry(name).or_insert(property);
                }
            }
            ("required", Some(known), more) => {
                let names = [required(known), required(&more)].concat();
                *known = json!(required(&json!(names)));
            }
            (_, Some(_), _) => {}
            (_, None, value) => drop(fields.insert(key, value)),
        }
    }
}

/// Choices are texts or numbers, of which none is empty; that there may be none is a type.
fn choices(fields: &mut Map<String, Value>) {
    if let Some(value) = fields.shift_remove("const") {
        fields.entry("enum").or_insert_with(|| json!([value]));
    }
    let Some(Value::Array(all)) = fields.shift_remove("enum") else { return };
    if all.iter().any(Value::is_null) {
        let mut kinds = fields.get("type").map(types).unwrap_or_default();
        if !kinds.is_empty() && !kinds.contains(&"null") {
            kinds.push("null");
            fields.extend(type_value(&kinds).map(|kinds| ("type".to_owned(), kinds)));
        }
    }
    let real: Vec<&Value> = all.iter().filter(|choice| !choice.is_null() && **choice != "").collect();
    let texts = real.iter().all(|choice| choice.is_string());
    let numbers = real.iter().all(|choice| choice.is_number());
    if !real.is_empty() && (texts || numbers) {
        let kind = if texts { "string" } else { "number" };
        fields.entry("type").or_insert_with(|| json!(kind));
        fields.insert("enum".to_owned(), json!(real));
    } else if !real.is_empty() {
        describe(fields, &format!("One of {}.", json!(real)));
    }
}

fn infer_type(fields: &mut Map<String, Value>) {
    if fields.contains_key("type") || fields.contains_key("anyOf") {
        return;
    }
    let kind = if fields.contains_key("properties") || fields.contains_key("required") {
        "object"
    } else if fields.contains_key("items") || fields.contains_key("prefixItems") {
        "array"
    } else {
        return;
    };
    fields.insert("type".to_owned(), json!(kind));
}

/// Few formats are known; the others are told in words.
fn format(fields: &mut Map<String, Value>) {
    let known = ["date-time", "date", "time", "int32", "int64", "float", "double"];
    let Some(Value::String(format)) = fields.get("format") else { return };
    if !known.contains(&format.as_str()) {
        let words = format!("Format: {format}.");
        fields.shift_remove("format");
        describe(fields, &words);
    }
}

fn keep_known_required(fields: &mut Map<String, Value>) {
    let Some(names) = fields.get("required").map(required) else { return };
    let known = |name: &&String| fields.get("properties").is_some_and(|all| all.get(name.as_str()).is_some());
    let names: Vec<&String> = names.iter().filter(known).collect();
    let names = json!(names);
    if names == json!([]) {
        fields.shift_remove("required");
    } else {
        fields.insert("required".to_owned(), names);
    }
}

/// Alternatives stand alone: what stood beside them holds for each.
fn apart(mut fields: Map<String, Value>) -> Map<String, Value> {
    let Some(Value::Array(branches)) = fields.shift_remove("anyOf") else { return fields };
    fields.shift_remove("default");
    let branches: Vec<Value> = branches
        .into_iter()
        .filter_map(|branch| match branch {
            Value::Object(mut branch) => {
                let is_null = branch.get("type").is_some_and(|kind| kind == "null");
                if !is_null {
                    overlay(&mut branch, fields.clone());
                }
                Some(branch)
            }
            _ => None,
        })
        .flat_map(|branch| match branch.get("anyOf").and_then(Value::as_array) {
            Some(inner) => inner.clone(),
            None => vec![Value::Object(branch)],
        })
        .collect();
    // A branch that may be anything says nothing.
    let branches: Vec<Value> = branches.into_iter().filter(|branch| *branch != json!({})).collect();
    match branches.as_slice() {
        [] => fields,
        [Value::Object(one)] => one.clone(),
        _ => Map::from_iter([("anyOf".to_owned(), Value::Array(branches))]),
    }
}

/// Several types are alternatives.
fn one_type(fields: Map<String, Value>) -> Map<String, Value> {
    let kinds = fields.get("type").map(types).unwrap_or_default();
    if kinds.len() < 2 {
        return fields;
    }
    let branch = |kind: &&str| {
        let mut branch = fields.clone();
        branch.insert("type".to_owned(), json!(kind));
        branch.retain(|key, _| fits(key, kind));
        Value::Object(branch)
    };
    Map::from_iter([("anyOf".to_owned(), kinds.iter().map(branch).collect())])
}

/// Whether a keyword says something of values of this type.
fn fits(key: &str, kind: &str) -> bool {
    match key {
        "type" => true,
        _ if kind == "null" => false,
        "properties" | "required" | "additionalProperties" | "minProperties" | "maxProperties" => kind == "object",
        "items" | "prefixItems" | "minItems" | "maxItems" => kind == "array",
        "minLength" | "maxLength" => kind == "string",
        "minimum" | "maximum" => kind == "integer" || kind == "number",
        "enum" => kind != "object" && kind != "array" && kind != "boolean",
        _ => true,
    }
}

pub(super) fn describe(fields: &mut Map<String, Value>, words: &str) {
    let said = fields.get("description").and_then(Value::as_str).unwrap_or_default();
    let said = if said.is_empty() { words.to_owned() } else { format!("{said} {words}") };
    fields.insert("description".to_owned(), json!(said));
}
