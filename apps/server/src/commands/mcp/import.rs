//! `lockkeeper mcp import`.

use super::{add::finish, file::ConfigFile};
use crate::{
    cli::{Cli, McpImportArgs},
    config::mcp_servers::{Imported, parse},
    exit::Stop,
};
use anyhow::{Context as _, anyhow};
use std::{fs, process::ExitCode};

/// Copies the servers of a JSON file into the configuration file.
pub(super) fn import(cli: &Cli, args: &McpImportArgs) -> Result<ExitCode, Stop> {
    let text = fs::read_to_string(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
    let Imported { servers, problems, left_out, notices } = parse(&text, &args.file);
    if !problems.is_empty() {
        return Err(Stop::Configuration(problems));
    }
    let loaded = super::super::loaded(cli)?;
    let taken: Vec<_> = servers.iter().filter(|server| loaded.config.mcp_servers.contains_key(&server.name)).collect();
    if !taken.is_empty() {
        let names: Vec<_> = taken.iter().map(|server| format!("`{}`", server.name)).collect();
        let names = names.join(", ");
        return Err(
            anyhow!("the configuration has MCP servers of these names: {names}; rename or remove one of each").into()
        );
    }
    for notice in notices {
        eprintln!("lockkeeper: note: {notice}");
    }
    for left in left_out {
        eprintln!("lockkeeper: note: {}: left out: {}; to mend it, {}", left.origin, left.what, left.fix);
    }
    if servers.is_empty() {
        return Err(anyhow!("{} has no MCP server that can be imported", args.file.display()).into());
    }
    let mut file = ConfigFile::open(cli)?;
    for server in &servers {
        file.add(&server.name, &server.entry)?;
    }
    finish(cli, &file, args.dry_run)?;
    Ok(ExitCode::SUCCESS)
}
