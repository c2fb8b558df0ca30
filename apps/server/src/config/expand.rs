//! `${VAR}`, `${VAR:-default}` and `${env:VAR}` in the settings of MCP servers.

/// `text` with its references replaced by what `lookup` knows. A variable that is empty counts as unset where a
/// default is given, as in shells. A `$` that opens no reference stays.
///
/// Fails with the name of the first variable that is not set and has no default, or with a reference that is not
/// closed.
pub(crate) fn expand(text: &str, lookup: impl Fn(&str) -> Option<String>) -> Result<String, ExpandError> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        expanded.push_str(&rest[..at]);
        let (reference, after) = rest[at + 2..].split_once('}').ok_or(ExpandError::Open)?;
        let (name, default) = match reference.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (reference, None),
        };
        let name = name.strip_prefix("env:").unwrap_or(name);
        let value = lookup(name).filter(|value| default.is_none() || !value.is_empty());
        match value.as_deref().or(default) {
            Some(value) => expanded.push_str(value),
            None => return Err(ExpandError::Unset(name.to_owned())),
        }
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Whether `text` is nothing but a reference to a variable.
pub(crate) fn is_reference(text: &str) -> bool {
    let name = text.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| !name.contains('}') && !name.contains(":-"))
}

/// The variables that a text cannot do without: those that it refers to without a default.
pub(crate) fn references(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some((reference, after)) = rest.find("${").and_then(|at| rest[at + 2..].split_once('}')) {
        if !reference.contains(":-") {
            names.push(reference.strip_prefix("env:").unwrap_or(reference).to_owned());
        }
        rest = after;
    }
    names
}

/// Why a text cannot be expanded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExpandError {
    /// The variable is not set, and the reference has no default.
    #[error("the variable {0} is not set")]
    Unset(String),
    /// A `${` without a `}`.
    #[error("a `${{` is not closed")]
    Open,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_replaced_once() {
        let lookup = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "EMPTY" => Some(String::new()),
            "NESTED" => Some("${A}".to_owned()),
            _ => None,
        };
        let cases = [
            ("plain $A $", Ok("plain $A $")),
            ("${A}-${env:A}", Ok("1-1")),
            ("${EMPTY}", Ok("")),
            ("${EMPTY:-x}", Ok("x")),
            ("${NONE:-}", Ok("")),
            ("${NONE:-a:-b}", Ok("a:-b")),
            ("${NESTED}", Ok("${A}")),
            ("x${NONE}", Err(ExpandError::Unset("NONE".to_owned()))),
            ("${env:NONE}", Err(ExpandError::Unset("NONE".to_owned()))),
            ("${A", Err(ExpandError::Open)),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, lookup).as_deref(), expected.as_deref(), "{text}");
        }
    }
}
