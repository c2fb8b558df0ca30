//! `lockkeeper config`.

use crate::{
    cli::{Cli, ConfigCommand},
    config::{Loaded, Mode, Problem, RuntimeKind, check, mcp_servers, reference, schema, settings, show},
    exit::{self, Stop},
};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Shows, checks or describes the configuration.
pub(crate) fn config(cli: &Cli, command: &ConfigCommand) -> Result<ExitCode, Stop> {
    match command {
        ConfigCommand::Show { origin, json } => shown(&super::loaded(cli)?, *origin, *json),
        ConfigCommand::Check { dev, json } => {
            checked(&super::loaded(cli)?, if *dev { Mode::Dev } else { Mode::Serve }, *json)
        }
        ConfigCommand::Schema { markdown } => {
            if *markdown {
                print!("{}", reference(&schema()));
            } else {
                println!("{:#}", schema());
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn shown(loaded: &Loaded, with_origin: bool, as_json: bool) -> Result<ExitCode, Stop> {
    if as_json {
        let settings = settings(loaded).into_iter();
        let settings = settings
            .map(|(key, value)| json!({ "key": key, "value": value, "origin": loaded.origin(&key).to_string() }));
        println!("{:#}", settings.collect::<Value>());
    } else {
        print!("{}", show(loaded, with_origin));
    }
    if loaded.problems.is_empty() { Ok(ExitCode::SUCCESS) } else { Err(Stop::Configuration(loaded.problems.clone())) }
}

fn checked(loaded: &Loaded, mode: Mode, as_json: bool) -> Result<ExitCode, Stop> {
    let executable = std::env::current_exe().context("the path of this program cannot be found out")?;
    let runtime = loaded.config.sandbox.runtime.unwrap_or(RuntimeKind::Local);
    let mut servers = mcp_servers::servers(loaded, &executable, runtime);
    let mut problems = loaded.problems.clone();
    problems.extend(check(loaded, mode));
    let (mut notices, of_servers) = servers.tell();
    problems.extend(of_servers);
    notices.splice(..0, loaded.notices.iter().cloned());
    if as_json {
        let problems_told: Vec<_> = problems.iter().map(told).collect();
        println!("{:#}", json!({ "problems": problems_told, "notices": notices }));
        return Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(exit::CONFIGURATION) });
    }
    for notice in notices {
        eprintln!("lockkeeper: note: {notice}");
    }
    if !problems.is_empty() {
        return Err(Stop::Configuration(problems));
    }
    println!("the configuration has no problems");
    Ok(ExitCode::SUCCESS)
}

fn told(problem: &Problem) -> Value {
    let Problem { kind, key, origin, what, fix } = problem;
    json!({ "code": kind.as_str(), "key": key, "origin": origin.to_string(), "what": what, "fix": fix })
}
