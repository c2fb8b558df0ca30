//! That the schema says what the loader does: each is asked about every setting.

use super::*;
use crate::config::{Inputs, Kind, Loaded, Setting, load};

/// A place in the schema: the path of an object's settings, and the object.
fn objects<'a>(schema: &'a Value, path: &str, found: &mut Vec<(String, &'a Map<String, Value>)>) {
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        found.push((path.to_owned(), properties));
        for (name, property) in properties {
            objects(property, &join(path, name), found);
        }
    }
    if let Some(entry) = schema.get("additionalProperties") {
        objects(entry, &join(path, "name"), found);
    }
    if let Some(entry) = schema.get("items") {
        objects(entry, &format!("{path}[]"), found);
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// The configuration with this setting alone. What lies in a list is set by a list of one table.
fn set(path: &str, value: &str) -> Loaded {
    let (path, value) = match path.split_once("[].") {
        None => (path, value.to_owned()),
        Some((list, inner)) => {
            let quoted = toml::Value::from(value).to_string();
            let is_toml = format!("x = {value}").parse::<toml::Table>().is_ok();
            (list, format!("[{{ {inner} = {} }}]", if is_toml { value } else { &quoted }))
        }
    };
    let setting = Setting { flag: "--set".to_owned(), path: path.to_owned(), value };
    load(&Inputs { settings: vec![setting], ..Inputs::default() })
}

/// Whether the setting is one of a table that wants others besides.
fn has_siblings(path: &str) -> bool {
    path.starts_with("mcp_servers.") || path.contains("[]")
}

#[test]
fn each_object_has_the_settings_that_the_loader_knows() {
    let schema = schema();
    let mut found = Vec::new();
    objects(&schema, "", &mut found);
    assert!(found.len() > 20, "{} objects", found.len());
    for (path, properties) in found {
        let loaded = set(&join(&path, "no_such_setting"), "1");
        let problem = loaded.problems.iter().find(|problem| problem.kind == Kind::UnknownKey);
        let problem = problem.unwrap_or_else(|| panic!("{path}: an unknown setting passes: {:?}", loaded.problems));
        let known = problem.fix.strip_prefix("remove it, or use one of: ").expect("no setting is near");
        let mut known: Vec<_> = known.split(", ").collect();
        let mut named: Vec<_> = properties.keys().map(String::as_str).collect();
        known.sort_unstable();
        named.sort_unstable();
        assert_eq!(named, known, "[{path}]");
    }
}

#[test]
fn each_default_is_taken_and_changes_nothing() {
    let schema = schema();
    let mut found = Vec::new();
    objects(&schema, "", &mut found);
    let unset = format!("{:?}", load(&Inputs::default()).config);
    let mut seen = 0;
    for (path, properties) in found {
        for (name, property) in properties {
            let Some(default) = property.get("default").filter(|default| !default.is_object()) else { continue };
            let path = join(&path, name);
            if has_siblings(&path) {
                continue;
            }
            let value = match default.as_str() {
                Some(text) => text.to_owned(),
                None => toml::Value::try_from(default).expect("a default is TOML").to_string(),
            };
            let loaded = set(&path, &value);
            assert_eq!(loaded.problems, [], "{path} = {value}");
            assert_eq!(format!("{:?}", loaded.config), unset, "{path} = {value}");
            seen += 1;
        }
    }
    assert!(seen > 150, "only {seen} defaults");
}

#[test]
fn each_setting_says_what_it_does_and_takes_no_other_type() {
    let schema = schema();
    let mut found = Vec::new();
    objects(&schema, "", &mut found);
    for (path, properties) in found {
        for (name, property) in properties {
            let path = join(&path, name);
            let description = property.get("description").and_then(Value::as_str).unwrap_or_default();
            assert!(!description.is_empty() && !description.contains("[`"), "{path}: {description:?}");
            let wrong = match property.get("type").and_then(Value::as_str) {
                Some("integer" | "number" | "boolean" | "object" | "array") => "some text",
                Some("string") => "['a', 'list']",
                _ => continue,
            };
            assert!(!set(&path, wrong).problems.is_empty(), "{path} = {wrong}");
        }
    }
}

#[test]
fn each_named_value_is_taken_and_no_other() {
    let schema = schema();
    let mut found = Vec::new();
    objects(&schema, "", &mut found);
    let mut seen = 0;
    for (path, properties) in found {
        for (name, property) in properties {
            let path = join(&path, name);
            let values: Vec<_> = crate::config::reference::named_values(property).collect();
            for (value, _) in &values {
                assert_eq!(set(&path, value).problems, [], "{path} = {value}");
            }
            if !values.is_empty() {
                seen += 1;
                assert!(!set(&path, "no-such-value").problems.is_empty(), "{path}");
            }
        }
    }
    assert!(seen >= 8, "only {seen} settings with named values");
}

#[test]
fn links_into_the_program_become_words() {
    let text = "Needs [`Self::a`], and\n[`B::c`](crate::B::c) too.\n\nMore.";
    assert_eq!(plain(text), "Needs `a`, and `B::c` too.\n\nMore.");
}
