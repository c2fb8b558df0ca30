//! The contract as TypeScript types, and the few lists that programs need when they run.

use crate::wire::PROTOCOL;
use serde_json::{Map, Value};
use std::fmt::Write;

/// The module that clients import.
pub(super) fn document(schema: &Value) -> String {
    let mut text = format!(
        "// Lockkeeper's Socket.IO events. Generated from crates/socket-gateway/src/wire by `just contract`: change them there.\n\n\
         export type Json = null | boolean | number | string | Json[] | {{ [key: string]: Json }};\n\n\
         /** The version of the contract. */\nexport const PROTOCOL = {PROTOCOL};\n"
    );
    let definitions = schema["definitions"].as_object().expect("definitions");
    for (name, definition) in definitions {
        text.push('\n');
        declare(&mut text, name, definition);
    }
    let names = definitions["ServerEvents"]["properties"].as_object().into_iter().flatten();
    list(
        &mut text,
        "The names of all events from the server.",
        "EVENT_NAMES",
        "keyof ServerEvents",
        names.map(|e| e.0),
    );
    let codes = definitions["Code"]["oneOf"].as_array().into_iter().flatten();
    let retryable = codes.filter(|code| code["x-retryable"] == true).filter_map(|code| code["const"].as_str());
    list(&mut text, "The codes with which the same may succeed later.", "RETRYABLE", "Code", retryable);
    text
}

fn list(text: &mut String, doc: &str, name: &str, of: &str, items: impl Iterator<Item = impl AsRef<str>>) {
    let _ = write!(text, "\n/** {doc} */\nexport const {name}: ReadonlySet<string> = new Set<{of}>([\n");
    for item in items {
        let _ = writeln!(text, "  {:?},", item.as_ref());
    }
    text.push_str("]);\n");
}

fn declare(text: &mut String, name: &str, schema: &Value) {
    comment(text, "", schema);
    if schema["type"] == "object" && choices(schema).is_none() {
        let fields = fields(schema, "");
        let _ = writeln!(text, "export interface {name} {fields}");
        return;
    }
    let Some(choices) = choices(schema) else {
        let _ = writeln!(text, "export type {name} = {};", type_of(schema));
        return;
    };
    let _ = write!(text, "export type {name} =");
    for choice in choices {
        text.push('\n');
        comment(text, "  ", choice);
        let _ = write!(text, "  | {}", type_of(choice));
    }
    let fields = schema["properties"].as_object().filter(|fields| !fields.is_empty());
    if fields.is_some() {
        // What all choices have besides.
        let start = text.rfind(" =\n").expect("written above") + 3;
        let choices = text.split_off(start);
        let _ = write!(text, "  {} & (\n{}\n  )", self::fields(schema, "  "), indented(&choices));
    }
    text.push_str(";\n");
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

fn comment(text: &mut String, indent: &str, schema: &Value) {
    if let Some(description) = schema["description"].as_str() {
        let _ = writeln!(text, "{indent}/** {} */", description.replace("*/", "* /"));
    }
}

fn choices(schema: &Value) -> Option<&Vec<Value>> {
    schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array())
}

/// A schema as a type, without its description.
pub(super) fn type_of(schema: &Value) -> String {
    if let Some(name) = super::referred(schema) {
        return name.to_owned();
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    if let Some(Value::Array(parts)) = schema.get("allOf") {
        return parts.iter().map(type_of).collect::<Vec<_>>().join(" & ");
    }
    if let Some(choices) = choices(schema) {
        return choices.iter().map(type_of).collect::<Vec<_>>().join(" | ");
    }
    match &schema["type"] {
        Value::Array(types) => types.iter().map(|kind| of_kind(kind, schema)).collect::<Vec<_>>().join(" | "),
        kind => of_kind(kind, schema),
    }
}

fn of_kind(kind: &Value, schema: &Value) -> String {
    match kind.as_str() {
        Some("integer" | "number") => "number".into(),
        Some("array") => {
            let items = type_of(&schema["items"]);
            if items.contains(' ') { format!("({items})[]") } else { format!("{items}[]") }
        }
        Some("object") => match (&schema["properties"], &schema["additionalProperties"]) {
            (Value::Object(_), _) => fields(schema, "  "),
            (_, rest @ Value::Object(_)) => format!("{{ [key: string]: {} }}", type_of(rest)),
            _ => "{ [key: string]: Json }".into(),
        },
        Some(plain) => plain.to_owned(),
        None => "Json".into(),
    }
}

fn fields(schema: &Value, indent: &str) -> String {
    let none = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&none);
    let is_required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|each| each == name));
    let mut text = "{\n".to_owned();
    for (name, property) in properties {
        comment(&mut text, &format!("{indent}  "), property);
        let quoted = if name.contains(':') { format!("{name:?}") } else { name.clone() };
        let mark = if is_required(name) || property["type"] == "null" { "" } else { "?" };
        let _ = writeln!(text, "{indent}  {quoted}{mark}: {};", type_of(property));
    }
    text + indent + "}"
}
