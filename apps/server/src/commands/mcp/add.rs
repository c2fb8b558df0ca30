//! `lockkeeper mcp add`.

use super::file::ConfigFile;
use crate::{
    cli::{Cli, McpAddArgs},
    config::McpServerEntry,
    exit::Stop,
};
use anyhow::anyhow;
use std::process::ExitCode;

/// Adds a server to the configuration file.
pub(super) fn add(cli: &Cli, args: &McpAddArgs) -> Result<ExitCode, Stop> {
    let mut file = ConfigFile::open(cli)?;
    let loaded = super::super::loaded(cli)?;
    if loaded.config.mcp_servers.contains_key(&args.name) {
        let origin = loaded.origin(&format!("mcp_servers.{}", args.name));
        return Err(anyhow!(
            "there is an MCP server called `{}` at {origin}: remove it, or choose another name",
            args.name
        )
        .into());
    }
    let (command, arguments) = args.command.split_first().ok_or_else(|| anyhow!("a server has a command"))?;
    let env = args.env.iter().map(|(name, value)| (name.clone(), value.as_str().into()));
    let entry = McpServerEntry { command: command.clone(), args: arguments.to_vec(), env: env.collect() };
    file.add(&args.name, &entry)?;
    finish(cli, &file, args.dry_run)?;
    eprintln!("lockkeeper: `lockkeeper mcp test {}` tries it out", args.name);
    Ok(ExitCode::SUCCESS)
}

/// Shows what changes, and changes it.
pub(super) fn finish(cli: &Cli, file: &ConfigFile, dry_run: bool) -> Result<(), Stop> {
    print!("{}", file.change());
    let path = file.path().display();
    if dry_run {
        eprintln!("lockkeeper: these lines would be added to {path}");
        return Ok(());
    }
    file.write(cli)?;
    eprintln!("lockkeeper: these lines were added to {path}");
    Ok(())
}
