//! The configuration that holds, for people.

use super::{Loaded, variables};
use figment::value::Value;
use std::fmt::Write as _;

/// What is set, one setting a line in TOML's dotted form, secrets masked. Settings that are not listed have their
/// defaults. `with_origin` adds where each value comes from.
pub(crate) fn show(loaded: &Loaded, with_origin: bool) -> String {
    let mut text = String::new();
    for (path, value) in settings(loaded) {
        let _ = write!(text, "{path} = {value}");
        if with_origin {
            let _ = write!(text, "  # {}", loaded.origin(&path));
        }
        text.push('\n');
    }
    text
}

/// What is set, by its path, secrets masked.
pub(crate) fn settings(loaded: &Loaded) -> Vec<(String, toml::Value)> {
    let mut found = Vec::new();
    collect(&loaded.merged, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut Vec<(String, toml::Value)>) {
    match value {
        Value::Dict(_, dict) => {
            for (key, value) in dict {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(value, &path, found);
            }
        }
        _ if variables::is_secret(path) => found.push((path.to_owned(), "***".into())),
        // What TOML cannot write was not read from it, and no setting has it.
        _ => found.push((path.to_owned(), value.deserialize().unwrap_or_else(|_| "?".into()))),
    }
}
