//! The tables of docs/events.md, each between two comments that name it.

use serde_json::Value;
use std::fmt::Write;

/// The document with its tables as the contract has them.
pub(super) fn renewed(document: &str, schema: &Value) -> String {
    let tables = [("server", server(schema)), ("client", client(schema)), ("codes", codes(schema))];
    tables.into_iter().fold(document.to_owned(), |document, (name, table)| replaced(&document, name, &table))
}

fn replaced(document: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- generated: {name} -->\n"), "<!-- end -->");
    let (before, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("docs/events.md lacks {begin:?}"));
    let (_, after) = rest.split_once(end).unwrap_or_else(|| panic!("{begin:?} has no {end:?} after it"));
    format!("{before}{begin}\n{table}\n{end}{after}")
}

fn server(schema: &Value) -> String {
    let mut text = "| event | payload | logged | |\n|---|---|---|---|\n".to_owned();
    for (name, event) in entries(schema, "ServerEvents") {
        let logged = match event["x-logged"].as_str() {
            Some("always") => "yes",
            Some("sometimes") => "of a turn",
            _ => "",
        };
        let _ = writeln!(text, "| `{name}` | {} | {logged} | {} |", shape(event, schema), said(event));
    }
    text
}

fn client(schema: &Value) -> String {
    let mut text = "| event | payload | answer | |\n|---|---|---|---|\n".to_owned();
    let answers = &schema["definitions"]["Answers"]["properties"];
    for (name, event) in entries(schema, "ClientEvents") {
        let required = &schema["definitions"]["ClientEvents"]["required"];
        let is_optional = !required.as_array().is_some_and(|all| all.iter().any(|each| each == name));
        let payload = match shape(event, schema) {
            none if none == "none" => none,
            payload if is_optional => format!("{payload}, or none"),
            payload => payload,
        };
        let observers = if event["x-by"] == "anyone" { " Observers may, too." } else { "" };
        let _ =
            writeln!(text, "| `{name}` | {payload} | {} | {}{observers} |", shape(&answers[name], schema), said(event));
    }
    text
}

fn codes(schema: &Value) -> String {
    let mut text = "| code | | retryable |\n|---|---|---|\n".to_owned();
    for code in schema["definitions"]["Code"]["oneOf"].as_array().into_iter().flatten() {
        let retryable = if code["x-retryable"] == true { "yes" } else { "" };
        let _ = writeln!(text, "| `{}` | {} | {retryable} |", code["const"].as_str().unwrap_or_default(), said(code));
    }
    text
}

fn entries<'a>(schema: &'a Value, table: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema["definitions"][table]["properties"].as_object().into_iter().flatten()
}

/// A description, fit for a cell of a table.
pub(super) fn said(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().replace('|', "\\|")
}

/// What a payload looks like, with the names of its fields.
fn shape(payload: &Value, schema: &Value) -> String {
    if payload["type"] == "null" {
        return "none".into();
    }
    if payload["type"] == "string" {
        return "a string".into();
    }
    if let Some(Value::Array(choices)) = payload.get("anyOf") {
        return choices.iter().map(|choice| shape(choice, schema)).collect::<Vec<_>>().join(", or ");
    }
    if payload["type"] == "array" {
        return format!("`[{}]`", fields(&payload["items"], schema));
    }
    format!("`{}`", fields(payload, schema))
}

fn fields(payload: &Value, schema: &Value) -> String {
    let referred = super::referred(payload).or_else(|| super::referred(&payload["allOf"][0]));
    let object = referred.map_or(payload, |name| &schema["definitions"][name]);
    if let Some(Value::Array(choices)) = object.get("anyOf") {
        return choices.iter().map(|choice| fields(choice, schema)).collect::<Vec<_>>().join(" or ");
    }
    let is_required = |name: &str| object["required"].as_array().is_some_and(|all| all.iter().any(|each| each == name));
    let Some(properties) = object["properties"].as_object() else { return super::typescript::type_of(object) };
    let constant =
        |name: &str| object["properties"][name].get("const").map(|value| format!(": {value}")).unwrap_or_default();
    let names =
        properties.keys().map(|name| format!("{name}{}{}", if is_required(name) { "" } else { "?" }, constant(name)));
    format!("{{ {} }}", names.collect::<Vec<_>>().join(", "))
}
