//! `lockkeeper mcp list`.

use crate::{
    config::{Loaded, RuntimeKind},
    exit::Stop,
};
use lockkeeper_ports::McpServer;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Shows the servers of a session, and where each is set.
pub(super) fn list(loaded: &Loaded, as_json: bool) -> Result<ExitCode, Stop> {
    let runtime = loaded.config.sandbox.runtime.unwrap_or(RuntimeKind::Local);
    let servers = super::servers(loaded, runtime)?;
    let origin = |server: &McpServer| {
        servers.origins.get(server.name.as_str()).map_or_else(|| "built in".to_owned(), ToString::to_string)
    };
    if as_json {
        let told = servers.all.iter().map(|server| {
            let variables: Vec<_> = server.env.keys().collect();
            json!({
                "name": server.name, "command": server.command, "env": variables, "origin": origin(server),
                "tools": server.tools, "advice": server.advice,
            })
        });
        println!("{:#}", told.collect::<Value>());
        return Ok(ExitCode::SUCCESS);
    }
    let width = servers.all.iter().map(|server| server.name.as_str().len()).max().unwrap_or_default();
    for server in &servers.all {
        println!("{:<width$}  {}  # {}", server.name.as_str(), shown(&server.command), origin(server));
    }
    if servers.all.is_empty() {
        eprintln!("lockkeeper: there are no MCP servers; `lockkeeper mcp add NAME -- COMMAND` adds one");
    }
    Ok(ExitCode::SUCCESS)
}

/// A command in one line; what a shell would take apart stands in quotes.
pub(super) fn shown(command: &[String]) -> String {
    let is_plain =
        |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@,+{}".contains(c));
    let word = |word: &String| if is_plain(word) { word.clone() } else { format!("'{}'", word.replace('\'', r"'\''")) };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_given_to_a_shell_as_it_is_shown() {
        let words = ["node", "/opt/a b.js", "it's", "", "--root={workspace}"].map(str::to_owned);
        assert_eq!(shown(&words), r"node '/opt/a b.js' 'it'\''s' '' --root={workspace}");
    }
}
