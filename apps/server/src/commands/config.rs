//! `lockkeeper config`.

use crate::{
    cli::{Cli, ConfigCommand},
    config::{Mode, Problem, RuntimeKind, check, mcp_servers, show},
    exit::Stop,
};
use anyhow::Context as _;
use std::process::ExitCode;

/// Shows or checks the configuration.
pub(crate) fn config(cli: &Cli, command: &ConfigCommand) -> Result<ExitCode, Stop> {
    let loaded = super::loaded(cli)?;
    let mut problems: Vec<Problem> = loaded.problems.clone();
    match command {
        ConfigCommand::Show { origin } => print!("{}", show(&loaded, *origin)),
        ConfigCommand::Check { dev } => {
            let executable = std::env::current_exe().context("the path of this program cannot be found out")?;
            let servers =
                mcp_servers::servers(&loaded, &executable, loaded.config.sandbox.runtime.unwrap_or(RuntimeKind::Local));
            problems.extend(check(&loaded, if *dev { Mode::Dev } else { Mode::Serve }));
            problems.extend(servers.problems);
            for notice in loaded.notices.iter().chain(&servers.notices) {
                eprintln!("lockkeeper: note: {notice}");
            }
        }
    }
    if !problems.is_empty() {
        return Err(Stop::Configuration(problems));
    }
    if matches!(command, ConfigCommand::Check { .. }) {
        println!("the configuration has no problems");
    }
    Ok(ExitCode::SUCCESS)
}
