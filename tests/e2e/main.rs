//! Lockkeeper end to end: the real server, real sandboxes, real clients. Each case has a server of its own.
//!
//! A case whose tool is missing is listed as ignored, with the reason; where `CI=true` it fails instead.

mod audit;
mod auth;
mod budgets;
mod case;
mod chaos;
mod clients;
mod cluster;
mod command_line;
mod console;
mod contract;
mod conversation;
mod crash;
mod deployed;
mod docker;
mod edge;
mod examples;
mod files;
mod gate;
mod hostile;
mod hostile_mcp;
mod identity;
mod models;
mod operators;
mod output;
mod pins;
mod policy;
mod process;
mod published;
mod real_model;
mod redis;
mod replicas;
mod resume;
mod script;
mod servers;
mod sessions;
mod sharing;
mod slow_reader;
mod storage;
mod strangers;
mod telemetry;
mod vendors;

use libtest_mimic::Arguments;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let suites = [
        audit::cases(),
        auth::cases(),
        budgets::cases(),
        chaos::cases(),
        clients::cases(),
        cluster::cases(),
        console::cases(),
        command_line::cases(),
        contract::cases(),
        conversation::cases(),
        crash::cases(),
        deployed::cases(),
        docker::cases(),
        edge::cases(),
        examples::cases(),
        files::cases(),
        gate::cases(),
        hostile::cases(),
        hostile_mcp::cases(),
        strangers::cases(),
        identity::cases(),
        models::cases(),
        operators::cases(),
        output::cases(),
        pins::cases(),
        policy::cases(),
        process::cases(),
        published::cases(),
        real_model::cases(),
        redis::cases(),
        replicas::cases(),
        resume::cases(),
        servers::cases(),
        sessions::cases(),
        sharing::cases(),
        slow_reader::cases(),
        storage::cases(),
        telemetry::cases(),
        vendors::cases(),
    ];
    let cases: Vec<_> = suites.into_iter().flatten().collect();
    let missing = case::missing(&cases);
    let conclusion = libtest_mimic::run(&arguments, cases.into_iter().map(case::Case::into_trial).collect());
    if !arguments.list {
        for line in missing {
            eprintln!("{line}");
        }
    }
    conclusion.exit_code()
}
