//! The configuration that holds, for people.

use super::{Loaded, variables};
use figment::value::Value;
use std::fmt::Write as _;

/// What is set, one setting a line in TOML's dotted form, secrets masked. Settings that are not listed have their
/// defaults. `with_origin` adds where each value comes from.
pub(crate) fn show(loaded: &Loaded, with_origin: bool) -> String {
    let mut lines = Vec::new();
    collect(&loaded.merged, "", &mut lines);
    let mut text = String::new();
    for (path, value) in lines {
        let _ = write!(text, "{path} = {value}");
        if with_origin {
            let _ = write!(text, "  # {}", loaded.origin(&path));
        }
        text.push('\n');
    }
    text
}

fn collect(value: &Value, path: &str, lines: &mut Vec<(String, String)>) {
    match value {
        Value::Dict(_, dict) => {
            for (key, value) in dict {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(value, &path, lines);
            }
        }
        _ if variables::is_secret(path) => lines.push((path.to_owned(), "\"***\"".to_owned())),
        _ => lines.push((path.to_owned(), shown(value))),
    }
}

/// As TOML writes it, in one line.
fn shown(value: &Value) -> String {
    match value.deserialize::<toml::Value>() {
        Ok(value) => value.to_string(),
        Err(_) => "?".to_owned(),
    }
}
