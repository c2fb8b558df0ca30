//! The `run` command: a supervisor that ends a whole process tree.
//!
//! A container engine offers no call to end what it `exec`ed; hanging up is all a
//! client can do. So the supervisor stands between: it passes standard input on,
//! and once that ends, or on a signal, it ends the command and everything that
//! descends from it, including what left the process group.

mod framed;
mod frames;
mod identity;
mod pump;
mod tree;

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, getpid, set_child_subreaper};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
    time::timeout,
};

use self::{identity::IdentityArgs, tree::ProcessTree};
use crate::stops::Stops;

/// Exit statuses of a shell (POSIX, "Exit Status for Commands").
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// Milliseconds between the TERM and the KILL that end the process tree.
    #[arg(long, default_value_t = 2000)]
    grace_ms: u64,
    /// Milliseconds that the command has to end by itself once standard input
    /// has ended, before the TERM.
    #[arg(long, default_value_t = 200)]
    drain_ms: u64,
    /// Speak in frames over standard input and standard error, with a peer that can
    /// then end the command, and hear how it ended, without any other way to it.
    #[arg(long)]
    framed: bool,
    #[command(flatten)]
    identity: IdentityArgs,
    /// The command and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<OsString>,
}

/// Runs the command to its end; returns the status to exit with.
pub(crate) fn run(args: &RunArgs) -> Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if args.framed { runtime.block_on(framed::supervise(args)) } else { runtime.block_on(supervise(args)) }
}

async fn supervise(args: &RunArgs) -> Result<u8> {
    // Before the command starts, so that none of its signals is missed.
    let child_events = signal(SignalKind::child())?;
    let mut stops = Stops::new()?;
    // Orphans become children of this process, where they can be found and
    // reaped. A kernel that refuses leaves the process group, which is ended too.
    let _ = set_child_subreaper(Some(getpid()));

    let name = args.command.first().context("no command is named")?;
    if let Err(reason) = args.identity.prepare() {
        eprintln!("lockkeeper-workspace: {reason}");
        return Ok(NOT_EXECUTABLE);
    }
    let mut command = Command::new(name);
    command.args(&args.command[1..]).stdin(Stdio::piped()).process_group(0);
    let mut child = match args.identity.spawn(&mut command) {
        Ok(child) => child,
        Err(error) => {
            let (reason, status) = not_started(name, &error);
            eprintln!("lockkeeper-workspace: {reason}");
            return Ok(status);
        }
    };
    let leader = Pid::from_child(&child);
    let input = child.stdin.take().context("the command has no standard input")?;
    let (hang_up, mut input_ended) = oneshot::channel();
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        pump::pump(&io::stdin(), input, hang_up);
    })?;

    let mut tree = ProcessTree::new(leader, child_events);
    tokio::select! {
        () = tree.command_ended() => {}
        () = stops.recv() => {}
        _ = &mut input_ended => {
            let drain = timeout(Duration::from_millis(args.drain_ms), tree.command_ended());
            tokio::select! {
                // Ended or not: what is left of the tree goes next.
                _ = drain => {}
                () = stops.recv() => {}
            }
        }
    }
    if !tree.end(Duration::from_millis(args.grace_ms)).await {
        eprintln!("lockkeeper-workspace: some processes did not end even on KILL");
    }
    Ok(tree.exit_status())
}

/// Why the command does not run, and the status to exit with.
fn not_started(name: &OsString, error: &io::Error) -> (String, u8) {
    let name = name.to_string_lossy();
    if error.kind() == io::ErrorKind::NotFound {
        (format!("{name}: command not found"), NOT_FOUND)
    } else {
        (format!("{name}: cannot be run: {error}"), NOT_EXECUTABLE)
    }
}
