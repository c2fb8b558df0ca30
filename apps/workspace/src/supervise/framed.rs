//! `run --framed`: for a peer that has the supervisor's streams and nothing else, as one has of what a container engine
//! runs. The command's input, and the order to end it, come in frames; so do its standard error, and how it fares, on the
//! way back. Standard output is the command's own.
//!
//! Unlike the end of its standard input, the end of the supervisor's ends the command at once: nobody is left who could.

use std::{
    cell::Cell,
    collections::VecDeque,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::process::CommandExt as _,
    },
    pin::pin,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::{DumpableBehavior, Pid, getpid, set_child_subreaper, set_dumpable_behavior};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe::{Receiver, Sender},
    signal::unix::{SignalKind, signal},
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::{
    NOT_EXECUTABLE, RunArgs,
    frames::{LARGEST, Order, Report, WINDOW, decode, encode},
    not_started,
    tree::ProcessTree,
};
use crate::stops::Stops;

/// So many bytes of input are told of at once.
const TELL_AFTER: u32 = 64 * 1024;
/// How long a process that got away may keep the standard error open once the command has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long a peer that hung up may leave reports unread.
const UNREAD: Duration = Duration::from_secs(5);

pub(super) async fn supervise(args: &RunArgs) -> Result<u8> {
    // Before the command starts, so that none of its signals is missed.
    let child_events = signal(SignalKind::child())?;
    let mut stops = Stops::new()?;
    let _ = set_child_subreaper(Some(getpid()));
    // The command has the same user and must not write reports in this process's name.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let orders = Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?);
    let orders = orders.context("standard input is no pipe")?;
    let reports = Sender::from_owned_fd(io::stderr().as_fd().try_clone_to_owned()?);
    let mut reports = Reports(Some(reports.context("standard error is no pipe")?));

    let name = args.command.first().context("no command is named")?;
    let mut command = Command::new(name);
    command.args(&args.command[1..]).stdin(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    if let Err(reason) = args.identity.prepare() {
        reports.send(Report::CannotExec(&reason)).await;
        return Ok(NOT_EXECUTABLE);
    }
    let mut child = match args.identity.spawn(&mut command) {
        Ok(child) => child,
        Err(error) => {
            let (reason, status) = not_started(name, &error);
            reports.send(Report::CannotExec(&reason)).await;
            return Ok(status);
        }
    };
    reports.send(Report::Started).await;
    let mut tree = ProcessTree::new(Pid::from_child(&child), child_events);
    let (sink, errors) = streams(&mut child)?;
    let progress = Progress::default();
    let input = Input { orders, sink: Some(sink), pending: VecDeque::new(), is_over: false };
    let (mut input, mut relay) = (pin!(input.run(&progress)), pin!(relay(errors, reports, &progress)));

    let hung_up = tokio::select! {
        () = tree.command_ended() => None,
        () = stops.recv() => Some(false),
        () = &mut input => Some(true),
        // It goes on until it is told that the command has ended.
        _ = &mut relay => Some(false),
    };
    let grace = Duration::from_millis(args.grace_ms);
    let ending = async { if hung_up.is_some() { tree.kill().await } else { tree.end(grace).await } };
    tokio::select! {
        _ = ending => {}
        _ = &mut relay => {}
    }
    progress.is_finishing.set(true);
    progress.news.notify_one();
    let unread = async {
        if hung_up != Some(true) {
            input.await;
        }
        sleep(UNREAD).await;
    };
    let mut reports = tokio::select! {
        reports = &mut relay => reports,
        () = unread => return Ok(tree.exit_status()),
    };
    reports.send(tree.report()).await;
    Ok(tree.exit_status())
}

/// This side's ends of the command's pipes, which do not block; the command's own ends do.
fn streams(child: &mut Child) -> Result<(Sender, Receiver)> {
    let input = child.stdin.take().context("the command has no standard input")?;
    let errors = child.stderr.take().context("the command has no standard error")?;
    Ok((Sender::from_owned_fd(OwnedFd::from(input))?, Receiver::from_owned_fd(OwnedFd::from(errors))?))
}

/// What one direction tells the other.
#[derive(Default)]
struct Progress {
    taken: Cell<u32>,
    is_finishing: Cell<bool>,
    news: Notify,
}

/// The way back to the peer; without one that listens, reports are lost.
struct Reports(Option<Sender>);

impl Reports {
    async fn send(&mut self, report: Report<'_>) {
        let Some(pipe) = &mut self.0 else { return };
        if pipe.write_all(&encode(report)).await.is_err() {
            self.0 = None;
        }
    }
}

/// Passes on the command's standard error, and how much of its input it took. Returns when that is over, once the command
/// has ended.
async fn relay(mut errors: Receiver, mut reports: Reports, progress: &Progress) -> Reports {
    let mut buffer = vec![0; LARGEST / 2];
    let mut is_open = true;
    let mut until = None;
    loop {
        if progress.is_finishing.get() && until.is_none() {
            until = Some(Instant::now() + LAST_WORDS);
        }
        let over = until.unwrap_or_else(Instant::now);
        if until.is_some() && !is_open {
            return reports;
        }
        tokio::select! {
            biased;
            () = progress.news.notified() => {
                let taken = progress.taken.take();
                if taken > 0 {
                    reports.send(Report::Taken(taken)).await;
                }
            }
            () = sleep_until(over), if until.is_some() => return reports,
            read = errors.read(&mut buffer), if is_open => match read {
                Ok(length @ 1..) => reports.send(Report::Stderr(&buffer[..length])).await,
                Ok(0) | Err(_) => is_open = false,
            },
        }
    }
}

/// From the peer to the command.
struct Input {
    orders: Receiver,
    /// `None` once the command closed its input or has heard its end; what still comes is dropped then.
    sink: Option<Sender>,
    pending: VecDeque<u8>,
    is_over: bool,
}

impl Input {
    /// Returns when the peer wants an end: it says so, it is gone, or it does not speak this language.
    async fn run(mut self, progress: &Progress) {
        let mut unread = Vec::new();
        let mut buffer = vec![0; LARGEST];
        let mut taken = 0;
        loop {
            if self.sink.is_none() {
                taken += self.pending.len();
                self.pending.clear();
            } else if self.is_over && self.pending.is_empty() {
                self.sink = None;
            }
            let owed = u32::try_from(taken).unwrap_or(u32::MAX);
            if owed >= TELL_AFTER {
                progress.taken.set(progress.taken.get().saturating_add(owed));
                progress.news.notify_one();
                taken = 0;
            }
            let next = self.pending.as_slices().0;
            let write = async {
                match &mut self.sink {
                    Some(sink) if !next.is_empty() => sink.write(next).await,
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                written = write => match written {
                    Ok(length) => {
                        self.pending.drain(..length);
                        taken += length;
                    }
                    Err(_) => self.sink = None,
                },
                read = self.orders.read(&mut buffer) => {
                    let length = read.unwrap_or(0);
                    unread.extend_from_slice(&buffer[..length]);
                    if length == 0 || !self.take(&mut unread) {
                        return;
                    }
                }
            }
        }
    }

    /// Follows the orders that are complete; false when the last one is to end everything.
    fn take(&mut self, unread: &mut Vec<u8>) -> bool {
        loop {
            match decode(unread) {
                Ok(None) => return true,
                Ok(Some(Order::Input(bytes))) if self.pending.len() + bytes.len() <= WINDOW => {
                    self.pending.extend(bytes);
                }
                Ok(Some(Order::EndOfInput)) => self.is_over = true,
                Ok(Some(Order::Input(_) | Order::Kill)) | Err(_) => return false,
            }
        }
    }
}
