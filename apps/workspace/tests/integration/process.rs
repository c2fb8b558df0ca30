//! Processes that a test watches by handle, so that no pid is mistaken for another.

use std::{os::fd::OwnedFd, path::Path};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use crate::client::PATIENCE;

/// A process that was alive when the test learned of it.
pub(crate) struct Watched(OwnedFd);

impl Watched {
    #[track_caller]
    pub(crate) fn pid(text: &str) -> Self {
        let pid = text.trim().parse().ok().and_then(Pid::from_raw).expect("a pid");
        Self(pidfd_open(pid, PidfdFlags::empty()).expect("the process lives"))
    }

    /// Waits for a pid to be written to a FIFO.
    #[track_caller]
    pub(crate) fn from_fifo(path: &Path) -> Self {
        Self::pid(&std::fs::read_to_string(path).expect("a pid is written"))
    }

    #[track_caller]
    pub(crate) fn expect_end(&self) {
        assert!(self.ended_within(PATIENCE.as_secs()), "the process lives on");
    }

    pub(crate) fn is_alive(&self) -> bool {
        !self.ended_within(0)
    }

    fn ended_within(&self, secs: u64) -> bool {
        let mut events = [PollFd::new(&self.0, PollFlags::IN)];
        let limit = Timespec { tv_sec: secs.cast_signed(), tv_nsec: 0 };
        poll(&mut events, Some(&limit)).expect("polled") == 1
    }
}
