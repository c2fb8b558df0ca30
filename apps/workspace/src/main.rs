//! The binary that lives inside a sandbox.
//!
//! `serve` is the default MCP server: files and commands of one workspace, over
//! standard input and output. `run` supervises any other command so that its
//! whole process tree ends when the peer hangs up.

mod command;
mod files;
mod limits;
mod process_tree;
mod serve;
mod server;
mod stops;
mod supervise;
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
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().action {
        Action::Serve(args) => serve::serve(args).map(|()| ExitCode::SUCCESS),
        Action::Run(args) => supervise::run(&args).map(ExitCode::from),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("lockkeeper-workspace: {error:#}");
        ExitCode::FAILURE
    })
}
