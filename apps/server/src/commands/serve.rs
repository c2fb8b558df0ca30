//! `lockkeeper serve`.

use crate::{
    bootstrap,
    cli::{Cli, ServeArgs},
    config::Mode,
    exit::Stop,
    lifecycle::Signals,
    logging,
};
use std::process::ExitCode;

/// Runs a server with exactly what the configuration names, until a signal ends it.
pub(crate) async fn serve(cli: &Cli, args: &ServeArgs) -> Result<ExitCode, Stop> {
    let loaded = super::loaded(cli)?;
    logging::start(&loaded.config.log)?;
    bootstrap::forget_ready(args.listen.ready_file.as_deref())?;
    let ground = bootstrap::lay(loaded, Mode::Serve).await?;
    if let Some(problem) = ground.isolation_problem() {
        return Err(Stop::Configuration(vec![problem]));
    }
    let signals = Signals::take()?;
    let mut running = bootstrap::start(ground).await?;
    running.announce(args.listen.ready_file.as_deref())?;
    Ok(running.until(signals).await)
}
