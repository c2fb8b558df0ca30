//! The process group of one command, and how it ends.

use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::process::{
    Pid, PidfdFlags, Signal, getpgid, kill_process_group, pidfd_open, pidfd_send_signal, test_kill_process_group,
};
use tokio::{process::Child, time::sleep};

use crate::process_tree::{descendants, group_runs};

/// Between two looks at whether a group that was told to end has ended.
const POLL: Duration = Duration::from_millis(10);
/// After a KILL, how long a process may take to go; one in an uninterruptible
/// system call may take for ever.
const KILL_WAIT: Duration = Duration::from_secs(2);

/// A process group. Unless it ended or is let go, dropping it kills it.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    leader: Pid,
    armed: bool,
}

impl ProcessGroup {
    /// The group that `child` leads; `None` if it was already reaped.
    pub(super) fn of(child: &Child) -> Option<Self> {
        let leader = i32::try_from(child.id()?).ok().and_then(Pid::from_raw)?;
        Some(Self { leader, armed: true })
    }

    pub(crate) fn is_alive(&self) -> bool {
        test_kill_process_group(self.leader).is_ok() && group_runs(self.leader).unwrap_or(true)
    }

    /// TERM to the group and to the shell's descendants that left it, then
    /// KILL to what is left after the grace.
    pub(super) async fn end(&mut self, child: &mut Child, grace: Duration) {
        // Stopped, a group that forks without end leaves time to look at it.
        self.signal(&[], Signal::STOP);
        let strays = self.strays();
        self.signal(&strays, Signal::TERM);
        self.signal(&[], Signal::CONT);
        if !self.gone_within(grace, child).await {
            self.signal(&strays, Signal::KILL);
            self.gone_within(KILL_WAIT, child).await;
        }
        // A stray may outlive the group that took the TERM.
        for stray in &strays {
            let _ = pidfd_send_signal(stray, Signal::KILL);
        }
        self.armed = false;
    }

    /// The group itself if processes of it live on, to be ended with the session.
    pub(super) fn into_background(mut self) -> Option<Self> {
        if self.armed && self.is_alive() {
            return Some(self);
        }
        self.armed = false;
        None
    }

    fn signal(&self, strays: &[OwnedFd], signal: Signal) {
        // An error means that there is nobody left to signal.
        let _ = kill_process_group(self.leader, signal);
        for stray in strays {
            let _ = pidfd_send_signal(stray, signal);
        }
    }

    /// Handles and not pids, since a pid may be given to somebody else during the grace.
    fn strays(&self) -> Vec<OwnedFd> {
        let below = descendants(self.leader).unwrap_or_default();
        let outside = below.into_iter().filter(|pid| getpgid(Some(*pid)) != Ok(self.leader));
        outside.filter_map(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()).collect()
    }

    async fn gone_within(&self, limit: Duration, child: &mut Child) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            // A leader that is not reaped has no exit status to tell.
            let reaped = child.try_wait().is_ok_and(|status| status.is_some());
            if reaped && !self.is_alive() {
                return true;
            }
            if Instant::now() >= deadline {
                return false;
            }
            sleep(POLL).await;
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if self.armed {
            let _ = kill_process_group(self.leader, Signal::KILL);
        }
    }
}
