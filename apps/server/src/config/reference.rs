//! The page that lists all settings, made of their schema.

use super::variables;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// The longest default that is written out.
const MAX_DEFAULT_CHARS: usize = 60;

/// What stands above the list.
const INTRODUCTION: &str = include_str!("reference/introduction.md");

/// The page, in Markdown.
pub(crate) fn reference(schema: &Value) -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n| variable | setting |\n|---|---|\n");
    for (name, path) in variables::KNOWN {
        let _ = writeln!(page, "| `{name}` | `{path}` |");
    }
    let properties = schema["properties"].as_object().into_iter().flatten();
    for (name, property) in properties {
        section(&mut page, property, name, 2);
    }
    page
}

/// A heading, what it is, its own settings as a table, and its sections.
fn section(page: &mut String, schema: &Value, path: &str, level: usize) {
    let _ = write!(page, "\n{} `{path}`\n\n", "#".repeat(level.min(4)));
    let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let _ = writeln!(page, "{description}");
    let shape = Shape::of(schema);
    let none = Map::new();
    let properties = match shape {
        Shape::Table(properties) => properties,
        Shape::Entries(entry) => return section(page, entry, &format!("{path}.NAME"), level + 1),
        Shape::List(entry) => return section(page, entry, &format!("{path}[]"), level + 1),
        Shape::Value => &none,
    };
    let is_value = |property: &&Value| matches!(Shape::of(property), Shape::Value);
    if properties.values().any(|property| is_value(&property)) {
        page.push_str("\n| setting | value | default | |\n|---|---|---|---|\n");
    }
    for (name, property) in properties.iter().filter(|(_, property)| is_value(property)) {
        row(page, &format!("{path}.{name}"), name, property);
    }
    for (name, property) in properties.iter().filter(|(_, property)| !is_value(property)) {
        section(page, property, &format!("{path}.{name}"), level + 1);
    }
}

/// What a setting holds.
enum Shape<'a> {
    /// Settings by their names.
    Table(&'a Map<String, Value>),
    /// Tables under names of one's own.
    Entries(&'a Value),
    /// Tables in a row.
    List(&'a Value),
    /// A value.
    Value,
}

impl<'a> Shape<'a> {
    fn of(schema: &'a Value) -> Self {
        let has_settings = |entry: &&Value| entry.get("properties").is_some();
        if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
            Self::Table(properties)
        } else if let Some(entry) = schema.get("additionalProperties").filter(has_settings) {
            Self::Entries(entry)
        } else if let Some(entry) = schema.get("items").filter(has_settings) {
            Self::List(entry)
        } else {
            Self::Value
        }
    }
}

fn row(page: &mut String, path: &str, name: &str, schema: &Value) {
    let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let mut description = description.replace("\n\n", " ");
    if variables::is_secret(path) {
        description.push_str(" A secret.");
    }
    let documented: Vec<_> =
        named_values(schema).filter_map(|(value, what)| Some(format!("`{value}`: {}", what?))).collect();
    if !documented.is_empty() {
        let _ = write!(description, "<br>{}", documented.join("<br>"));
    }
    let (value, default) = (value(schema), default(schema));
    let _ = writeln!(page, "| `{name}` | {} | {} | {} |", cell(&value), cell(&default), cell(&description));
}

/// A text that ends no cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

fn default(schema: &Value) -> String {
    let Some(default) = schema.get("default") else { return String::new() };
    let text = default.to_string();
    if text.chars().count() > MAX_DEFAULT_CHARS {
        let start: String = text.chars().take(MAX_DEFAULT_CHARS).collect();
        return format!("`{start}`…");
    }
    format!("`{text}`")
}

/// Which values a setting takes, in a few words.
fn value(schema: &Value) -> String {
    let names: Vec<_> = named_values(schema).map(|(value, _)| format!("`{value}`")).collect();
    if !names.is_empty() {
        return names.join(", ");
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer") => "a whole number".to_owned(),
        Some("number") => "a number".to_owned(),
        Some("boolean") => "`true`, `false`".to_owned(),
        Some("string") => "a text".to_owned(),
        Some("array") => format!("a list: {}", value(&schema["items"])),
        Some("object") => format!("a table: {} for each name", value(&schema["additionalProperties"])),
        _ => "any value".to_owned(),
    }
}

/// The values that have names, and what each means where it says so.
pub(super) fn named_values(schema: &Value) -> impl Iterator<Item = (&str, Option<&str>)> {
    let array = |key: &str| schema.get(key).and_then(Value::as_array).into_iter().flatten();
    let bare = array("enum").filter_map(|value| Some((value.as_str()?, None)));
    let described = array("oneOf").flat_map(|choice| {
        let what = choice.get("description").and_then(Value::as_str);
        let alone = choice.get("const").and_then(Value::as_str).map(|value| (value, what));
        let several = choice.get("enum").and_then(Value::as_array).into_iter().flatten();
        alone.into_iter().chain(several.filter_map(|value| Some((value.as_str()?, None))))
    });
    bare.chain(described)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    #[test]
    fn the_page_in_the_repository_is_the_one_that_is_made_today() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
        let kept = fs::read_to_string(path).unwrap_or_default();
        assert!(
            kept == reference(&crate::config::schema()),
            "docs/configuration.md is out of date; renew it by\n\
             cargo run --locked -p lockkeeper -- config schema --markdown > docs/configuration.md"
        );
    }

    /// By the page, since it names every setting: a new secret that is not known as one would be shown by `config show`.
    #[test]
    fn what_is_called_a_key_a_token_or_a_secret_is_one() {
        let page = reference(&crate::config::schema());
        let named: Vec<_> = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` | a text"))
            .filter(|(name, _)| ["key", "token", "secret"].iter().any(|word| name.split('_').any(|part| part == *word)))
            .collect();
        assert!(named.len() > 5, "{named:?}");
        for (name, rest) in named {
            assert!(rest.contains("A secret."), "{name} is shown");
        }
    }

    #[test]
    fn a_table_a_list_and_a_value_are_told_apart() {
        let schema = serde_json::json!({"properties": {"a": {"description": "A.", "properties": {
            "n": {"type": "integer", "default": 3, "description": "N, a|b."},
            "mode": {"oneOf": [{"const": "x", "description": "X."}, {"enum": ["y"]}], "description": "M."},
            "many": {"description": "Many.", "additionalProperties": {"description": "One.", "properties": {
                "command": {"type": "string", "description": "C."},
            }}},
            "rules": {"description": "Rules.", "items": {"properties": {}}},
        }}}});
        let page = reference(&schema);
        let list = page.split_once("\n## `a`").expect("a section").1;
        let expected = "\n\nA.\n\n| setting | value | default | |\n|---|---|---|---|\n\
            | `n` | a whole number | `3` | N, a\\|b. |\n| `mode` | `x`, `y` |  | M.<br>`x`: X. |\n\
            \n### `a.many`\n\nMany.\n\n#### `a.many.NAME`\n\nOne.\n\n| setting | value | default | |\n|---|---|---|---|\n\
            | `command` | a text |  | C. |\n\n### `a.rules`\n\nRules.\n\n#### `a.rules[]`\n\n\n";
        assert_eq!(list, expected);
    }
}
