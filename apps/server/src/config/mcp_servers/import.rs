//! The JSON that other programs keep their MCP servers in: `mcpServers` of desktop clients and of mcp-orchestrator's
//! `mcp-config.json`, `servers` and `context_servers` of editors, `mcp` of terminal programs, and the bare object of
//! plugins. An entry that is odd is left out, and never stops the others.

mod entry;
mod lenient;
mod words;

use super::Named;
use crate::config::problem::{Kind, Origin, Place, Problem};
use serde_json::Value;
use std::{fs, io, path::Path};

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
    // Programs for Windows write one.
    let text = lenient::strict(text.strip_prefix('\u{feff}').unwrap_or(text));
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
        let Some(servers) = section(&whole) else {
            let what = "the file has no object `mcpServers` (or `servers`)".to_owned();
            let fix = "put the servers into an object `mcpServers`".to_owned();
            let problem = self.at(Kind::Missing, "", "", what, &fix);
            return found.problems.push(problem);
        };
        for (name, entry) in servers {
            if !is_off(&entry) {
                self.server(&name, &entry, found);
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

    /// Leaves a server out, and says why.
    fn leave_out(&self, found: &mut Imported, kind: Kind, server: &str, field: &str, what: String, fix: &str) {
        found.left_out.push(self.at(kind, server, field, what, fix));
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

/// The text of a file, as programs for Windows write it, too.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    let wide = |of: fn([u8; 2]) -> u16| bytes[2..].as_chunks().0.iter().copied().map(of).collect::<Vec<_>>();
    let text = match bytes.as_slice() {
        [0xff, 0xfe, ..] => String::from_utf16(&wide(u16::from_le_bytes)).ok(),
        [0xfe, 0xff, ..] => String::from_utf16(&wide(u16::from_be_bytes)).ok(),
        _ => String::from_utf8(bytes.clone()).ok(),
    };
    text.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is not text in UTF-8"))
}

/// The servers of a file, by their names, wherever its program keeps them.
fn section(whole: &Value) -> Option<Vec<(String, Value)>> {
    const KEYS: &[&str] = &["mcpServers", "servers", "context_servers", "mcp_servers", "mcp.servers", "amp.mcpServers"];
    let nested = || ["mcpServers", "servers"].into_iter().find_map(|key| whole.get("mcp")?.get(key));
    let keyed = KEYS.iter().find_map(|key| whole.get(*key)).filter(|section| !section.is_null());
    let found = keyed.or_else(nested).or_else(|| whole.get("mcp").filter(|section| holds_servers(section)));
    match found.or_else(|| Some(whole).filter(|whole| holds_servers(whole)))? {
        Value::Object(servers) => {
            let is_server = |(_, entry): &(&String, &Value)| keyed.is_some() || entry.is_object();
            Some(servers.iter().filter(is_server).map(|(name, entry)| (name.clone(), entry.clone())).collect())
        }
        // A list whose items say what they are called.
        Value::Array(servers) => {
            let named = servers.iter().enumerate().map(|(at, entry)| {
                let name = ["name", "id"].into_iter().find_map(|key| entry.get(key).and_then(Value::as_str));
                (name.map_or_else(|| format!("server-{}", at + 1), str::to_owned), entry.clone())
            });
            Some(named.collect())
        }
        _ => None,
    }
}

/// Whether one of its members is a server, by its looks.
fn holds_servers(object: &Value) -> bool {
    const LOOKS: &[&str] = &["command", "url", "serverUrl", "httpUrl"];
    let is_server = |entry: &Value| LOOKS.iter().any(|field| entry.get(*field).is_some());
    object.as_object().is_some_and(|members| members.values().any(is_server))
}

/// Whether an entry is switched off, in the words of different programs.
fn is_off(entry: &Value) -> bool {
    let says = |field: &str, word: bool| {
        entry.get(field).is_some_and(|value| {
            *value == Value::Bool(word)
                || value.as_str().is_some_and(|text| text.eq_ignore_ascii_case(&word.to_string()))
        })
    };
    says("disabled", true) || says("enabled", false) || says("isActive", false)
}

#[cfg(test)]
mod tests;
