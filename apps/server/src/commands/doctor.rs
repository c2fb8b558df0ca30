//! `lockkeeper doctor`: what a server needs, whether it is there, and how to get it.

mod docker;
mod model;
mod sandbox;
mod store;

use crate::{
    cli::{Cli, DoctorArgs, Subject},
    config::{Loaded, Mode, Problem, check},
    exit::Stop,
};
use serde::Serialize;
use std::{fmt, process::ExitCode};

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// As it must be.
    Ok,
    /// Good enough for `dev`.
    Warn,
    /// A server that needs it does not start.
    Fail,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) subject: &'static str,
    pub(crate) level: Level,
    pub(crate) what: String,
    /// One command or edit that mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fix: Option<String>,
}

/// Looks at everything, or at one thing.
pub(crate) async fn doctor(cli: &Cli, args: &DoctorArgs) -> Result<ExitCode, Stop> {
    let loaded = super::loaded(cli)?;
    let mut findings = Vec::new();
    let wanted = |subject| args.subject.is_none_or(|only| only == subject);
    if wanted(Subject::Config) {
        findings.extend(configuration(&loaded));
    }
    if wanted(Subject::Model) {
        findings.push(model::examine(&loaded.config.llm));
    }
    if wanted(Subject::Store) {
        findings.push(store::examine(&loaded.config.store));
    }
    if wanted(Subject::Sandbox) {
        findings.push(sandbox::examine(&loaded.config.sandbox).await);
    }
    // Without being asked for, it is looked at where it may be used.
    if args.subject == Some(Subject::Docker) || args.subject.is_none() && sandbox::may_be_docker(&loaded.config.sandbox)
    {
        let needed = args.subject.is_some() || sandbox::is_docker(&loaded.config.sandbox);
        let found = docker::examine(&loaded.config.sandbox.docker).await.into_iter();
        findings.extend(found.map(|finding| if needed { finding } else { finding.at_most_a_warning() }));
    }
    if args.json {
        println!("{}", serde_json::to_string(&findings).map_err(anyhow::Error::from)?);
    } else {
        print!("{}", Report(&findings));
    }
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A configuration that cannot be read is a failure; what only `serve` wants is a warning.
fn configuration(loaded: &Loaded) -> Vec<Finding> {
    let finding = |level, problem: &Problem| {
        let place = if problem.key.is_empty() { String::new() } else { format!("{}: ", problem.key) };
        Finding::new("config", level, format!("{place}{} ({})", problem.what, problem.origin)).fix(&problem.fix)
    };
    let for_serve = check(loaded, Mode::Serve);
    let for_dev = check(loaded, Mode::Dev);
    let level = |problem: &Problem| if for_dev.contains(problem) { Level::Fail } else { Level::Warn };
    let mut found: Vec<Finding> = loaded.problems.iter().map(|problem| finding(Level::Fail, problem)).collect();
    found.extend(for_serve.iter().map(|problem| finding(level(problem), problem)));
    found.extend(loaded.notices.iter().map(|notice| Finding::new("config", Level::Warn, notice)));
    if found.is_empty() {
        found.push(Finding::new("config", Level::Ok, "nothing is wrong with it, for `serve` too"));
    }
    found
}

impl Finding {
    pub(crate) fn new(subject: &'static str, level: Level, what: impl Into<String>) -> Self {
        Self { subject, level, what: what.into(), fix: None }
    }

    /// With what mends it.
    pub(crate) fn fix(self, fix: impl Into<String>) -> Self {
        Self { fix: Some(fix.into()), ..self }
    }

    fn at_most_a_warning(self) -> Self {
        Self { level: self.level.min(Level::Warn), ..self }
    }
}

/// Findings for people.
struct Report<'a>(&'a [Finding]);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Finding { subject, level, what, fix } in self.0 {
            let level = match level {
                Level::Ok => "ok",
                Level::Warn => "warn",
                Level::Fail => "fail",
            };
            writeln!(f, "{level:<4}  {subject:<7}  {what}")?;
            if let Some(fix) = fix {
                writeln!(f, "      {:<7}  fix: {fix}", "")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_are_lined_up_with_what_mends_them() {
        let findings = [
            Finding::new("model", Level::Ok, "the demo answers"),
            Finding::new("docker", Level::Fail, "nobody answers").fix("start it"),
        ];
        let expected = "ok    model    the demo answers\nfail  docker   nobody answers\n               fix: start it\n";
        assert_eq!(Report(&findings).to_string(), expected);
        let json = serde_json::to_value(&findings[1]).expect("JSON");
        let expected = serde_json::json!({
            "subject": "docker", "level": "fail", "what": "nobody answers", "fix": "start it",
        });
        assert_eq!(json, expected);
    }
}
