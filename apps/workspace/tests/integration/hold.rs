//! `hold` and `keepalive`: what ends a container, and what keeps it.

use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::{client::BINARY, process::Watched};

/// A holder, and a handle to wait for it by.
struct Holder {
    child: Child,
    watched: Watched,
}

impl Holder {
    fn start(max_life: &str, idle: &str) -> Self {
        let mut command = Command::new(BINARY);
        command.args(["hold", "--max-life", max_life, "--idle", idle]).stderr(Stdio::piped());
        let child = command.spawn().expect("the binary starts");
        let watched = Watched::pid(&child.id().to_string());
        Self { child, watched }
    }

    fn keepalive(&self) -> Output {
        keepalive(&self.child.id().to_string())
    }

    #[track_caller]
    fn expect_end(self, code: i32, said: &str) {
        self.watched.expect_end();
        let output = self.child.wait_with_output().expect("it has ended");
        assert_eq!(output.status.code(), Some(code));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(said), "{stderr}");
    }
}

fn keepalive(pid: &str) -> Output {
    Command::new(BINARY).args(["keepalive", "--pid", pid]).output().expect("the binary starts")
}

#[test]
fn a_holder_that_is_forsaken_ends_and_one_that_is_kept_alive_does_not() {
    let kept = Holder::start("3600", "4");
    let forsaken = Holder::start("3600", "4");
    while forsaken.watched.is_alive() {
        // From the first moment on: one that comes before the holder waits for it must do no harm.
        let output = kept.keepalive();
        assert!(output.status.success(), "{output:?}");
    }
    assert!(kept.watched.is_alive(), "the keep-alives did not reach it");
    forsaken.expect_end(11, "nobody has kept the sandbox alive for 4 s");
    kept.expect_end(11, "nobody");
}

#[test]
fn a_holder_ends_when_it_is_too_old() {
    Holder::start("1", "3600").expect_end(10, "the sandbox is 1 s old");
}

#[test]
fn a_holder_ends_on_a_term() {
    let holder = Holder::start("3600", "3600");
    let pid = Pid::from_child(&holder.child);
    // Before it listens, the signal's own effect would end it.
    while !catches_term(pid) {
        std::thread::yield_now();
    }
    kill_process(pid, Signal::TERM).expect("it lives");
    holder.expect_end(0, "");
}

#[test]
fn a_keep_alive_for_nobody_is_an_error() {
    let mut gone = Command::new("true").spawn().expect("true");
    gone.wait().expect("it ends");
    let output = keepalive(&gone.id().to_string());
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot be signalled"), "{output:?}");
}

#[test]
fn limits_that_make_no_sense_are_refused() {
    for (max_life, idle) in [("0", "1"), ("1", "0"), ("1", "99999999999"), ("x", "1")] {
        let output = Command::new(BINARY).args(["hold", "--max-life", max_life, "--idle", idle]).output();
        assert_eq!(output.expect("the binary starts").status.code(), Some(2), "{max_life} {idle}");
    }
}

/// Whether the process has a handler for TERM, by `/proc/PID/status`.
fn catches_term(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).expect("it lives");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("the kernel says");
    let caught = u64::from_str_radix(caught.trim(), 16).expect("a mask");
    caught & (1 << (Signal::TERM.as_raw() - 1)) != 0
}
