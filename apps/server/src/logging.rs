//! The log, on standard error.

use crate::config::{Log, LogFormat};
use anyhow::{Context as _, Result};
use std::io::IsTerminal as _;
use tracing_subscriber::{EnvFilter, filter::Directive};

/// Below these levels, other people's crates log what is nobody's business: handshakes with their tokens, packets, messages,
/// tool arguments. The floors hold whatever the user asks.
const FLOORS: &[(&str, &str)] = &[
    ("socketioxide", "info"),
    ("engineioxide", "info"),
    ("rmcp", "warn"),
    ("hyper", "info"),
    ("opentelemetry", "warn"),
    ("tungstenite", "info"),
    ("tokio_tungstenite", "info"),
];

/// Starts the log. Levels that make no sense are the configuration's problem, which the check tells; they must not hide
/// what else it tells.
pub(crate) fn start(config: &Log) -> Result<()> {
    let terminal = std::io::stderr().is_terminal();
    let json = match config.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(&config.level).or_else(|_| filter("info"))?)
        .with_writer(std::io::stderr)
        // It would tell of a log that nobody reads any more by a panic.
        .log_internal_errors(false);
    let started = if json { builder.json().try_init() } else { builder.with_ansi(terminal).try_init() };
    started.map_err(|error| anyhow::anyhow!(error)).context("the log cannot be started")
}

/// The filter of `levels`, without what would show tokens.
pub(crate) fn filter(levels: &str) -> Result<EnvFilter> {
    let kept = levels.split(',').map(str::trim).filter(|part| !part.is_empty() && !lowers_a_floor(part));
    let kept = kept.collect::<Vec<_>>().join(",");
    let filter = EnvFilter::builder().parse(kept).with_context(|| format!("`{levels}` is no log level"))?;
    FLOORS.iter().try_fold(filter, |filter, (name, level)| {
        let directive: Directive = format!("{name}={level}").parse().context("a floor is a directive")?;
        Ok(filter.add_directive(directive))
    })
}

/// Whether a directive is about a crate with a floor (or, by its prefix, one of that crate's family), or about spans, which
/// reach into all crates: `socketioxide::client=trace`, `socketioxide_core=trace`, `[connect]=debug`.
fn lowers_a_floor(directive: &str) -> bool {
    directive.contains('[') || FLOORS.iter().any(|(name, _)| directive.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(levels: &str) {
        let filter = filter(levels).expect(levels).to_string();
        for directive in filter.split(',') {
            let about = FLOORS.iter().find(|(name, _)| directive.starts_with(name));
            assert!(
                about.is_none_or(|(name, level)| directive == format!("{name}={level}")),
                "{levels} gives {filter}"
            );
        }
        assert!(
            FLOORS.iter().all(|(name, level)| filter.contains(&format!("{name}={level}"))),
            "{levels} gives {filter}"
        );
    }

    #[test]
    fn nothing_lowers_the_floors() {
        for levels in [
            "",
            "trace",
            "debug,socketioxide=trace",
            "socketioxide::client=trace",
            "engineioxide::service[x]=trace",
            "[connect]=trace",
            "socketioxide_core=trace,info",
            "rmcp=trace,rmcp::service=trace",
        ] {
            check(levels);
        }
    }

    #[test]
    fn what_is_no_level_is_an_error() {
        assert!(filter("lockkeeper=loud").is_err());
    }
}
