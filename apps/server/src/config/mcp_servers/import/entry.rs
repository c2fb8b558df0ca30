//! One server of a JSON file.

use super::{File, Imported, words};
use crate::config::{McpServerEntry, mcp_servers::Named, problem::Kind, suggest};
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, path::Path};

/// The image of an earlier orchestrator, mcp-orchestrator, whose file and command tools are those of `workspace`.
const FILE_TOOLS_IMAGE: &str = "mcp-server";

/// What has a meaning here.
const KNOWN: &[&str] = &[
    "command",
    "args",
    "env",
    "environment",
    "containerEnv",
    "type",
    "transport",
    "disabled",
    "enabled",
    "isActive",
    "description",
    "tools",
    "includeTools",
    "name",
    "source",
];

/// Fields with the address of a server that is spoken with over HTTP, as different programs call it.
const ADDRESSES: &[&str] = &["url", "serverUrl", "httpUrl", "uri", "endpoint"];

/// What other programs keep beside the command, and what is instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("autoApprove", "nobody is let through the gate by it; `[[policy.rules]]` does that"),
    ("alwaysAllow", "nobody is let through the gate by it; `[[policy.rules]]` does that"),
    ("containerImage", "the image of a session's sandbox is `sandbox.docker.image`, for all of its servers"),
    ("containerMemory", "the memory of a session's sandbox is `sandbox.docker.memory_bytes`, for all of its servers"),
    ("containerCpu", "the processors of a session's sandbox are `sandbox.docker.cpu_millis`, for all of its servers"),
    ("toolPrefix", "a tool is called SERVER__TOOL for the model: give the server the name that it shall begin with"),
    ("cwd", "a server starts in its sandbox's workspace"),
    ("workingDirectory", "a server starts in its sandbox's workspace"),
    ("trust", "nobody is let through the gate by it; `[[policy.rules]]` does that"),
    ("timeout", "how long a server may take is set by `mcp.limits`, for all servers"),
    ("excludeTools", "name the tools that are wanted in `tools` instead"),
    ("disabledTools", "name the tools that are wanted in `tools` instead"),
    ("envFile", "variables are written into `env`, as `${NAME}` where they come from the environment"),
];

/// How a server is spoken with.
enum Transport {
    /// Over the standard input and output of a process in the sandbox.
    Stdio,
    /// The same, in a container of its own image.
    Docker,
    /// Over HTTP; and the field that says so.
    Remote(&'static str),
}

impl File<'_> {
    pub(super) fn server(&mut self, name: &str, entry: &Value, found: &mut Imported) {
        let flat;
        let entry = match entry {
            Value::Object(entry) => match entry.get("command") {
                // Editors write the program, its arguments and its variables into an object of their own.
                Some(Value::Object(command)) => {
                    flat = flattened(entry, command);
                    &flat
                }
                _ => entry,
            },
            Value::Null | Value::Bool(false) => return,
            _ => {
                let what = format!("MCP server `{name}` is no object");
                return self.leave_out(found, Kind::WrongType, name, "", what, "write it as an object");
            }
        };
        match self.transport(name, entry, found) {
            None => {}
            Some(Transport::Remote(field)) => {
                let what = format!(
                    "MCP server `{name}`, field `{field}`: servers run in the session's sandbox here, and one that is reached over \
                     HTTP cannot be used"
                );
                let fix = "run the server by its `command`, remove it, or set `\"disabled\": true` in it";
                self.leave_out(found, Kind::Unsupported, name, field, what, fix);
            }
            Some(Transport::Docker) if !entry.contains_key("command") => self.image_alone(name, entry, found),
            Some(Transport::Stdio | Transport::Docker) => self.process(name, entry, found),
        }
    }

    fn transport(&self, name: &str, entry: &Map<String, Value>, found: &mut Imported) -> Option<Transport> {
        let address = ADDRESSES.iter().copied().find(|field| entry.get(*field).is_some_and(Value::is_string));
        let has_command = entry.get("command").is_some_and(|command| !command.is_null());
        let field =
            ["transport", "type"].into_iter().find(|field| entry.get(*field).is_some_and(|kind| !kind.is_null()));
        let Some(field) = field else {
            return Some(address.filter(|_| !has_command).map_or(Transport::Stdio, Transport::Remote));
        };
        match entry[field].as_str().unwrap_or_default().to_ascii_lowercase().as_str() {
            // `local` is what some programs call it.
            "stdio" | "local" | "command" | "process" => Some(Transport::Stdio),
            "stdio-docker" => Some(Transport::Docker),
            "http" | "https" | "sse" | "ws" | "websocket" | "streamable-http" | "streamable_http"
            | "streamablehttp" | "http-stream" | "remote" => Some(Transport::Remote(field)),
            other => {
                let names = ["stdio", "stdio-docker", "http", "sse"];
                let near = suggest::nearest(other, names).map(|near| format!("; did you mean `{near}`?"));
                let near = near.unwrap_or_default();
                let what = format!("MCP server `{name}`, field `{field}`: `{other}` is no transport{near}");
                if has_command {
                    let told = self.origin(name, field);
                    found.notices.push(format!(
                        "{told}: {what}; it is started by its `command`, over standard input and output"
                    ));
                    return Some(Transport::Stdio);
                }
                let fix = "set it to \"stdio\", and `command` to the program";
                self.leave_out(found, Kind::BadValue, name, field, what, fix);
                None
            }
        }
    }

    /// A server that its image starts by itself. Here a sandbox has one image, and servers have commands.
    fn image_alone(&self, name: &str, entry: &Map<String, Value>, found: &mut Imported) {
        let image = entry.get("containerImage").and_then(Value::as_str).unwrap_or_default();
        let called = image.rsplit('/').next().unwrap_or(image);
        if called.split([':', '@']).next() == Some(FILE_TOOLS_IMAGE) {
            found.notices.push(format!(
                "{}: MCP server `{name}`, field `containerImage`: the built-in server `workspace` stands in for the file and \
                 command tools of {image}",
                self.origin(name, "containerImage")
            ));
            return;
        }
        let what = format!(
            "MCP server `{name}`, field `containerImage`: all servers of a session run in one sandbox, and `{image}` is not its image"
        );
        let fix = "put the server into `sandbox.docker.image` (`lockkeeper image build --add FILE:PATH`), and name its `command`";
        self.leave_out(found, Kind::Unsupported, name, "containerImage", what, fix);
    }

    fn process(&self, name: &str, entry: &Map<String, Value>, found: &mut Imported) {
        let Some((command, mut args)) = self.command(name, entry, found) else { return };
        let Some(more) = self.arguments(name, entry, found) else { return };
        args.extend(more);
        let mut env = BTreeMap::new();
        for field in ["env", "environment", "containerEnv"] {
            let Some(variables) = self.environment(name, entry, field, found) else { return };
            env.extend(variables);
        }
        let tools = self.tools(name, entry, found);
        self.tell_ignored(name, entry, found);
        let place = |text: &str| words::placed(text, self.path);
        let env =
            env.into_iter().map(|(variable, value)| (variable, SecretString::from(words::variable(&place(&value)))));
        let entry = McpServerEntry {
            command: place(&command),
            args: args.iter().map(|arg| place(arg)).collect(),
            env: env.collect(),
            tools,
        };
        let fields = ["command", "args", "env"].map(|field| (field.to_owned(), self.origin(name, field)));
        found.servers.push(Named {
            name: name.to_owned(),
            entry,
            path: format!("mcpServers.{name}"),
            origin: self.origin(name, ""),
            fields: BTreeMap::from(fields),
            is_imported: true,
        });
    }

    /// The program, and the arguments that are written with it.
    fn command(&self, name: &str, entry: &Map<String, Value>, found: &mut Imported) -> Option<(String, Vec<String>)> {
        let mut words: Vec<String> = match entry.get("command") {
            Some(Value::String(command)) => vec![command.trim().to_owned()],
            Some(Value::Array(words)) => words.iter().filter_map(words::scalar).collect(),
            _ => Vec::new(),
        };
        let has_args = entry.get("args").is_some_and(|args| args.as_array().is_some_and(|args| !args.is_empty()));
        if let [whole] = words.as_slice()
            && !has_args
            && whole.contains(char::is_whitespace)
            && !Path::new(whole).exists()
        {
            let (told, shown) = (self.origin(name, "command"), whole.split_whitespace().next().unwrap_or_default());
            found.notices.push(format!(
                "{told}: MCP server `{name}`, field `command`: what follows `{shown}` is taken for its arguments, which belong into `args`"
            ));
            words = whole.split_whitespace().map(str::to_owned).collect();
        }
        let mut words = words.into_iter();
        let Some(command) = words.next().filter(|command| !command.is_empty()) else {
            let slip = unknown(entry).find(|key| suggest::nearest(key, ["command"]).is_some());
            let what = format!("MCP server `{name}` has no `command`");
            let fix = match slip {
                Some(slip) => format!("did you mean `command`? Rename `{slip}`"),
                None => "add `\"command\": \"PROGRAM\"`".to_owned(),
            };
            self.leave_out(found, Kind::Missing, name, slip.unwrap_or_default(), what, &fix);
            return None;
        };
        Some((command, words.collect()))
    }

    fn arguments(&self, name: &str, entry: &Map<String, Value>, found: &mut Imported) -> Option<Vec<String>> {
        let args = match entry.get("args") {
            None | Some(Value::Null) => return Some(Vec::new()),
            Some(Value::Array(args)) => args.iter().filter(|arg| !arg.is_null()).map(words::scalar).collect(),
            Some(Value::String(args)) => Some(args.split_whitespace().map(str::to_owned).collect()),
            Some(_) => None,
        };
        if args.is_none() {
            let what = format!("MCP server `{name}`, field `args`: this is no array of strings");
            self.leave_out(found, Kind::WrongType, name, "args", what, "put each argument into quotes");
        }
        args
    }

    fn environment(
        &self,
        name: &str,
        entry: &Map<String, Value>,
        field: &str,
        found: &mut Imported,
    ) -> Option<BTreeMap<String, String>> {
        let named = |pair: &Value| {
            let text = |field| pair.get(field).and_then(words::scalar);
            let split = |text: &str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
            pair.as_str().and_then(split).or_else(|| Some((text("name")?, text("value")?)))
        };
        let variables = match entry.get(field) {
            None | Some(Value::Null) => return Some(BTreeMap::new()),
            // A variable of nothing is none.
            Some(Value::Object(env)) => env
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(variable, value)| Some((variable.clone(), words::scalar(value)?)))
                .collect(),
            Some(Value::Array(env)) => env.iter().map(named).collect(),
            Some(_) => None,
        };
        if variables.is_none() {
            let what = format!("MCP server `{name}`, field `{field}`: this is no object of strings");
            self.leave_out(found, Kind::WrongType, name, field, what, "put each value into quotes");
        }
        variables
    }

    /// The tools that the server is to offer; `None` for all.
    fn tools(&self, name: &str, entry: &Map<String, Value>, found: &mut Imported) -> Option<Vec<String>> {
        let field =
            ["tools", "includeTools"].into_iter().find(|field| entry.get(*field).is_some_and(|it| !it.is_null()))?;
        let names =
            entry[field].as_array().and_then(|all| all.iter().map(|one| one.as_str().map(str::to_owned)).collect());
        let names: Option<Vec<String>> = names;
        if names.is_none() {
            let told = self.origin(name, field);
            found.notices.push(format!(
                "{told}: MCP server `{name}`, field `{field}`: this is no array of names; all tools are offered"
            ));
        }
        names.filter(|names| !names.iter().any(|name| name == "*"))
    }

    fn tell_ignored(&self, name: &str, entry: &Map<String, Value>, found: &mut Imported) {
        for key in unknown(entry) {
            let near = || {
                suggest::nearest(key, KNOWN.iter().copied())
                    .map(|near| format!("it is ignored; did you mean `{near}`?"))
            };
            let elsewhere = ELSEWHERE.iter().find(|(field, _)| *field == key).map(|(_, instead)| (*instead).to_owned());
            let what = elsewhere.or_else(near).unwrap_or_else(|| "it has no meaning here".to_owned());
            found.notices.push(format!("{}: MCP server `{name}`, field `{key}`: {what}", self.origin(name, key)));
        }
    }
}

/// An entry whose `command` is an object, with that object's fields in it.
fn flattened(entry: &Map<String, Value>, command: &Map<String, Value>) -> Map<String, Value> {
    let mut flat = entry.clone();
    flat.remove("command");
    for (field, value) in command {
        flat.insert(if field == "path" { "command".to_owned() } else { field.clone() }, value.clone());
    }
    flat
}

fn unknown(entry: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let is_known = |key: &&str| KNOWN.contains(key) || ADDRESSES.contains(key);
    entry.keys().map(String::as_str).filter(move |key| !is_known(key))
}
