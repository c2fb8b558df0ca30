//! Lockkeeper: the server and its command line.

// Before all others: its macros are those of every module.
#[macro_use]
mod print;

mod banner;
mod beacon;
mod bootstrap;
mod chat;
mod cli;
mod clock;
mod commands;
mod config;
mod exit;
mod lifecycle;
mod logging;
mod random;
mod reload;

use clap::Parser as _;
use cli::{Cli, Command};
use exit::Stop;
use lockkeeper_local_runtime::{LAUNCHER_ARGUMENT, launcher_main};
use std::{process::ExitCode, time::Duration};

/// The C library's allocator grows the heaps of other threads than the first by one page and one system call at a time, which
/// shows in the time that each tool call takes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long threads may still be busy when everything else has ended.
const LAST_GRACE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // Before any thread is started: the sandbox's launcher is this same program.
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|argument| argument == LAUNCHER_ARGUMENT) {
        return launcher_main(args);
    }
    let cli = Cli::parse();
    match run(&cli) {
        Ok(code) => code,
        Err(stop) => stop.report(),
    }
}

fn run(cli: &Cli) -> Result<ExitCode, Stop> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        match &cli.command {
            Command::Dev(args) => Box::pin(commands::dev(cli, args)).await,
            Command::Serve(args) => Box::pin(commands::serve(cli, args)).await,
            Command::Chat(args) => Box::pin(commands::chat(cli, args)).await,
            Command::Audit { command } => Box::pin(commands::audit(cli, command)).await,
            Command::Config { command } => commands::config(cli, command),
            Command::Mcp { command } => Box::pin(commands::mcp(cli, command)).await,
            Command::Policy { command } => commands::policy(cli, command).await,
            Command::Image { command } => commands::image(cli, command).await,
            Command::Doctor(args) => commands::doctor(cli, args).await,
            Command::Sessions(args) => commands::sessions(cli, args).await,
            Command::Token { command } => commands::token(cli, command),
            Command::Completions { shell } => {
                commands::completions(*shell);
                Ok(ExitCode::SUCCESS)
            }
        }
    });
    // The store closes its file when the last task that holds it is gone. Whatever blocks a thread must not hold up the end.
    runtime.shutdown_timeout(LAST_GRACE);
    code
}
