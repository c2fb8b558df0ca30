//! `lockkeeper dev`.

use crate::{
    bootstrap::{self, Ground},
    cli::{Cli, DevArgs},
    config::Mode,
    exit::Stop,
    lifecycle::Signals,
    logging,
};
use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    process::ExitCode,
};

/// Runs a server for this machine until a signal ends it.
pub(crate) async fn dev(cli: &Cli, args: &DevArgs) -> Result<ExitCode, Stop> {
    let mut loaded = super::loaded(cli)?;
    super::log_quietly(&mut loaded);
    logging::start(&loaded.config.log)?;
    bootstrap::forget_ready(args.listen.ready_file.as_deref())?;
    let ground = bootstrap::lay(loaded, Mode::Dev).await?;
    accept_isolation(&ground, args.accept_no_isolation)?;
    let signals = Signals::take()?;
    let mut running = bootstrap::start(ground).await?;
    eprint!("{}", running.banner());
    running.announce(args.listen.ready_file.as_deref())?;
    Ok(running.until(signals).await)
}

/// Where nothing isolates, a person says that this is meant: by the flag, or at the terminal.
pub(super) fn accept_isolation(ground: &Ground, accepted: bool) -> Result<(), Stop> {
    let Some(problem) = ground.isolation_problem() else { return Ok(()) };
    if accepted {
        eprintln!("lockkeeper: warning: {}", problem.what);
        return Ok(());
    }
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        eprint!("lockkeeper: {}.\nGo on all the same? [y/N] ", problem.what);
        io::stderr().flush()?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
            return Ok(());
        }
    }
    Err(Stop::Configuration(vec![problem]))
}
