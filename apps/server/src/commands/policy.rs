//! `lockkeeper policy`.

mod past;
mod report;

use crate::{
    cli::{Cli, PolicyCommand, SimulateArgs},
    config::policy,
    exit::Stop,
};
use lockkeeper_domain::Policy;
use report::Report;
use std::{path::Path, process::ExitCode};

/// Checks a file of rules, or plays it against the past.
pub(crate) async fn policy(cli: &Cli, command: &PolicyCommand) -> Result<ExitCode, Stop> {
    match command {
        PolicyCommand::Check { file } => {
            let rules = policy::read(file, file).map_err(Stop::Configuration)?;
            println!("{}: {} rules, no problems", file.display(), rules.len());
            Ok(ExitCode::SUCCESS)
        }
        PolicyCommand::Simulate(args) => simulate(cli, args).await,
    }
}

/// What the rules of a file, together with those of the configuration, would have decided of past calls.
async fn simulate(cli: &Cli, args: &SimulateArgs) -> Result<ExitCode, Stop> {
    let loaded = super::loaded(cli)?;
    let policy = proposed(&args.file, &loaded)?;
    let logs = match &args.log {
        Some(file) => past::read(file)?,
        None => past::of_store(loaded, &args.user).await?,
    };
    if let Some(file) = &args.save {
        past::write(file, &logs)?;
    }
    let report = Report::of(&policy, &logs);
    print!("{}", if args.changes { report.changes() } else { report.whole() });
    for warning in report.warnings() {
        eprintln!("lockkeeper: warning: {warning}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The rules as they would be if `policy.file` were this file.
fn proposed(file: &Path, loaded: &crate::config::Loaded) -> Result<Policy, Stop> {
    let rules = policy::read(file, file);
    let own = policy::own_rules(loaded);
    let mut problems: Vec<_> =
        loaded.problems.iter().filter(|problem| problem.key.starts_with("policy.")).cloned().collect();
    problems.extend(own.problems);
    match rules {
        Ok(rules) if problems.is_empty() => Ok(own.policy.with_file(policy::name_of(file), rules)),
        Ok(_) => Err(Stop::Configuration(problems)),
        Err(found) => {
            problems.extend(found);
            Err(Stop::Configuration(problems))
        }
    }
}

/// Logs that a test makes up, as others read them.
#[cfg(test)]
fn made_up(user: &str, lines: &str) -> past::Log {
    let events = lines.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    past::Log { session: lockkeeper_domain::SessionId::parse("s").expect("an id"), user: user.to_owned(), events }
}
