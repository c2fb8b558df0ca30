//! The MCP servers of a session: the built-in one, those of `[mcp_servers]`, and those of a JSON file.

mod import;

use super::{
    Loaded, McpServerEntry, RuntimeKind,
    expand::{ExpandError, expand},
    problem::{Kind, Origin, Problem},
};
use lockkeeper_domain::ServerName;
use lockkeeper_ports::McpServer;
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    collections::BTreeMap,
    fs,
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
    /// The program of the built-in one, which sandboxes must be able to read.
    pub(crate) workspace_program: Option<PathBuf>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) notices: Vec<String>,
}

/// A server and where its settings are.
struct Named {
    name: String,
    entry: McpServerEntry,
    /// The path of its settings, as in `mcp_servers.web`.
    path: String,
    origin: Origin,
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
            Named { name: name.clone(), entry: entry.clone(), origin: loaded.origin(&path), path }
        })
        .collect();
    if let Some(file) = &mcp.config_file {
        named.extend(imported(loaded, file, &mut found));
    }
    for server in named {
        add(server, &loaded.variables, &mut found);
    }
    found
}

fn workspace_server(program: &str) -> McpServer {
    let words = [program, "serve", "--root", "{workspace}"].map(str::to_owned);
    McpServer { name: ServerName::new(WORKSPACE), command: words.to_vec(), env: BTreeMap::new() }
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

fn imported(loaded: &Loaded, file: &Path, found: &mut Servers) -> Vec<Named> {
    let key = "mcp.config_file";
    let text = match fs::read_to_string(loaded.dir.join(file)) {
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
    let (servers, problems, notices) = import::parse(&text, file);
    found.problems.extend(problems);
    found.notices.extend(notices);
    servers
}

fn add(server: Named, variables: &BTreeMap<String, String>, found: &mut Servers) {
    let Named { name, entry, path, origin } = server;
    if found.all.iter().any(|known| known.name.as_str() == name) {
        found.problems.push(Problem {
            kind: Kind::Conflict,
            key: path,
            origin,
            what: format!("there is another MCP server called `{name}`"),
            fix: "rename one of them (the built-in one goes with `mcp.workspace = false`)".to_owned(),
        });
        return;
    }
    let mut expanded = |field: &str, text: &str| {
        expand(text, |name| variables.get(name).cloned()).unwrap_or_else(|error| {
            found.problems.push(unexpandable(&name, &path, field, &origin, &error));
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
    found.all.push(McpServer { name: ServerName::new(name), command, env });
}

fn unexpandable(server: &str, path: &str, field: &str, origin: &Origin, error: &ExpandError) -> Problem {
    let (kind, fix) = match error {
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
