//! A TOML file as a layer, with the place of each value.

use super::{
    layer::Layer,
    problem::{Kind, Origin, Place, Problem},
};
use figment::value::Value;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};
use toml::de::{DeTable, DeValue};

/// The file's layer; none where there is no file. `shown` is how the path is told to people.
pub(crate) fn read(path: &Path, shown: &Path) -> Result<Option<Layer>, Vec<Problem>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let origin = Origin::File { path: shown.to_owned(), place: None };
            let what = format!("the file cannot be read: {error}");
            let fix = format!("make it readable, as in `chmod u+r {}`, or remove it", shown.display());
            return Err(vec![Problem { kind: Kind::Unreadable, key: String::new(), origin, what, fix }]);
        }
    };
    parse(&text, shown).map(Some)
}

/// The layer of a file's text.
pub(crate) fn parse(text: &str, path: &Path) -> Result<Layer, Vec<Problem>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // The first one: what follows is mostly its echo.
        return Err(errors.first().map(|error| syntax(error, text, path)).into_iter().collect());
    }
    let mut lines = BTreeMap::new();
    collect(table.get_ref(), "", &Lines { text, path: path.to_owned() }, &mut lines);
    let values = toml::from_str::<toml::Table>(text).map_err(|error| vec![syntax(&error, text, path)])?;
    let Ok(Value::Dict(_, dict)) = Value::serialize(values) else {
        let origin = Origin::File { path: path.to_owned(), place: None };
        let (what, fix) = ("the file holds a value that no setting has".to_owned(), "remove it".to_owned());
        return Err(vec![Problem { kind: Kind::Syntax, key: String::new(), origin, what, fix }]);
    };
    Ok(Layer::of(path.display().to_string(), dict, lines))
}

struct Lines<'a> {
    text: &'a str,
    path: PathBuf,
}

impl Lines<'_> {
    fn origin(&self, offset: usize) -> Origin {
        Origin::File { path: self.path.clone(), place: Some(Place::of(self.text, offset)) }
    }
}

fn collect(table: &DeTable<'_>, prefix: &str, lines: &Lines<'_>, found: &mut BTreeMap<String, Origin>) {
    for (key, value) in table {
        let path = join(prefix, key.get_ref());
        found.insert(path.clone(), lines.origin(key.span().start));
        collect_value(value.get_ref(), &path, lines, found);
    }
}

fn collect_value(value: &DeValue<'_>, path: &str, lines: &Lines<'_>, found: &mut BTreeMap<String, Origin>) {
    match value {
        DeValue::Table(table) => collect(table, path, lines, found),
        DeValue::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let path = join(path, &at.to_string());
                found.insert(path.clone(), lines.origin(item.span().start));
                collect_value(item.get_ref(), &path, lines, found);
            }
        }
        _ => {}
    }
}

fn join(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn syntax(error: &toml::de::Error, text: &str, path: &Path) -> Problem {
    let place = error.span().map(|span| Place::of(text, span.start));
    Problem {
        kind: Kind::Syntax,
        key: String::new(),
        origin: Origin::File { path: path.to_owned(), place },
        what: format!("this is not TOML: {}", error.message().lines().collect::<Vec<_>>().join(", ")),
        fix: "correct the line; nothing of the file was read".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_knows_its_place() {
        let text = "[server]\nport = 1\n\n[[policy.rules]]\ntool = 'a'\n[[policy.rules]]\ntool = 'b'\nlog = { 'é' = 1, level = 2 }\n";
        let layer = parse(text, Path::new("x.toml")).expect("TOML");
        let place = |path: &str| layer.origin(path).map(|origin| origin.to_string()).unwrap_or_default();
        assert_eq!(place("server.port"), "x.toml:2:1");
        assert_eq!(place("policy.rules.1.tool"), "x.toml:7:1");
        assert_eq!(place("server"), "x.toml:1:2");
        assert_eq!(place("policy.rules.1.log.level"), "x.toml:8:18");
    }

    #[test]
    fn first_syntax_error_is_told_with_its_place_and_no_echo() {
        for (text, place) in [
            ("a = 1\nb = = 2\nc = 3\nd = [1\n", "x.toml:2:5"),
            ("[server\nport = 1\n", "x.toml:1:8"),
            ("a = \"open\nb = 1\n", "x.toml:1:10"),
            ("a = 1\na = 2\n", "x.toml:2:1"),
        ] {
            let problems = parse(text, Path::new("x.toml")).expect_err("no TOML");
            assert_eq!(problems.len(), 1, "{text}: {problems:?}");
            assert_eq!((problems[0].origin.to_string().as_str(), problems[0].kind), (place, Kind::Syntax), "{text}");
            assert!(!problems[0].what.contains('\n'), "{problems:?}");
        }
    }
}
