//! Every type of the contract, field by field, for people.

use super::{tables::said, typescript::type_of};
use serde_json::Value;
use std::fmt::Write;

/// The reference as Markdown.
pub(super) fn document(schema: &Value) -> String {
    let mut text = "# The types of the contract\n\n\
        Generated from `crates/socket-gateway/src/wire` by `just contract`. [The events](../events.md) says which event has which \
        of them as its payload, and what the rules are. Programs read the same in [JSON Schema](events.schema.json), in\n\
        [AsyncAPI](asyncapi.json) and in [TypeScript](../../apps/client/src/events.ts).\n"
        .to_owned();
    for (name, definition) in schema["definitions"].as_object().into_iter().flatten() {
        let _ = write!(text, "\n## {name}\n");
        let description = said(definition);
        if !description.is_empty() {
            let _ = write!(text, "\n{description}\n");
        }
        if name == "ServerEvents" || name == "ClientEvents" || name == "Answers" {
            fields(&mut text, "event", definition);
        } else {
            fields(&mut text, "field", definition);
        }
        choices(&mut text, definition);
    }
    text
}

fn fields(text: &mut String, kind: &str, schema: &Value) {
    let Some(properties) = schema["properties"].as_object().filter(|properties| !properties.is_empty()) else { return };
    let is_required = |name: &str| schema["required"].as_array().is_some_and(|all| all.iter().any(|each| each == name));
    let _ = write!(text, "\n| {kind} | type | |\n|---|---|---|\n");
    for (name, property) in properties {
        let may = if is_required(name) { "" } else { "?" };
        let _ = writeln!(text, "| `{name}`{may} | {} | {} |", cell(property), said(property));
    }
}

/// Choices that have fields are told one after the other; values in a table.
fn choices(text: &mut String, schema: &Value) {
    let Some(choices) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) else { return };
    if choices.iter().all(|choice| choice.get("const").is_some()) {
        text.push_str("\n| value | |\n|---|---|\n");
        for choice in choices {
            let retryable = if choice["x-retryable"] == true { " Retryable." } else { "" };
            let _ = writeln!(text, "| `{}` | {}{retryable} |", choice["const"], said(choice));
        }
        return;
    }
    for choice in choices {
        let is_object = choice["properties"].is_object();
        let title = if is_object { "An object".to_owned() } else { cell(choice) };
        let description = said(choice);
        let _ = write!(text, "\n- {title}{}{description}\n", if description.is_empty() { "" } else { ": " });
        fields(text, "field", choice);
    }
}

/// A type in a cell, with a link where it has a name.
fn cell(schema: &Value) -> String {
    let only = schema["allOf"].as_array().filter(|parts| parts.len() == 1).map(|parts| &parts[0]);
    match super::referred(only.unwrap_or(schema)) {
        Some(name) => format!("[{name}](#{})", name.to_lowercase()),
        None => format!("`{}`", type_of(schema).split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")),
    }
}
