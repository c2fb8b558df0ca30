//! The binary that lives inside a sandbox.
//!
//! `serve` is the default MCP server: files and commands of one workspace, over
//! standard input and output. `run` supervises any other command so that its
//! whole process tree ends when the peer hangs up. `hold` is the main process of a
//! container, which ends with whoever needs it, and `keepalive` is what it waits for.
//! `sweep` ends every process of the user that runs it.

mod accounts;
mod command;
mod files;
mod hold;
mod limits;
mod process_tree;
mod serve;
mod server;
mod stops;
mod supervise;
mod sweep;
mod tool_error;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Serve the workspace over MCP on standard input and output.
    Serve(serve::ServeArgs),
    /// Run a command and end its whole process tree when standard input ends.
    Run(supervise::RunArgs),
    /// Keep a container running until it is too old, or nobody keeps it alive any more.
    Hold(hold::HoldArgs),
    /// Keep a container alive for another while.
    Keepalive(hold::KeepaliveArgs),
    /// End every other process of this user.
    Sweep,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().action {
        Action::Serve(args) => serve::serve(args).map(|()| ExitCode::SUCCESS),
        Action::Run(args) => supervise::run(&args).map(ExitCode::from),
        Action::Hold(args) => hold::hold(&args),
        Action::Keepalive(args) => hold::keepalive(&args).map(|()| ExitCode::SUCCESS),
        Action::Sweep => sweep::sweep().map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("lockkeeper-workspace: {error:#}");
        ExitCode::FAILURE
    })
}
