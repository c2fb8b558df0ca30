//! One server of a JSON file.

use super::{File, Imported};
use crate::config::{McpServerEntry, mcp_servers::Named, problem::Kind, suggest};
use secrecy::SecretString;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The image of an earlier orchestrator, mcp-orchestrator, whose file and command tools are those of `workspace`.
const FILE_TOOLS_IMAGE: &str = "mcp-server";

/// What has a meaning here.
const KNOWN: &[&str] =
    &["command", "args", "env", "containerEnv", "type", "transport", "disabled", "enabled", "description"];

/// What other programs keep beside the command, and what is instead.
const ELSEWHERE: &[(&str, &str)] = &[
    ("autoApprove", "nobody is let through the gate by it; `[[policy.rules]]` does that"),
    ("alwaysAllow", "nobody is let through the gate by it; `[[policy.rules]]` does that"),
    ("containerImage", "the image of a session's sandbox is `sandbox.docker.image`, for all of its servers"),
    ("containerMemory", "the memory of a session's sandbox is `sandbox.docker.memory_bytes`, for all of its servers"),
    ("containerCpu", "the processors of a session's sandbox are `sandbox.docker.cpu_millis`, for all of its servers"),
    ("toolPrefix", "a tool is called SERVER__TOOL for the model: give the server the name that it shall begin with"),
    ("cwd", "a server starts in its sandbox's workspace"),
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
        let Value::Object(entry) = entry else {
            let what = format!("MCP server `{name}` is no object");
            return self.problem(found, Kind::WrongType, name, "", what, "write it as an object");
        };
        match self.transport(name, entry, found) {
            None => {}
            Some(Transport::Remote(field)) => {
                let what = format!(
                    "MCP server `{name}`, field `{field}`: servers run in the session's sandbox here, and one that is reached over \
                     HTTP cannot be used"
                );
                let fix = "run the server by its `command`, remove it, or set `\"disabled\": true` in it";
                let left_out = self.at(Kind::Unsupported, name, field, what, fix);
                found.left_out.push(left_out);
            }
            Some(Transport::Docker) if !entry.contains_key("command") => self.image_alone(name, entry, found),
            Some(Transport::Stdio | Transport::Docker) => self.process(name, entry, found),
        }
    }

    fn transport(&self, name: &str, entry: &Map<String, Value>, found: &mut Imported) -> Option<Transport> {
        let field = ["transport", "type"].into_iter().find(|field| entry.contains_key(*field));
        let Some(field) = field else {
            return Some(if entry.contains_key("url") { Transport::Remote("url") } else { Transport::Stdio });
        };
        match entry[field].as_str().unwrap_or_default() {
            "stdio" => Some(Transport::Stdio),
            "stdio-docker" => Some(Transport::Docker),
            "http" | "sse" | "ws" | "streamable-http" | "streamableHttp" => Some(Transport::Remote(field)),
            other => {
                let names = ["stdio", "stdio-docker", "http", "sse"];
                let near = suggest::nearest(other, names).map(|near| format!("; did you mean `{near}`?"));
                let what = format!(
                    "MCP server `{name}`, field `{field}`: `{other}` is no transport{}",
                    near.unwrap_or_default()
                );
                self.problem(
                    found,
                    Kind::BadValue,
                    name,
                    field,
                    what,
                    "set it to \"stdio\", and `command` to the program",
                );
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
        let left_out = self.at(Kind::Unsupported, name, "containerImage", what, fix);
        found.left_out.push(left_out);
    }

    fn process(&self, name: &str, entry: &Map<String, Value>, found: &mut Imported) {
        let command = self.command(name, entry, found);
        let args = self.arguments(name, entry, found);
        let env = self.environment(name, entry, "env", found);
        let more = self.environment(name, entry, "containerEnv", found);
        let (Some(command), Some(args), Some(mut env), Some(more)) = (command, args, env, more) else { return };
        env.extend(more);
        self.tell_ignored(name, entry, found);
        let fields = ["command", "args", "env"].map(|field| (field.to_owned(), self.origin(name, field)));
        found.servers.push(Named {
            name: name.to_owned(),
            entry: McpServerEntry { command, args, env },
            path: format!("mcpServers.{name}"),
            origin: self.origin(name, ""),
            fields: BTreeMap::from(fields),
        });
    }

    fn command(&self, name: &str, entry: &Map<String, Value>, found: &mut Imported) -> Option<String> {
        let command = entry.get("command").and_then(Value::as_str).filter(|command| !command.is_empty());
        if command.is_none() {
            let slip = unknown(entry).find(|key| suggest::nearest(key, ["command"]).is_some());
            let what = format!("MCP server `{name}` has no `command`");
            let fix = match slip {
                Some(slip) => format!("did you mean `command`? Rename `{slip}`"),
                None => "add `\"command\": \"PROGRAM\"`".to_owned(),
            };
            self.problem(found, Kind::Missing, name, slip.unwrap_or_default(), what, &fix);
        }
        command.map(str::to_owned)
    }

    fn arguments(&self, name: &str, entry: &Map<String, Value>, found: &mut Imported) -> Option<Vec<String>> {
        let Some(args) = entry.get("args") else { return Some(Vec::new()) };
        let strings = args
            .as_array()
            .and_then(|args| args.iter().map(|arg| arg.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
        if strings.is_none() {
            let what = format!("MCP server `{name}`, field `args`: this is no array of strings");
            self.problem(found, Kind::WrongType, name, "args", what, "put each argument into quotes");
        }
        strings
    }

    fn environment(
        &self,
        name: &str,
        entry: &Map<String, Value>,
        field: &str,
        found: &mut Imported,
    ) -> Option<BTreeMap<String, SecretString>> {
        let Some(env) = entry.get(field) else { return Some(BTreeMap::new()) };
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
            let what = format!("MCP server `{name}`, field `{field}`: this is no object of strings");
            self.problem(found, Kind::WrongType, name, field, what, "put each value into quotes");
        }
        variables
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

fn unknown(entry: &Map<String, Value>) -> impl Iterator<Item = &str> {
    entry.keys().map(String::as_str).filter(|key| !KNOWN.contains(key))
}
