//! The `hold` and `keepalive` commands: a container's main process, which is a dead-man's switch.
//!
//! A container lives as long as its main process. This one does nothing but end: when the container is as old as it may
//! become, or when nobody has kept it alive for too long, which is what remains of a server that died.
//!
//! The keep-alive is a signal to the container's process 1, `SIGURG`, since that one is ignored by whoever does not wait
//! for it: one that comes too early, or reaches a process that is not this one, harms nothing. Process 1 is the holder
//! or an init (`docker-init`, `catatonit`) that passes signals on. It comes from outside by the engine's own `kill`, or
//! by `keepalive` as the holder's user. The MCP servers of a sandbox run as another user, and can send neither.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, WaitOptions, geteuid, kill_process, wait};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep_until},
};

use crate::{accounts, stops::Stops};

/// The exit status of a holder that became as old as it may.
const TOO_OLD: u8 = 10;
/// The exit status of a holder that nobody kept alive.
const FORSAKEN: u8 = 11;
/// The longest life and the longest silence, in seconds: a year. Beyond it the sum of times may overflow.
const LONGEST: u64 = 365 * 24 * 60 * 60;

#[derive(Debug, clap::Args)]
pub(crate) struct HoldArgs {
    /// Seconds after which the holder ends, whatever happens.
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    max_life: u64,
    /// Seconds without a keep-alive after which the holder ends.
    #[arg(long, value_name = "SECS", value_parser = clap::value_parser!(u64).range(1..=LONGEST))]
    idle: u64,
    /// The directory that takes the sandbox's `passwd` and `group`.
    #[arg(long, value_name = "DIR", requires = "first_user")]
    accounts: Option<PathBuf>,
    /// The group that all MCP servers share. Their own users follow it.
    #[arg(long, value_name = "ID")]
    first_user: Option<u32>,
    /// How many MCP servers may run.
    #[arg(long, value_name = "N", default_value_t = 0)]
    servers: u32,
    /// A directory that the MCP servers share, which gets mode 2770 if it is the holder's: some engines give a file
    /// system in memory the mode of the image's directory, whatever they were asked for. May be repeated.
    #[arg(long, value_name = "DIR")]
    share: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct KeepaliveArgs {
    /// The process to signal: the container's first one, which is the holder or passes signals on to it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..))]
    pid: i32,
}

/// Why a holder ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Asked,
    TooOld,
    Forsaken,
}

/// Holds until there is a reason to end; the status says which: 0 for a signal, 10 for the age, 11 for the silence.
pub(crate) fn hold(args: &HoldArgs) -> Result<ExitCode> {
    prepare(args);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let end = runtime.block_on(async {
        let mut keepalives = signal(SignalKind::from_raw(Signal::URG.as_raw()))?;
        let mut children = signal(SignalKind::child())?;
        let mut stops = Stops::new()?;
        let limits = (Duration::from_secs(args.max_life), Duration::from_secs(args.idle));
        let held = until_forsaken(limits, async || keepalives.recv().await);
        // Without an init in the container, its orphans are this process's children.
        let reaping = async {
            loop {
                reap();
                children.recv().await;
            }
        };
        io::Result::Ok(tokio::select! {
            end = held => end,
            () = stops.recv() => End::Asked,
            () = reaping => End::Asked,
        })
    })?;
    Ok(match end {
        End::Asked => ExitCode::SUCCESS,
        End::TooOld => {
            eprintln!("lockkeeper-workspace: the sandbox is {} s old, and ends", args.max_life);
            ExitCode::from(TOO_OLD)
        }
        End::Forsaken => {
            eprintln!("lockkeeper-workspace: nobody has kept the sandbox alive for {} s, and it ends", args.idle);
            ExitCode::from(FORSAKEN)
        }
    })
}

/// Writes the accounts and opens what the servers share. A failure ends nothing: supervisors check what they need, and
/// users work without names, as with an engine that mounts its own `/etc/passwd`.
fn prepare(args: &HoldArgs) {
    let (directory, first) = (args.accounts.as_deref(), args.first_user);
    if let Some(Err(error)) = directory.zip(first).map(|(path, first)| accounts::write(path, first, args.servers)) {
        eprintln!("lockkeeper-workspace: {error:#}");
    }
    for path in &args.share {
        if let Err(error) = share(path) {
            eprintln!("lockkeeper-workspace: {} cannot be shared: {error}", path.display());
        }
    }
}

fn share(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.uid() == geteuid().as_raw() {
        fs::set_permissions(path, fs::Permissions::from_mode(0o2770))?;
    }
    Ok(())
}

/// Tells the holder that somebody needs it.
pub(crate) fn keepalive(args: &KeepaliveArgs) -> Result<()> {
    let pid = Pid::from_raw(args.pid).context("there is no process 0")?;
    kill_process(pid, Signal::URG).with_context(|| format!("process {} cannot be signalled", args.pid))
}

/// Waits for the first of both limits; each keep-alive starts the second one anew.
async fn until_forsaken<R>((max_life, idle): (Duration, Duration), mut keepalive: impl AsyncFnMut() -> R) -> End {
    let started = Instant::now();
    let mut last = started;
    loop {
        tokio::select! {
            biased;
            () = sleep_until(started + max_life) => return End::TooOld,
            _ = keepalive() => last = Instant::now(),
            () = sleep_until(last + idle) => return End::Forsaken,
        }
    }
}

fn reap() {
    while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
}

#[cfg(test)]
mod tests {
    use tokio::{
        sync::mpsc,
        time::{advance, interval},
    };

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// How a holder ends to which a keep-alive comes in each period, and when.
    async fn check(max_life: u32, idle: u32, period: Option<u32>) -> (End, u64) {
        let (started, mut beats) = (Instant::now(), period.map(|period| interval(SECOND * period)));
        let keepalive = async || match &mut beats {
            Some(beats) => drop(beats.tick().await),
            None => std::future::pending().await,
        };
        let end = until_forsaken((SECOND * max_life, SECOND * idle), keepalive).await;
        (end, started.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it() {
        assert_eq!(check(100, 5, None).await, (End::Forsaken, 5));
        assert_eq!(check(100, 5, Some(6)).await, (End::Forsaken, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn keep_alives_hold_it_until_it_is_too_old() {
        assert_eq!(check(100, 5, Some(4)).await, (End::TooOld, 100));
        assert_eq!(check(3, 5, None).await, (End::TooOld, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn the_silence_is_counted_from_the_last_keep_alive() {
        let (sender, mut receiver) = mpsc::channel(1);
        let keepalive = async || match receiver.recv().await {
            Some(()) => {}
            None => std::future::pending().await,
        };
        let started = Instant::now();
        let beat_once = async {
            advance(3 * SECOND).await;
            let _ = sender.send(()).await;
        };
        let (end, ()) = tokio::join!(until_forsaken((100 * SECOND, 5 * SECOND), keepalive), beat_once);
        assert_eq!((end, started.elapsed().as_secs()), (End::Forsaken, 8));
    }
}
