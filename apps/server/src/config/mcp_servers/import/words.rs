//! What stands in the fields of other programs' entries, in words of our own.

use serde_json::Value;
use std::path::Path;

/// A value as the text that it stands for; `None` of one that stands for no text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// Places that editors know, in the words of sandboxes: the folder that is open is the workspace.
pub(super) fn placed(text: &str, file: &Path) -> String {
    let folder = std::path::absolute(file).ok();
    let folder = folder.as_deref().and_then(Path::parent).unwrap_or(Path::new(".")).to_string_lossy().into_owned();
    let mut placed = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let Some((reference, after)) = rest[at + 2..].split_once('}') else { break };
        placed.push_str(&rest[..at]);
        let name = reference.split(':').next().unwrap_or(reference);
        match name {
            "workspaceFolder" | "workspaceRoot" | "fileWorkspaceFolder" | "cwd" => placed.push_str("{workspace}"),
            "workspaceFolderBasename" => placed.push_str("workspace"),
            "userHome" => placed.push_str("${HOME}"),
            "pathSeparator" | "/" => placed.push('/'),
            "CLAUDE_PLUGIN_ROOT" | "extensionPath" => placed.push_str(&folder),
            _ => {
                placed.push_str("${");
                placed.push_str(reference);
                placed.push('}');
            }
        }
        rest = after;
    }
    placed.push_str(rest);
    placed
}

/// The value of a variable. One that is nothing but another variable, as shells and some programs write it, is a reference.
pub(super) fn variable(value: &str) -> String {
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let bare = value.strip_prefix('$').filter(|name| is_name(name));
    let braced = value.strip_prefix("{env:").and_then(|rest| rest.strip_suffix('}')).filter(|name| is_name(name));
    bare.or(braced).map_or_else(|| value.to_owned(), |name| format!("${{{name}}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_editors_are_those_of_sandboxes() {
        let file = Path::new("/plugins/notes/.mcp.json");
        for (text, expected) in [
            ("--root=${workspaceFolder}/src", "--root={workspace}/src"),
            ("${workspaceFolder:api}", "{workspace}"),
            ("${userHome}${/}x", "${HOME}/x"),
            ("${CLAUDE_PLUGIN_ROOT}/server.js", "/plugins/notes/server.js"),
            ("${input:token} ${env:A:-b} ${A}", "${input:token} ${env:A:-b} ${A}"),
            ("plain ${open", "plain ${open"),
        ] {
            assert_eq!(placed(text, file), expected, "{text}");
        }
    }

    #[test]
    fn value_that_is_a_variable_is_a_reference() {
        for (value, expected) in [
            ("$TOKEN", "${TOKEN}"),
            ("{env:TOKEN}", "${TOKEN}"),
            ("${TOKEN}", "${TOKEN}"),
            ("$5", "$5"),
            ("a$TOKEN", "a$TOKEN"),
            ("$", "$"),
        ] {
            assert_eq!(variable(value), expected, "{value}");
        }
    }
}
