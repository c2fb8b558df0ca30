//! The contract as JSON Schema, draft 07: the one document from which all others follow.

use super::handshake::{HandshakeAuth, HandshakeQuery};
use crate::wire::{By, COMMANDS, Meta, PROTOCOL, Refused, SERVER_EVENTS};
use lockkeeper_domain::Code;
use schemars::{Schema, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// Every type by its name, and beside them `ServerEvents`, `ClientEvents` and `Answers`: objects that have a property for each
/// event, which is its payload or what acknowledges it.
pub(super) fn document() -> Value {
    let mut sent = SchemaSettings::draft07().for_serialize().into_generator();
    let mut taken = SchemaSettings::draft07().for_deserialize().into_generator();
    sent.subschema_for::<Meta>();
    sent.subschema_for::<Refused>();
    taken.subschema_for::<HandshakeAuth>();
    taken.subschema_for::<HandshakeQuery>();
    let server = SERVER_EVENTS.iter().map(|entry| {
        let extra = ("x-logged", entry.logged.as_str());
        (entry.name, described((entry.payload)(&mut sent), entry.description, extra))
    });
    let server = events("The payload of each event from the server, which is its first argument.", server);
    let client = COMMANDS.iter().map(|entry| {
        let by = if entry.by == By::Anyone { "anyone" } else { "driver" };
        (entry.name, described((entry.payload)(&mut taken), entry.description, ("x-by", by)))
    });
    let client = events("The payload of each event that a client may send.", client);
    let answers = COMMANDS.iter().map(|entry| (entry.name, (entry.answer)(&mut sent).to_value()));
    let answers = events("What acknowledges each of them where it was followed; else it is `Refused`.", answers);

    let mut definitions = merged(sent.take_definitions(true), taken.take_definitions(true));
    definitions.values_mut().for_each(mend);
    for answer in answers["properties"].as_object().into_iter().flatten() {
        let name = super::referred(answer.1).expect("an answer is an object with a name");
        acknowledge(&mut definitions[name], true);
    }
    acknowledge(&mut definitions["Refused"], false);
    mark_retryable(&mut definitions["Code"]);
    definitions.sort_keys();
    definitions.extend([("ServerEvents".into(), server), ("ClientEvents".into(), client), ("Answers".into(), answers)]);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": format!("Lockkeeper's Socket.IO events, version {PROTOCOL}"),
        "description": "Generated from crates/socket-gateway/src/wire by `just contract`. An event from the server is \
            (payload, meta): the payload as `ServerEvents` has it under the event's name, and a `Meta`. A field that a client \
            may leave out it may also send as null. Fields are added and never taken away: pass over what you do not know.",
        "definitions": definitions,
    })
}

/// An object with a property for each event. Those that may be sent without a payload are not required.
fn events(description: &str, entries: impl Iterator<Item = (&'static str, Value)>) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for (name, mut payload) in entries {
        if !without_null(&mut payload) && payload["type"] != "null" {
            required.push(name);
        }
        properties.insert(name.to_owned(), payload);
    }
    json!({ "type": "object", "description": description, "properties": properties, "required": required })
}

/// A schema with what was declared of it. In draft 07 nothing may stand beside a `$ref`.
fn described(schema: Schema, description: &str, (name, value): (&str, &str)) -> Value {
    let schema = schema.to_value();
    let mut described = Map::from_iter([("description".to_owned(), one_line(description).into())]);
    described.insert(name.to_owned(), value.into());
    match schema {
        Value::Object(object) if object.contains_key("$ref") => described.insert("allOf".into(), json!([object])),
        Value::Object(object) => {
            described.extend(object);
            None
        }
        _ => None,
    };
    Value::Object(described)
}

/// Types of both directions are described once.
fn merged(sent: Map<String, Value>, taken: Map<String, Value>) -> Map<String, Value> {
    let mut all = sent;
    for (name, mut schema) in taken {
        mend(&mut schema);
        if let Some(other) = all.get_mut(&name) {
            mend(other);
            assert_eq!(*other, schema, "{name} looks different in the two directions: give each a type of its own");
        }
        all.insert(name, schema);
    }
    all
}

/// Brings a schema to the form in which the contract is told: what may be left out is left out, and never null; descriptions
/// are lines; formats are those of JSON Schema.
fn mend(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(mend),
        Value::Object(object) => {
            if object.get("default").is_some_and(Value::is_null) {
                object.remove("default");
            }
            // Rust's own names for numbers are no formats of JSON Schema; `minimum` says what of them counts.
            if object.get("format").and_then(Value::as_str).is_some_and(|name| !name.contains('-')) {
                object.remove("format");
            }
            let required = object.get("required").cloned().unwrap_or_default();
            if let Some(Value::Object(properties)) = object.get_mut("properties") {
                for (name, property) in properties.iter_mut() {
                    if !required.as_array().is_some_and(|names| names.iter().any(|required| required == name)) {
                        without_null(property);
                    }
                }
            }
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = one_line(text);
            }
            object.values_mut().for_each(mend);
        }
        _ => {}
    }
}

/// Takes null from what a schema allows beside other things. Whether it was there.
fn without_null(schema: &mut Value) -> bool {
    let Value::Object(object) = schema else { return false };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        let before = types.len();
        types.retain(|kind| kind != "null");
        let had = types.len() < before;
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
        return had;
    }
    let Some(Value::Array(choices)) = object.get_mut("anyOf") else { return false };
    let before = choices.len();
    choices.retain(|choice| choice["type"] != "null");
    let had = choices.len() < before;
    if had && choices.len() == 1 {
        let only = object.remove("anyOf").unwrap_or_default();
        let is_alone = object.is_empty();
        match only {
            Value::Array(mut only) if is_alone => *schema = only.remove(0),
            only => drop(object.insert("allOf".into(), only)),
        }
    }
    had
}

/// Every acknowledgement begins with whether the command was followed.
fn acknowledge(schema: &mut Value, ok: bool) {
    let object = schema.as_object_mut().expect("an object");
    let Value::Object(properties) = object.entry("properties").or_insert_with(|| json!({})) else { return };
    let mut all = Map::from_iter([("ok".to_owned(), json!({ "type": "boolean", "const": ok }))]);
    properties.remove("ok");
    all.append(properties);
    *properties = all;
    let Value::Array(required) = object.entry("required").or_insert_with(|| json!([])) else { return };
    required.retain(|name| name != "ok");
    required.insert(0, "ok".into());
}

fn mark_retryable(codes: &mut Value) {
    let codes = codes["oneOf"].as_array_mut().expect("codes with descriptions");
    for (schema, code) in codes.iter_mut().zip(Code::ALL) {
        assert_eq!(schema["const"], code.as_str());
        schema["x-retryable"] = code.is_retryable().into();
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
