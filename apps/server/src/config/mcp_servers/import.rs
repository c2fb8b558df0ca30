//! The JSON that other programs keep their MCP servers in: `mcpServers` of desktop clients and of mcp-orchestrator's
//! `mcp-config.json`, and `servers` of editors.

mod entry;
mod lenient;

use super::Named;
use crate::config::problem::{Kind, Origin, Place, Problem};
use serde_json::Value;
use std::path::Path;

/// What a file comes to.
#[derive(Default)]
pub(crate) struct Imported {
    pub(crate) servers: Vec<Named>,
    /// What must be mended in it.
    pub(crate) problems: Vec<Problem>,
    /// Servers that are well described and cannot run here.
    pub(crate) left_out: Vec<Problem>,
    /// What has no meaning here, or another one.
    pub(crate) notices: Vec<String>,
}

/// The servers of a file's text. Comments and commas before a closing bracket are taken, as editors write them.
pub(crate) fn parse(text: &str, path: &Path) -> Imported {
    let mut found = Imported::default();
    let text = lenient::strict(text);
    File { text: &text, path }.read(&mut found);
    found
}

struct File<'a> {
    text: &'a str,
    path: &'a Path,
}

impl File<'_> {
    fn read(&mut self, found: &mut Imported) {
        let whole: Value = match serde_json::from_str(self.text) {
            Ok(whole) => whole,
            Err(error) => {
                let place = Place { line: error.line(), column: error.column() };
                let origin =
                    Origin::File { path: self.path.to_owned(), place: Some(place).filter(|place| place.line > 0) };
                let what = format!("this is not JSON: {error}");
                let (key, fix) = ("mcp.config_file".to_owned(), "correct the line".to_owned());
                return found.problems.push(Problem { kind: Kind::Syntax, key, origin, what, fix });
            }
        };
        let section = ["mcpServers", "servers"].into_iter().find_map(|key| whole.get(key));
        let Some(Value::Object(servers)) = section else {
            let what = "the file has no object `mcpServers` (or `servers`)".to_owned();
            return self.problem(found, Kind::Missing, "", "", what, "put the servers into an object `mcpServers`");
        };
        for (name, entry) in servers {
            let is_off =
                entry.get("disabled") == Some(&Value::Bool(true)) || entry.get("enabled") == Some(&Value::Bool(false));
            if !is_off {
                self.server(name, entry, found);
            }
        }
        if whole.pointer("/settings/toolNamespacing").and_then(Value::as_str) == Some("none") {
            found.notices.push(format!(
                "{}: field `settings.toolNamespacing`: a tool is called SERVER__TOOL for the model all the same, so that no server \
                 takes another one's name",
                self.origin("settings", "toolNamespacing")
            ));
        }
    }

    fn problem(&self, found: &mut Imported, kind: Kind, server: &str, field: &str, what: String, fix: &str) {
        found.problems.push(self.at(kind, server, field, what, fix));
    }

    /// A problem with a field of a server; with the whole server or the whole file where they are empty.
    fn at(&self, kind: Kind, server: &str, field: &str, what: String, fix: &str) -> Problem {
        let key = match (server, field) {
            ("", _) => "mcp.config_file".to_owned(),
            (_, "") => format!("mcpServers.{server}"),
            _ => format!("mcpServers.{server}.{field}"),
        };
        Problem { kind, key, origin: self.origin(server, field), what, fix: fix.to_owned() }
    }

    /// Where a field of a server stands, or the server where it has none of this name.
    fn origin(&self, server: &str, field: &str) -> Origin {
        let name = Some(server).filter(|name| !name.is_empty()).and_then(|name| self.key(name, 0));
        let field = name.filter(|_| !field.is_empty()).and_then(|start| self.key(field, start));
        let place = field.or(name).map(|at| Place::of(self.text, at));
        Origin::File { path: self.path.to_owned(), place }
    }

    /// The first byte of `name` as a key, from this byte on.
    fn key(&self, name: &str, from: usize) -> Option<usize> {
        let quoted = Value::from(name).to_string();
        let is_key = |at: &usize| self.text[at + quoted.len()..].trim_start().starts_with(':');
        self.text[from..].match_indices(&quoted).map(|(at, _)| from + at).find(is_key)
    }
}

#[cfg(test)]
mod tests;
