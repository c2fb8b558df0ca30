//! The `sweep` command: the end of what a supervisor could not end, because the command killed or stopped it.

use anyhow::{Context as _, Result, ensure};
use rustix::{
    io::Errno,
    process::{Pid, Signal, geteuid, getpid, kill_process_group},
};

/// Kills every process of this user except this one. It refuses to run as root, who could kill everybody's.
pub(crate) fn sweep() -> Result<()> {
    ensure!(!geteuid().is_root(), "sweep does not run as root: it would end the processes of all users");
    ensure!(getpid() != Pid::INIT, "sweep does not run as process 1");
    // Group 1 is sent as -1, which `kill(2)` takes for every process that may be signalled, except the caller. The kernel
    // signals all of them in one step, which no fork escapes.
    match kill_process_group(Pid::INIT, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error).context("the processes of this user cannot be killed"),
    }
}
