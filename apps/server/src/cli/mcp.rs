//! `lockkeeper mcp ..`.

use super::examples;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The commands about MCP servers.
#[derive(Debug, Subcommand)]
pub(crate) enum McpCommand {
    /// Show the servers of a session, and where each is set.
    #[command(after_help = examples::MCP_LIST)]
    List(McpListArgs),
    /// Add a server to the configuration file. Its comments and its order stay as they are.
    #[command(after_help = examples::MCP_ADD)]
    Add(McpAddArgs),
    /// Copy servers into the configuration file, from the `mcpServers` of a desktop client, the `servers` of an editor or an
    /// `mcp-config.json`.
    #[command(after_help = examples::MCP_IMPORT)]
    Import(McpImportArgs),
    /// Start a server in a sandbox, and say how long each step takes and what is wrong. Exit code 1 where something is.
    #[command(after_help = examples::MCP_TEST)]
    Test(McpTestArgs),
    /// List the tools of a session, with what their servers say of them and which rule would decide.
    #[command(after_help = examples::MCP_TOOLS)]
    Tools(McpToolsArgs),
}

/// `lockkeeper mcp list`.
#[derive(Args, Debug)]
pub(crate) struct McpListArgs {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `lockkeeper mcp add`.
#[derive(Args, Debug)]
pub(crate) struct McpAddArgs {
    /// What to call it: letters, digits, `_` and `-`.
    #[arg(value_name = "NAME", value_parser = server_name)]
    pub(crate) name: String,
    /// A variable of its environment. Can be repeated. `${VAR}` keeps a secret out of the file.
    #[arg(long, value_name = "NAME=VALUE", value_parser = variable)]
    pub(crate) env: Vec<(String, String)>,
    /// Show what would be added, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The program and its arguments, as seen from inside the sandbox. `{workspace}` stands for the session's workspace.
    #[arg(value_name = "COMMAND", required = true, last = true)]
    pub(crate) command: Vec<String>,
}

/// `lockkeeper mcp import`.
#[derive(Args, Debug)]
pub(crate) struct McpImportArgs {
    /// The JSON file. It can also be used as it is, by `mcp.config_file`.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Show what would be added, and change nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `lockkeeper mcp test`.
#[derive(Args, Debug)]
pub(crate) struct McpTestArgs {
    /// The server.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Go on where nothing isolates the server from this machine.
    #[arg(long)]
    pub(crate) accept_no_isolation: bool,
}

/// `lockkeeper mcp tools`.
#[derive(Args, Debug)]
pub(crate) struct McpToolsArgs {
    /// Of this server alone.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Judge calls of this user: without authentication, everyone is `local`.
    #[arg(long, value_name = "USER", default_value = "local")]
    pub(crate) user: String,
    /// Print JSON, with descriptions and schemas.
    #[arg(long)]
    pub(crate) json: bool,
    /// Go on where nothing isolates the servers from this machine.
    #[arg(long)]
    pub(crate) accept_no_isolation: bool,
}

fn server_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match text {
        "workspace" => Err("the built-in server is called so; choose another name".to_owned()),
        _ if (1..=64).contains(&text.len()) && text.chars().all(fits) => Ok(text.to_owned()),
        _ => Err("a server's name has 1 to 64 letters, digits, `_` and `-`".to_owned()),
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    if name.is_empty() { Err("the variable has no name".to_owned()) } else { Ok((name.to_owned(), value.to_owned())) }
}
