//! The JSON that desktop clients (`mcpServers`) and editors (`servers`) keep their MCP servers in.

use super::Named;
use crate::config::{
    McpServerEntry,
    problem::{Kind, Origin, Problem},
};
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path};

/// What a file comes to: its servers, its problems, and what was left out.
type Imported = (Vec<Named>, Vec<Problem>, Vec<String>);

/// The servers of a file's text.
pub(super) fn parse(text: &str, path: &Path) -> Imported {
    let mut file = File { text, path, problems: Vec::new(), notices: Vec::new() };
    let servers = file.servers();
    (servers, file.problems, file.notices)
}

struct File<'a> {
    text: &'a str,
    path: &'a Path,
    problems: Vec<Problem>,
    notices: Vec<String>,
}

impl File<'_> {
    fn servers(&mut self) -> Vec<Named> {
        let whole: Value = match serde_json::from_str(self.text) {
            Ok(whole) => whole,
            Err(error) => {
                let line = Some(error.line()).filter(|line| *line > 0);
                self.problem(Kind::Syntax, "", line, format!("this is not JSON: {error}"), "correct the line");
                return Vec::new();
            }
        };
        let section = ["mcpServers", "servers"].into_iter().find_map(|key| whole.get(key));
        let Some(Value::Object(servers)) = section else {
            let what = "the file has no object `mcpServers` (or `servers`)".to_owned();
            self.problem(Kind::Missing, "", None, what, "put the servers into an object `mcpServers`");
            return Vec::new();
        };
        let enabled = servers.iter().filter(|(_, entry)| entry.get("disabled") != Some(&Value::Bool(true)));
        enabled.filter_map(|(name, entry)| self.server(name, entry)).collect()
    }

    fn server(&mut self, name: &str, entry: &Value) -> Option<Named> {
        let line = self.line_of(name);
        let Value::Object(entry) = entry else {
            self.problem(Kind::WrongType, name, line, "a server is an object".to_owned(), "write it as an object");
            return None;
        };
        let transport = entry.get("transport").or_else(|| entry.get("type")).and_then(Value::as_str);
        let remote = entry.contains_key("url").then_some("http");
        if let Some(other) = transport.or(remote).filter(|transport| *transport != "stdio") {
            let what = format!("MCP server `{name}` has the transport `{other}`; this version has `stdio` alone");
            self.problem(Kind::Unsupported, name, line, what, "remove the server, or set `\"disabled\": true` in it");
            return None;
        }
        let command = self.command(name, entry, line)?;
        let args = self.strings(name, entry, line)?;
        let env = self.environment(name, entry, line)?;
        self.tell_ignored(name, entry);
        let entry = McpServerEntry { command, args, env };
        let origin = Origin::File { path: self.path.to_owned(), line };
        Some(Named { name: name.to_owned(), entry, path: format!("mcpServers.{name}"), origin })
    }

    fn command(&mut self, name: &str, entry: &Map<String, Value>, line: Option<usize>) -> Option<String> {
        let command = entry.get("command").and_then(Value::as_str).filter(|command| !command.is_empty());
        if command.is_none() {
            let what = format!("MCP server `{name}` has no `command`");
            self.problem(Kind::Missing, name, line, what, "add `\"command\": \"PROGRAM\"`");
        }
        command.map(str::to_owned)
    }

    fn strings(&mut self, name: &str, entry: &Map<String, Value>, line: Option<usize>) -> Option<Vec<String>> {
        let Some(args) = entry.get("args") else { return Some(Vec::new()) };
        let strings = args
            .as_array()
            .and_then(|args| args.iter().map(|arg| arg.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
        if strings.is_none() {
            let what = format!("MCP server `{name}`: `args` is not an array of strings");
            self.problem(Kind::WrongType, name, line, what, "put each argument into quotes");
        }
        strings
    }

    fn environment(
        &mut self,
        name: &str,
        entry: &Map<String, Value>,
        line: Option<usize>,
    ) -> Option<BTreeMap<String, SecretString>> {
        let Some(env) = entry.get("env") else { return Some(BTreeMap::new()) };
        let pair = |(variable, value): (&String, &Value)| {
            let value = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => return None,
            };
            Some((variable.clone(), SecretString::from(value)))
        };
        let variables = env.as_object().and_then(|env| env.iter().map(pair).collect::<Option<BTreeMap<_, _>>>());
        if variables.is_none() {
            let what = format!("MCP server `{name}`: `env` is not an object of strings");
            self.problem(Kind::WrongType, name, line, what, "put each value into quotes");
        }
        variables
    }

    /// What other programs keep beside the command has no meaning here. Above all, nobody is let through the gate by it.
    fn tell_ignored(&mut self, name: &str, entry: &Map<String, Value>) {
        const KNOWN: &[&str] = &["command", "args", "env", "type", "transport", "disabled"];
        let ignored: Vec<&str> = entry.keys().map(String::as_str).filter(|key| !KNOWN.contains(key)).collect();
        if !ignored.is_empty() {
            let path = self.path.display();
            self.notices.push(format!("{path}: of MCP server `{name}`, this is ignored: {}", ignored.join(", ")));
        }
    }

    fn problem(&mut self, kind: Kind, server: &str, line: Option<usize>, what: String, fix: &str) {
        let key = if server.is_empty() { "mcp.config_file".to_owned() } else { format!("mcpServers.{server}") };
        let origin = Origin::File { path: self.path.to_owned(), line };
        self.problems.push(Problem { kind, key, origin, what, fix: fix.to_owned() });
    }

    /// The line on which the server's name stands as a key, from 1.
    fn line_of(&self, name: &str) -> Option<usize> {
        let quoted = Value::from(name).to_string();
        let is_key = |line: &str| {
            let after = line.find(&quoted).map(|at| &line[at + quoted.len()..]);
            after.is_some_and(|after| after.trim_start().starts_with(':'))
        };
        self.text.lines().position(is_key).map(|at| at + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, String, Option<usize>)> {
        let (_, problems, _) = parse(text, Path::new("mcp.json"));
        let line = |origin| match origin {
            Origin::File { line, .. } => line,
            _ => None,
        };
        problems.into_iter().map(|problem| (problem.kind, problem.key, line(problem.origin))).collect()
    }

    #[test]
    fn both_spellings_of_the_section_are_read() {
        for section in ["mcpServers", "servers"] {
            let text = format!(
                r#"{{"{section}": {{
                    "web": {{"type": "stdio", "command": "npx", "args": ["-y", "x"], "env": {{"N": 1}}, "autoApprove": ["*"]}},
                    "off": {{"command": "x", "disabled": true}}
                }}, "inputs": []}}"#
            );
            let (servers, problems, notices) = parse(&text, Path::new("mcp.json"));
            assert_eq!(problems, []);
            assert_eq!(servers.len(), 1);
            assert_eq!((servers[0].name.as_str(), servers[0].entry.args.len()), ("web", 2));
            assert_eq!(servers[0].origin.to_string(), "mcp.json:2");
            assert_eq!(notices, ["mcp.json: of MCP server `web`, this is ignored: autoApprove"]);
        }
    }

    #[test]
    fn every_bad_server_is_named_with_its_line() {
        let text = "{\"mcpServers\": {\n\"a\": {\"url\": \"https://x\"},\n\"b\": {\"transport\": \"stdio-docker\"},\n\
            \"c\": {},\n\"d\": {\"command\": \"x\", \"args\": [1]},\n\"e\": {\"command\": \"x\", \"env\": []},\n\"f\": 1}}";
        let expected = [
            (Kind::Unsupported, "mcpServers.a".to_owned(), Some(2)),
            (Kind::Unsupported, "mcpServers.b".to_owned(), Some(3)),
            (Kind::Missing, "mcpServers.c".to_owned(), Some(4)),
            (Kind::WrongType, "mcpServers.d".to_owned(), Some(5)),
            (Kind::WrongType, "mcpServers.e".to_owned(), Some(6)),
            (Kind::WrongType, "mcpServers.f".to_owned(), Some(7)),
        ];
        assert_eq!(kinds(text), expected);
        assert_eq!(kinds("{\n\"mcpServers\": {,}}"), [(Kind::Syntax, "mcp.config_file".to_owned(), Some(2))]);
        assert_eq!(kinds("{}"), [(Kind::Missing, "mcp.config_file".to_owned(), None)]);
    }
}
