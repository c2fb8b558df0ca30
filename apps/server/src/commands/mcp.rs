//! `lockkeeper mcp`.

mod add;
mod file;
mod import;
mod list;
mod private;
mod probe;
mod test;
mod tools;

use crate::{
    cli::{Cli, McpCommand},
    config::{Loaded, RuntimeKind, mcp_servers},
    exit::Stop,
};
use anyhow::Context as _;
use std::process::ExitCode;

/// Looks at MCP servers, and adds them to the configuration.
pub(crate) async fn mcp(cli: &Cli, command: &McpCommand) -> Result<ExitCode, Stop> {
    match command {
        McpCommand::List(args) => list::list(&super::loaded(cli)?, args.json),
        McpCommand::Add(args) => add::add(cli, args),
        McpCommand::Import(args) => import::import(cli, args),
        McpCommand::Test(args) => Box::pin(test::test(super::loaded(cli)?, args)).await,
        McpCommand::Tools(args) => Box::pin(tools::tools(super::loaded(cli)?, args)).await,
    }
}

/// The servers of the configuration, for sandboxes of this runtime; nothing of it may be wrong.
fn servers(loaded: &Loaded, runtime: RuntimeKind) -> Result<mcp_servers::Servers, Stop> {
    let executable = std::env::current_exe().context("the path of this program cannot be found out")?;
    let mut servers = mcp_servers::servers(loaded, &executable, runtime);
    let (notices, of_servers) = servers.tell();
    let mut problems = loaded.problems.clone();
    problems.extend(of_servers);
    if !problems.is_empty() {
        return Err(Stop::Configuration(problems));
    }
    for notice in loaded.notices.iter().chain(&notices) {
        eprintln!("lockkeeper: note: {notice}");
    }
    Ok(servers)
}
