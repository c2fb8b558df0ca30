//! The process tree below the supervisor.

use std::time::Duration;

use rustix::{
    io::Errno,
    process::{
        Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, kill_process_group, test_kill_process_group, wait,
    },
};
use tokio::{
    signal::unix,
    time::{Instant, timeout},
};

use super::frames::Report;
use crate::process_tree::descendants;

/// Between two looks at what is left, in case no child's end wakes the supervisor.
const POLL: Duration = Duration::from_millis(20);
/// After the first KILL, how long processes may take to go.
const KILL_WAIT: Duration = Duration::from_secs(5);
/// What a shell adds to the number of the signal that ended a command.
const SIGNAL_BASE: i32 = 128;

/// The command and everything that descends from it.
pub(super) struct ProcessTree {
    leader: Pid,
    child_events: unix::Signal,
    status: Option<WaitStatus>,
}

impl ProcessTree {
    pub(super) fn new(leader: Pid, child_events: unix::Signal) -> Self {
        Self { leader, child_events, status: None }
    }

    /// Reaps until the command itself has ended.
    pub(super) async fn command_ended(&mut self) {
        loop {
            self.reap();
            if self.status.is_some() {
                return;
            }
            self.child_events.recv().await;
        }
    }

    /// TERM to all, KILL to what is left after the grace; false if some
    /// process outlives even that.
    pub(super) async fn end(&mut self, grace: Duration) -> bool {
        if self.gone() {
            return true;
        }
        self.signal(Signal::TERM);
        if self.gone_by(Instant::now() + grace, None).await {
            return true;
        }
        self.gone_by(Instant::now() + KILL_WAIT, Some(Signal::KILL)).await
    }

    /// KILL to all; false if some process outlives even that.
    pub(super) async fn kill(&mut self) -> bool {
        self.gone_by(Instant::now() + KILL_WAIT, Some(Signal::KILL)).await
    }

    /// How the command ended.
    pub(super) fn report(&self) -> Report<'static> {
        let status = self.status;
        match status.and_then(WaitStatus::exit_status) {
            Some(code) => Report::Exited(code),
            None => Report::Signalled(status.and_then(WaitStatus::terminating_signal).unwrap_or(Signal::KILL.as_raw())),
        }
    }

    /// The command's exit status as a shell would give it.
    pub(super) fn exit_status(&self) -> u8 {
        let ended = self.status.and_then(|status| {
            let by_signal = status.terminating_signal().map(|signal| SIGNAL_BASE + signal);
            status.exit_status().or(by_signal)
        });
        let killed = SIGNAL_BASE + Signal::KILL.as_raw();
        u8::try_from(ended.unwrap_or(killed)).unwrap_or(u8::MAX)
    }

    /// Signals `repeated` at every look: a tree that forks meanwhile must not outrun it.
    async fn gone_by(&mut self, deadline: Instant, repeated: Option<Signal>) -> bool {
        loop {
            if let Some(signal) = repeated {
                self.signal(signal);
            }
            if self.gone() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            let _ = timeout(POLL, self.child_events.recv()).await;
        }
    }

    /// Whether the command and all its descendants are gone. Zombies count as
    /// alive: one that cannot be reaped yet has living threads or a living parent.
    fn gone(&mut self) -> bool {
        self.reap();
        match descendants(getpid()) {
            Some(alive) => alive.is_empty(),
            None => self.status.is_some() && test_kill_process_group(self.leader).is_err(),
        }
    }

    fn signal(&self, signal: Signal) {
        // Whole groups first, which no fork escapes, then each process. An
        // error means that the process is gone already.
        let _ = kill_process_group(self.leader, signal);
        let alive = descendants(getpid()).unwrap_or_default();
        let own_group = |pid: &&Pid| rustix::process::getpgid(Some(**pid)) != Ok(self.leader);
        for pid in alive.iter().filter(own_group) {
            let _ = kill_process(*pid, signal);
        }
    }

    fn reap(&mut self) {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.leader => self.status = Some(status),
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }
}
