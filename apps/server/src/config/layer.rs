//! One source of settings: values in a tree, and for each where it was written.

use super::problem::Origin;
use figment::{
    Error, Metadata, Profile, Provider,
    value::{Dict, Map, Value},
};
use std::collections::BTreeMap;

/// A source of settings.
#[derive(Debug)]
pub(crate) struct Layer {
    name: String,
    dict: Dict,
    origins: BTreeMap<String, Origin>,
    /// The text of values that may be meant as text although they look like something else.
    texts: BTreeMap<String, String>,
}

impl Layer {
    /// An empty layer; `name` is unique among the layers.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), dict: Dict::new(), origins: BTreeMap::new(), texts: BTreeMap::new() }
    }

    /// A layer with these values and origins by dotted path.
    pub(crate) fn of(name: impl Into<String>, dict: Dict, origins: BTreeMap<String, Origin>) -> Self {
        Self { dict, origins, ..Self::new(name) }
    }

    /// Sets the value at `path` from a text that came without a type: TOML's reading of it where it is a number, a
    /// boolean, an array or a table, else the text.
    pub(crate) fn set_text(&mut self, path: &str, text: &str, origin: Origin) {
        let value = typed(text);
        if !matches!(value, Value::String(..)) {
            self.texts.insert(path.to_owned(), text.to_owned());
        }
        self.set(path, value, origin);
    }

    /// Sets the value at `path`.
    pub(crate) fn set(&mut self, path: &str, value: Value, origin: Origin) {
        let mut keys: Vec<&str> = path.split('.').collect();
        let last = keys.pop().unwrap_or_default();
        let mut dict = &mut self.dict;
        for key in keys {
            let slot = dict.entry(key.to_owned()).or_insert_with(|| Value::from(Dict::new()));
            if !matches!(slot, Value::Dict(..)) {
                *slot = Value::from(Dict::new());
            }
            let Value::Dict(_, inner) = slot else { return };
            dict = inner;
        }
        dict.insert(last.to_owned(), value);
        self.origins.insert(path.to_owned(), origin);
    }

    /// Where the value at `path` was written: its own place, or that of the nearest one that encloses it.
    pub(crate) fn origin(&self, path: &str) -> Option<Origin> {
        ancestors(path).find_map(|path| self.origins.get(path)).cloned()
    }

    /// The text of the value at `path`, where it was read as something else.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// All values.
    pub(crate) fn dict(&self) -> &Dict {
        &self.dict
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.dict.clone()))
    }
}

/// `a.b.c`, `a.b`, `a`.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| path.rsplit_once('.').map(|(parent, _)| parent))
}

fn typed(text: &str) -> Value {
    let trimmed = text.trim();
    let looks_typed = trimmed.starts_with(['[', '{', '+', '-']) || trimmed.starts_with(|c: char| c.is_ascii_digit());
    if looks_typed || matches!(trimmed, "true" | "false") {
        let table = toml::from_str::<toml::Table>(&format!("value = {trimmed}")).ok();
        if let Some(value) = table.as_ref().and_then(|table| table.get("value"))
            && !value.is_datetime()
            && let Ok(value) = Value::serialize(value)
        {
            return value;
        }
    }
    Value::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untyped_text_is_read_as_toml_where_it_looks_like_it() {
        let cases = [
            ("3000", Value::from(3000_i64)),
            ("true", Value::from(true)),
            ("1.5", Value::from(1.5)),
            ("text", Value::from("text")),
            ("127.0.0.1", Value::from("127.0.0.1")),
            ("2026-01-01", Value::from("2026-01-01")),
            ("[1", Value::from("[1")),
            ("", Value::from("")),
        ];
        for (text, expected) in cases {
            assert_eq!(typed(text), expected, "{text}");
        }
        assert!(matches!(typed("['a', 'b']"), Value::Array(_, items) if items.len() == 2));
        assert!(matches!(typed("{ a = 1 }"), Value::Dict(..)));
    }

    #[test]
    fn a_value_inside_of_a_written_one_has_its_origin() {
        let mut layer = Layer::new("env");
        layer.set_text("policy.rules", "[{ decision = 'ask' }]", Origin::Variable("X".to_owned()));
        assert_eq!(layer.origin("policy.rules.0.decision"), Some(Origin::Variable("X".to_owned())));
        assert_eq!(layer.origin("policy"), None);
    }
}
