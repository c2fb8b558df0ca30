//! The MCP servers of a session: the built-in one, those of `[mcp_servers]`, and those of a JSON file.

mod advice;
mod import;
mod launchers;

pub(crate) use import::{Imported, parse, read};

use super::{
    Loaded, McpServerEntry, RuntimeKind,
    expand::{ExpandError, expand, is_reference},
    problem::{Kind, Origin, Problem},
};
use lockkeeper_domain::ServerName;
use lockkeeper_ports::McpServer;
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::BTreeMap,
    fs, mem,
    path::{Path, PathBuf},
};

/// The name of the built-in server.
pub(crate) const WORKSPACE: &str = "workspace";
/// Its program.
const WORKSPACE_PROGRAM: &str = "lockkeeper-workspace";
/// Where an image has it.
const WORKSPACE_IN_IMAGES: &str = lockkeeper_docker_runtime::image::WORKSPACE_PROGRAM;

/// The servers that a configuration names.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    /// The built-in one first.
    pub(crate) all: Vec<McpServer>,
    /// Where each of them is set, by its name; the built-in one is nowhere.
    pub(crate) origins: BTreeMap<String, Origin>,
    /// The program of the built-in one, which sandboxes must be able to read.
    pub(crate) workspace_program: Option<PathBuf>,
    pub(crate) problems: Vec<Problem>,
    /// Servers of a JSON file that cannot run here, or are odd. Another program wrote the file, and one of its entries never
    /// keeps the others, or the server, from starting.
    pub(crate) left_out: Vec<Problem>,
    pub(crate) notices: Vec<String>,
    /// What is known against servers that are started all the same, by their names.
    pub(crate) advice: BTreeMap<String, String>,
}

impl Servers {
    /// What to say of them: what is odd, and what is wrong.
    pub(crate) fn tell(&mut self) -> (Vec<String>, Vec<Problem>) {
        let (mut notices, problems) = (mem::take(&mut self.notices), mem::take(&mut self.problems));
        notices.extend(mem::take(&mut self.left_out).iter().map(left_out));
        let advice = self.advice.iter().map(|(name, advice)| format!("MCP server `{name}`: {advice}"));
        notices.extend(advice);
        (notices, problems)
    }
}

/// What to say of a server that is left out.
pub(crate) fn left_out(left: &Problem) -> String {
    format!("{}: left out: {}; to fix it, {}", left.origin, left.what, left.fix)
}

/// A server and where its settings are.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) entry: McpServerEntry,
    /// The path of its settings, as in `mcp_servers.web`.
    path: String,
    origin: Origin,
    /// Where its fields are, by their paths below it, as in `args.1`, where that is known.
    fields: BTreeMap<String, Origin>,
    /// Whether a file of another program's has it: then it is left out where it is wrong.
    is_imported: bool,
}

impl Named {
    /// Where a field is: in its own place, or where what encloses it is.
    fn origin_of(&self, field: &str) -> &Origin {
        let enclosing = field.split_once('.').map_or(field, |(enclosing, _)| enclosing);
        self.fields.get(field).or_else(|| self.fields.get(enclosing)).unwrap_or(&self.origin)
    }
}

/// All servers, for sandboxes of this runtime. `executable` is the program that runs, beside which the built-in server
/// lies, unless an image holds it.
pub(crate) fn servers(loaded: &Loaded, executable: &Path, runtime: RuntimeKind) -> Servers {
    let mut found = Servers::default();
    let mcp = &loaded.config.mcp;
    match runtime {
        RuntimeKind::Local if mcp.workspace => built_in(loaded, executable, &mut found),
        RuntimeKind::Docker if mcp.workspace => found.all.push(workspace_server(WORKSPACE_IN_IMAGES)),
        _ => {}
    }
    let mut named: Vec<Named> = loaded
        .config
        .mcp_servers
        .iter()
        .map(|(name, entry)| {
            let path = format!("mcp_servers.{name}");
            let numbered = (0..entry.args.len()).map(|at| format!("args.{at}"));
            let named = entry.env.keys().map(|variable| format!("env.{variable}"));
            let fields = numbered.chain(named).chain(["command".to_owned()]);
            let fields = fields.map(|field| (field.clone(), loaded.origin(&format!("{path}.{field}")))).collect();
            let (origin, entry) = (loaded.origin(&path), entry.clone());
            Named { name: name.clone(), entry, origin, path, fields, is_imported: false }
        })
        .collect();
    if let Some(file) = &mcp.config_file {
        named.extend(imported(loaded, file, &mut found));
    }
    for server in named {
        let (expanded, problems) = match expanded(&server, &loaded.variables, &found) {
            Ok(expanded) => expanded,
            Err(conflict) if server.is_imported => {
                found.left_out.push(*conflict);
                continue;
            }
            Err(conflict) => {
                found.problems.push(*conflict);
                continue;
            }
        };
        if server.is_imported && !problems.is_empty() {
            found.left_out.extend(problems.into_iter().next());
            continue;
        }
        found.problems.extend(problems);
        let advice = advice::of(&expanded, loaded, runtime);
        found.advice.extend(advice.clone().map(|advice| (server.name.clone(), advice)));
        found.origins.insert(server.name, server.origin);
        found.all.push(McpServer { advice, ..expanded });
    }
    found
}

fn workspace_server(program: &str) -> McpServer {
    let words = [program, "serve", "--root", "{workspace}"].map(str::to_owned);
    McpServer {
        name: ServerName::new(WORKSPACE),
        command: words.to_vec(),
        env: BTreeMap::new(),
        tools: None,
        advice: None,
    }
}

fn built_in(loaded: &Loaded, executable: &Path, found: &mut Servers) {
    let key = "mcp.workspace_program";
    let set = loaded.config.mcp.workspace_program.as_ref().map(|program| loaded.dir.join(program));
    let program = set.unwrap_or_else(|| executable.with_file_name(WORKSPACE_PROGRAM));
    match fs::canonicalize(&program) {
        Ok(program) => {
            found.all.push(workspace_server(&program.to_string_lossy()));
            found.workspace_program = Some(program);
        }
        Err(error) => found.problems.push(Problem {
            kind: Kind::Missing,
            key: key.to_owned(),
            origin: loaded.origin(key),
            what: format!("the built-in MCP server {} cannot be found: {error}", program.display()),
            fix: format!(
                "build it with `cargo build -p {WORKSPACE_PROGRAM}`, or set `{key}`, or do without it by `mcp.workspace = false`"
            ),
        }),
    }
}

/// Whether a JSON file holds a variable's value for a server, and not merely its name.
pub(super) fn holds_secrets(path: &Path) -> bool {
    let Ok(text) = read(path) else { return false };
    let servers = parse(&text, path).servers;
    let mut values = servers.iter().flat_map(|server| server.entry.env.values()).map(ExposeSecret::expose_secret);
    values.any(|value| !value.is_empty() && !is_reference(value))
}

fn imported(loaded: &Loaded, file: &Path, found: &mut Servers) -> Vec<Named> {
    let key = "mcp.config_file";
    let path = loaded.dir.join(file);
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) => {
            found.problems.push(Problem {
                kind: Kind::Unreadable,
                key: key.to_owned(),
                origin: loaded.origin(key),
                what: format!("{} cannot be read: {error}", file.display()),
                fix: format!("name a JSON file with `mcpServers`, or remove `{key}`"),
            });
            return Vec::new();
        }
    };
    let Imported { servers, problems, left_out, notices } = parse(&text, &path);
    found.problems.extend(problems);
    found.left_out.extend(left_out);
    found.notices.extend(notices);
    servers
}

/// A server with its references replaced, and what is wrong with them. Fails where another server has its name.
fn expanded(
    server: &Named,
    variables: &BTreeMap<String, String>,
    found: &Servers,
) -> Result<(McpServer, Vec<Problem>), Box<Problem>> {
    let Named { name, entry, path, origin, .. } = server;
    if found.all.iter().any(|known| known.name.as_str() == name.as_str()) {
        return Err(Box::new(Problem {
            kind: Kind::Conflict,
            key: path.clone(),
            origin: origin.clone(),
            what: format!("there is another MCP server called `{name}`"),
            fix: "rename one of them (the built-in one goes with `mcp.workspace = false`)".to_owned(),
        }));
    }
    let mut problems = Vec::new();
    let mut expanded = |field: &str, text: &str| {
        expand(text, |name| variables.get(name).cloned()).unwrap_or_else(|error| {
            problems.push(unexpandable(name, path, field, server.origin_of(field), &error));
            String::new()
        })
    };
    let mut command = vec![expanded("command", &entry.command)];
    command.extend(entry.args.iter().enumerate().map(|(at, arg)| expanded(&format!("args.{at}"), arg)));
    let env: BTreeMap<String, SecretString> = entry
        .env
        .iter()
        .map(|(variable, value)| {
            let value = expanded(&format!("env.{variable}"), value.expose_secret());
            (variable.clone(), SecretString::from(value))
        })
        .collect();
    let tools = entry.tools.as_ref().map(|tools| tools.iter().cloned().collect());
    Ok((McpServer { name: ServerName::new(name.as_str()), command, env, tools, advice: None }, problems))
}

fn unexpandable(server: &str, path: &str, field: &str, origin: &Origin, error: &ExpandError) -> Problem {
    let (kind, fix) = match error {
        ExpandError::Unset(variable) if variable.starts_with("input:") => (
            Kind::Unsupported,
            "editors ask for inputs, and a server has nobody to ask: set a variable and write `${env:NAME}`".to_owned(),
        ),
        ExpandError::Unset(variable) => {
            (Kind::UnsetVariable, format!("set {variable}, or write a default as in `${{{variable}:-value}}`"))
        }
        ExpandError::Open => (Kind::Syntax, "close the reference with `}`".to_owned()),
    };
    Problem {
        kind,
        key: format!("{path}.{field}"),
        origin: origin.clone(),
        what: format!("MCP server `{server}`, field `{field}`: {error}"),
        fix,
    }
}
