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
    let entry = McpServerEntry { command: command.clone(), args: arguments.to_vec(), env: env.collect(), tools: None };
    file.add(&args.name, &entry)?;
    finish(cli, &file, args.dry_run)?;
    eprintln!("lockkeeper: `lockkeeper mcp test {}` tries it out", args.name);
    Ok(ExitCode::SUCCESS)
}

/// Shows what changes, and changes it.
pub(super) fn finish(cli: &Cli, file: &ConfigFile, dry_run: bool) -> Result<(), Stop> {
    let path = file.path().display();
    // Both say the same, and what would go wrong does so here.
    let notices = if dry_run { file.check(cli)? } else { file.write(cli)? };
    print!("{}", file.change());
    eprintln!("lockkeeper: these lines {} added to {path}", if dry_run { "would be" } else { "were" });
    for notice in notices {
        eprintln!("lockkeeper: note: {notice}");
    }
    Ok(())
}
