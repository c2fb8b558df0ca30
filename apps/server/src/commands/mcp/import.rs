//! `lockkeeper mcp import`.

use super::{add::finish, file::ConfigFile, private};
use crate::{
    cli::{Cli, McpImportArgs},
    config::mcp_servers::{Imported, left_out, parse, read},
    exit::Stop,
};
use anyhow::{Context as _, anyhow};
use std::process::ExitCode;

/// Copies the servers of a JSON file into the configuration file, and their secrets into a private one. What is odd is left out.
pub(super) fn import(cli: &Cli, args: &McpImportArgs) -> Result<ExitCode, Stop> {
    let text = read(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
    let Imported { servers, problems, left_out: odd, notices } = parse(&text, &args.file);
    if !problems.is_empty() {
        return Err(Stop::Configuration(problems));
    }
    let loaded = super::super::loaded(cli)?;
    let note = |notice: &str| eprintln!("lockkeeper: note: {notice}");
    for notice in notices.iter().cloned().chain(odd.iter().map(left_out)) {
        note(&notice);
    }
    let (taken, mut fresh): (Vec<_>, Vec<_>) =
        servers.into_iter().partition(|server| loaded.config.mcp_servers.contains_key(&server.name));
    for server in &taken {
        let origin = loaded.origin(&format!("mcp_servers.{}", server.name));
        note(&format!(
            "left out: there is an MCP server called `{}` at {origin}; rename or remove one of them",
            server.name
        ));
    }
    if fresh.is_empty() {
        return Err(anyhow!("{} has no MCP server that can be imported", args.file.display()).into());
    }
    let mut secrets = private::Private::default();
    let mut file = ConfigFile::open(cli)?;
    for server in &mut fresh {
        secrets.take(&server.name, &mut server.entry, &loaded.variables);
        file.add(&server.name, &server.entry)?;
    }
    let dotenv = private::file(&loaded.dir);
    if !args.dry_run {
        file.check(cli)?;
        // First: a configuration that refers to what is not there yet does not load.
        secrets.store(&dotenv)?;
    }
    finish(cli, &file, args.dry_run)?;
    secrets.notices(&dotenv, args.dry_run).iter().for_each(|notice| note(notice));
    Ok(ExitCode::SUCCESS)
}
