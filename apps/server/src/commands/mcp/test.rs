//! `lockkeeper mcp test`.

use super::probe::{Probe, probe};
use crate::{cli::McpTestArgs, config::Loaded, exit::Stop};
use anyhow::Context as _;
use lockkeeper_domain::Code;
use lockkeeper_ports::ToolSessionStatus;
use serde_json::json;
use std::process::ExitCode;

/// How long the steps of a server's start took, in milliseconds: `None` for one that was not done.
#[derive(Debug, PartialEq, Eq)]
struct Steps {
    initialize: Option<u64>,
    list: Option<u64>,
}

/// Starts a server in a sandbox, greets it and lists its tools.
pub(super) async fn test(loaded: Loaded, args: &McpTestArgs) -> Result<ExitCode, Stop> {
    let probe = probe(loaded, Some(&args.name), args.accept_no_isolation).await?;
    let status = probe.session.status().into_iter().next().context("the server has no status");
    let result = status.map(|status| told(&probe, &status, args.json));
    probe.end().await;
    Ok(result?)
}

fn told(probe: &Probe, status: &ToolSessionStatus, as_json: bool) -> ExitCode {
    let sandbox = u64::try_from(probe.sandbox_time.as_millis()).unwrap_or(u64::MAX);
    let Steps { initialize, list } =
        steps(probe.told.iter().map(|told| (told.stage.as_str(), told.status.as_str(), told.elapsed_ms)));
    let tools = probe.session.tools();
    let names: Vec<_> = tools.iter().map(|tool| tool.tool.as_str()).collect();
    let is_good = status.problem.is_none();
    if as_json {
        println!(
            "{:#}",
            json!({
                "server": status.server, "sandbox": probe.runtime, "sandboxMs": sandbox, "initializeMs": initialize, "listMs": list,
                "tools": names, "leftOut": status.left_out, "problem": status.problem, "code": status.code,
            })
        );
    } else {
        println!("sandbox     {sandbox:>6} ms  {}", probe.runtime);
        if let Some(initialize) = initialize {
            println!("initialize  {initialize:>6} ms  the server started and answered");
        }
        if let Some(list) = list.filter(|_| is_good) {
            println!("list        {list:>6} ms  {} tools: {}", names.len(), names.join(", "));
        }
        for left_out in &status.left_out {
            println!("left out    {}: {}", left_out.tool, left_out.reason);
        }
    }
    if let Some(problem) = &status.problem {
        let code = status.code.unwrap_or(Code::Internal);
        eprintln!("lockkeeper: {problem} [{}]\n      fix: {}", code.as_str(), advice(code));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// One server's steps, from what was told of its start.
fn steps<'a>(told: impl Iterator<Item = (&'a str, &'a str, u64)>) -> Steps {
    let mut steps = Steps { initialize: None, list: None };
    for (stage, status, elapsed) in told {
        match (stage, status) {
            ("listing", _) => steps.initialize = Some(elapsed),
            (_, "done") => steps.list = steps.initialize.map(|greeted| elapsed.saturating_sub(greeted)),
            _ => {}
        }
    }
    steps
}

/// What mends it, most probably.
fn advice(code: Code) -> &'static str {
    match code {
        Code::ToolTimeout => {
            "see that the program speaks MCP over its standard input and output, and needs no network: sandboxes have none; \
             `mcp.limits.initialize_secs` says how long it may take"
        }
        Code::ToolProtocol => {
            "let the program write messages alone to its standard output, and its log to standard error"
        }
        Code::ToolCrashed => {
            "see that the sandbox has the program and all that it needs (for Docker, `lockkeeper image build --add FILE:PATH`; for local \
             sandboxes, `sandbox.local.read_only`), and run it by hand"
        }
        _ => "run the program by hand, and see what it says",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_apart_and_what_was_not_done_took_no_time() {
        let good = [("connecting", "running", 0), ("listing", "running", 231), ("connecting", "done", 240)];
        assert_eq!(steps(good.into_iter()), Steps { initialize: Some(231), list: Some(9) });
        let dead = [("connecting", "running", 0), ("connecting", "failed", 10_000)];
        assert_eq!(steps(dead.into_iter()), Steps { initialize: None, list: None });
    }
}
