//! serde's errors in words for people.

use super::{
    problem::{Kind, Origin, Problem},
    suggest, units, variables,
};
use figment::error::{Actual, Kind as FigmentKind};

/// The problem with the value at `path`.
pub(super) fn problem(path: &str, origin: Origin, error: &FigmentKind) -> Problem {
    let secret = variables::is_secret(path);
    let (section, key) = path.rsplit_once('.').unwrap_or(("", path));
    let (kind, what, fix) = match error {
        FigmentKind::UnknownField(name, known) => {
            let place = if section.is_empty() { "at the top".to_owned() } else { format!("in [{section}]") };
            let fix = match suggest::nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? Rename it"),
                None => format!("remove it, or use one of: {}", known.join(", ")),
            };
            (Kind::UnknownKey, format!("there is no setting `{name}` {place}"), fix)
        }
        FigmentKind::UnknownVariant(name, known) => {
            let near = suggest::nearest(name, known.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
            let what = format!("`{name}` is none of the values{}", near.unwrap_or_default());
            (Kind::BadValue, what, format!("set `{key}` to one of: {}", known.join(", ")))
        }
        FigmentKind::MissingField(name) => {
            (Kind::Missing, format!("`{name}` is missing"), format!("add `{name} = ..` to [{path}]"))
        }
        FigmentKind::InvalidType(actual, expected) => {
            let hint = units::hint(key).filter(|_| matches!(actual, Actual::Str(_)));
            let (found, expected) = (found(secret, actual), plain(expected));
            let fix = hint.map_or_else(|| format!("set `{key}` to {expected}"), str::to_owned);
            (Kind::WrongType, format!("expected {expected}, found {found}"), fix)
        }
        FigmentKind::InvalidValue(actual, expected) => {
            let (found, expected) = (found(secret, actual), plain(expected));
            (Kind::BadValue, format!("expected {expected}, found {found}"), format!("set `{key}` to {expected}"))
        }
        FigmentKind::Message(text) if !secret => {
            (Kind::BadValue, text.clone(), format!("correct the value of `{key}`"))
        }
        _ => (Kind::BadValue, "the value cannot be used".to_owned(), format!("correct the value of `{key}`")),
    };
    Problem { kind, key: path.to_owned(), origin, what, fix }
}

/// What was found; nothing of a secret.
fn found(secret: bool, actual: &Actual) -> String {
    match actual {
        _ if secret => "something else".to_owned(),
        Actual::Str(text) => format!("the text `{text}`"),
        Actual::Unsigned(number) => format!("`{number}`"),
        Actual::Signed(number) => format!("`{number}`"),
        Actual::Float(number) => format!("`{number}`"),
        Actual::Bool(value) => format!("`{value}`"),
        Actual::Seq => "an array".to_owned(),
        Actual::Map => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// What serde expected, without Rust's names of types.
fn plain(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i32" | "i64" | "isize" => "a whole number",
        "a nonzero usize" | "a nonzero u32" | "a nonzero u64" => "a whole number that is at least 1",
        "f32" | "f64" => "a number",
        "bool" | "a boolean" => "true or false",
        "a string" | "path string" => "a text in quotes",
        "a sequence" => "an array",
        "a map" => "a table",
        other if other.starts_with("struct ") => "a table",
        other => other,
    }
    .to_owned()
}
