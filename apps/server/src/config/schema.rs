//! The JSON Schema of the whole configuration, derived from the types that it is read into.

use super::Config;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// The schema: what there is to set, of which type, with which default, and what it does. It says nothing of bounds that depend
/// on other settings; `lockkeeper config check` does.
pub(crate) fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    tidy(&mut schema);
    schema["title"] = json!("The configuration of Lockkeeper");
    schema["description"] = json!(format!("lockkeeper.toml, as version {} reads it.", env!("CARGO_PKG_VERSION")));
    schema
}

/// Takes out what has a meaning in Rust alone: TOML has no null, and JSON Schema no sizes of numbers.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            without_null(object);
            object.retain(|key, value| match key.as_str() {
                "default" => !value.is_null(),
                "format" => !value.as_str().is_some_and(|format| format.starts_with("uint") || format == "int64"),
                _ => true,
            });
            if let Some(Value::String(text)) = object.get_mut("description") {
                *text = plain(text);
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}

fn without_null(object: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [kind] = types.as_slice() {
            let kind = kind.clone();
            object.insert("type".to_owned(), kind);
        }
    }
    for choice in ["anyOf", "oneOf", "enum"] {
        if let Some(Value::Array(choices)) = object.get_mut(choice) {
            choices.retain(|choice| !choice.is_null() && choice.get("type") != Some(&json!("null")));
        }
    }
    let single = object.get("anyOf").and_then(Value::as_array).filter(|choices| choices.len() == 1);
    if let Some(Value::Object(only)) = single.map(|choices| choices[0].clone()) {
        object.remove("anyOf");
        // What the setting says of itself comes before what its type says.
        for (key, value) in only {
            object.entry(key).or_insert(value);
        }
    }
}

/// A doc comment without its line breaks and its links into the program.
fn plain(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let text = paragraphs.collect::<Vec<_>>().join("\n\n");
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find("[`") {
        plain.push_str(&rest[..at]);
        let Some((name, after)) = rest[at + 2..].split_once("`]") else { break };
        let name = name.strip_prefix("Self::").unwrap_or(name);
        let _ = write!(plain, "`{name}`");
        rest = match after.strip_prefix('(').and_then(|link| link.split_once(')')) {
            Some((_, after)) => after,
            None => after,
        };
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests;
