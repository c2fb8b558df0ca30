//! `run`: what goes in and out, and that nothing outlives it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{client::BINARY, process::Watched};

fn run(command: &[&str]) -> Child {
    Command::new(BINARY)
        .args(["run", "--grace-ms", "100", "--drain-ms", "20", "--"])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

/// Runs a script that prints pids, one a line, and hands those processes over.
fn run_and_watch(script: &str, pids: usize) -> (Child, Vec<Watched>) {
    let mut supervisor = run(&["sh", "-c", script]);
    let lines = BufReader::new(supervisor.stdout.take().expect("piped")).lines();
    let watched = lines.take(pids).map(|line| Watched::pid(&line.expect("a pid"))).collect();
    (supervisor, watched)
}

#[test]
fn a_stubborn_tree_ends_with_the_input() {
    let script = "trap '' TERM; sleep 1000 & echo $!; echo $$; wait; sleep 1000";
    let (mut supervisor, tree) = run_and_watch(script, 2);
    drop(supervisor.stdin.take());
    tree.iter().for_each(Watched::expect_end);
    assert_eq!(supervisor.wait().expect("it ends").code(), Some(137));
}

#[test]
fn a_tree_that_obeys_ends_on_a_term_to_the_supervisor() {
    let (mut supervisor, tree) = run_and_watch("sleep 1000 & echo $!; echo $$; wait", 2);
    kill_process(Pid::from_child(&supervisor), Signal::TERM).expect("it lives");
    tree.iter().for_each(Watched::expect_end);
    assert_eq!(supervisor.wait().expect("it ends").code(), Some(143));
}

#[test]
fn a_daemon_in_a_session_of_its_own_ends_too() {
    let daemon = "trap \"\" TERM HUP; echo $$; sleep 1000; sleep 1000";
    let script = format!("(setsid sh -c '{daemon}' &) ; cat");
    let (mut supervisor, tree) = run_and_watch(&script, 1);
    drop(supervisor.stdin.take());
    tree.iter().for_each(Watched::expect_end);
    supervisor.wait().expect("it ends");
}

#[test]
fn what_a_command_leaves_behind_ends_with_it() {
    let (mut supervisor, tree) = run_and_watch("sleep 1000 & echo $!; exit 4", 1);
    tree.iter().for_each(Watched::expect_end);
    assert_eq!(supervisor.wait().expect("it ends").code(), Some(4));
}

#[test]
fn a_command_that_does_not_read_its_input_ends_with_it() {
    let mut supervisor = run(&["sleep", "1000"]);
    let mut stdin = supervisor.stdin.take().expect("piped");
    // Fills the pipe of the command, so that the supervisor cannot write on.
    stdin.write_all(&vec![b'x'; 150_000]).expect("both pipes and the buffer hold it");
    drop(stdin);
    assert_eq!(supervisor.wait().expect("it ends").code(), Some(143));
}

#[test]
fn a_command_that_closed_its_input_still_ends_with_it() {
    let mut supervisor = run(&["sh", "-c", "exec <&-; echo closed; sleep 1000"]);
    let mut closed = [0; 7];
    supervisor.stdout.as_mut().expect("piped").read_exact(&mut closed).expect("printed");
    let mut stdin = supervisor.stdin.take().expect("piped");
    stdin.write_all(&vec![b'x'; 500_000]).expect("it is read and dropped");
    drop(stdin);
    assert_eq!(supervisor.wait().expect("it ends").code(), Some(143));
}

#[test]
fn input_and_output_pass_through_whole() {
    let mut supervisor = run(&["cat"]);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|byte| (byte % 251) as u8).collect();
    let mut stdin = supervisor.stdin.take().expect("piped");
    let writer = std::thread::spawn({
        let sent = sent.clone();
        move || stdin.write_all(&sent)
    });
    let mut received = Vec::new();
    supervisor.stdout.take().expect("piped").read_to_end(&mut received).expect("read");
    writer.join().expect("no panic").expect("written");
    assert!(received == sent, "{} of {} bytes came back", received.len(), sent.len());
    assert_eq!(supervisor.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_status_of_the_command_is_passed_on() {
    for (script, status) in [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)] {
        let status_of = run(&["sh", "-c", script]).wait().expect("it ends");
        assert_eq!(status_of.code(), Some(status), "{script}");
    }
}

#[test]
fn a_missing_command_is_127_with_a_clear_message() {
    let output = run(&["no-such-command"]).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(127));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "lockkeeper-workspace: no-such-command: command not found\n");

    let output = run(&["/etc/passwd"]).wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(126));
}

/// What a peer says and hears in frames, as `crates/docker-runtime` does.
fn framed(command: &[&str], orders: &[u8]) -> (Vec<u8>, Vec<u8>, Option<i32>) {
    let mut supervisor = Command::new(BINARY)
        .args(["run", "--framed", "--grace-ms", "0", "--"])
        .args(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = supervisor.stdin.take().expect("piped");
    // One that could not start its command does not read.
    let _ = stdin.write_all(orders);
    let (mut said, mut reports) = (Vec::new(), Vec::new());
    supervisor.stdout.take().expect("piped").read_to_end(&mut said).expect("read");
    supervisor.stderr.take().expect("piped").read_to_end(&mut reports).expect("read");
    let code = supervisor.wait().expect("it ends").code();
    drop(stdin);
    (said, reports, code)
}

const STARTED: &[u8] = &[1, 0, 0, 0, 0];
const KILL: &[u8] = &[3, 0, 0, 0, 0];
const KILLED: &[u8] = &[6, 0, 0, 0, 4, 0, 0, 0, 9];

#[test]
fn in_frames_input_errors_and_the_status_pass_through() {
    let orders = [&[1, 0, 0, 0, 3][..], b"in\n", &[2, 0, 0, 0, 0]].concat();
    let (said, reports, code) = framed(&["sh", "-c", "cat; echo err >&2; exit 7"], &orders);
    let expected = [STARTED, &[3, 0, 0, 0, 4], b"err\n", &[5, 0, 0, 0, 4, 0, 0, 0, 7]].concat();
    assert_eq!((said.as_slice(), reports, code), (&b"in\n"[..], expected, Some(7)));
}

#[test]
fn in_frames_a_missing_command_is_told_from_one_that_ran() {
    let (said, reports, code) = framed(&["no-such-command"], &[]);
    assert!(said.is_empty() && reports.starts_with(&[2, 0, 0, 0]) && code == Some(127), "{reports:?}");
    let (_, reports, _) = framed(&["sh", "-c", "exit 127"], &[]);
    assert_eq!(reports, [STARTED, &[5, 0, 0, 0, 4, 0, 0, 0, 127]].concat());
}

#[test]
fn in_frames_the_order_to_end_is_heard_behind_input_that_nobody_reads() {
    let block = [&[1, 0, 1, 0, 0][..], "x".repeat(65_536).as_bytes()].concat();
    let orders = [block.repeat(4).as_slice(), KILL].concat();
    let (_, reports, code) = framed(&["sh", "-c", "trap '' TERM; sleep 1000; sleep 1000"], &orders);
    assert!(reports.starts_with(STARTED) && reports.ends_with(KILLED), "{reports:?}");
    assert_eq!(code, Some(137));
}

#[test]
fn in_frames_what_is_no_frame_and_more_than_was_granted_end_the_command() {
    let block = [&[1, 0, 1, 0, 0][..], "x".repeat(65_536).as_bytes()].concat();
    for orders in [b"garbage".to_vec(), block.repeat(6)] {
        let (_, reports, _) = framed(&["sleep", "1000"], &orders);
        assert!(reports.ends_with(KILLED), "{reports:?}");
    }
}
