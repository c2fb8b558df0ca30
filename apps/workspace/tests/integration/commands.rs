//! `execute_command`: results, limits, and the end of every process.

use std::fs;

use serde_json::{Value, json};

use crate::{
    client::{BINARY, Client},
    process::Watched,
};

/// Starts a grandchild that ignores TERM, and tells its pid through the FIFO `pid`.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & echo $! > pid; wait; sleep 1000";

#[test]
fn a_result_tells_output_and_status_apart() {
    let mut client = Client::start(&[]);
    let outcome = client.run("echo out; echo err >&2; exit 3");
    outcome.expect_error("out\n[stderr]\nerr\n[Exit code 3.]");
    let mut structured = outcome.structured().clone();
    assert!(structured["durationMs"].take().as_u64().is_some_and(|millis| millis < 10_000));
    let expected = json!({
        "exitCode": 3, "signal": null, "timedOut": false, "stdout": "out\n", "stderr": "err\n",
        "durationMs": null, "truncated": false
    });
    assert_eq!(structured, expected);
    client.run("true").expect_text("[No output.]");
    let killed = client.run("kill -9 $$");
    killed.expect_error("[Ended by signal 9.]");
    assert_eq!((&killed.structured()["exitCode"], &killed.structured()["signal"]), (&Value::Null, &json!(9)));
}

#[test]
fn a_command_starts_in_the_workspace_with_little_environment_and_no_input() {
    let mut client = Client::start(&[]);
    fs::create_dir(client.root().join("sub")).expect("made");
    let root = client.root().canonicalize().expect("it exists");
    client.run("pwd").expect_text(root.to_str().expect("UTF-8"));
    let below = client.call("execute_command", &json!({ "command": "pwd", "cwd": "sub" }));
    below.expect_text(root.join("sub").to_str().expect("UTF-8"));
    let names = client.run("env | cut -d= -f1 | grep -v -e PWD -e SHLVL -e '^_$' | sort");
    names.expect_text("HOME\nLANG\nPATH");
    client.run("cat").expect_text("[No output.]");
    let missing = json!({ "command": "pwd", "cwd": "none" });
    client.call("execute_command", &missing).expect_error("none does not exist");
}

#[test]
fn long_output_keeps_its_start_and_its_end() {
    let mut client = Client::start(&["--max-output-bytes", "1000"]);
    let outcome = client.run("echo start; seq 1 200000; echo end; echo oops >&2");
    let stdout = outcome.structured()["stdout"].as_str().expect("text");
    assert!(stdout.starts_with("start\n1\n2\n") && stdout.ends_with("200000\nend\n"), "{stdout}");
    // 1,288,895 bytes of numbers and 10 of words, less the 1,000 that are kept.
    assert!(stdout.contains("\n[... 1287905 bytes omitted ...]\n"), "{stdout}");
    assert_eq!(outcome.structured()["truncated"], true);
    assert_eq!(outcome.structured()["stderr"], "oops\n");
}

#[test]
fn output_of_any_bytes_is_told_as_valid_json() {
    let mut client = Client::start(&[]);
    let outcome = client.run(r"printf 'a\000b\377\033[31mc'");
    outcome.expect_text("a\0b\u{fffd}\u{1b}[31mc");
}

#[test]
fn a_timeout_ends_the_whole_tree() {
    let mut client = Client::start(&["--kill-grace-ms", "50"]);
    let fifo = client.fifo("pid");
    let call = json!({ "command": format!("echo early; {STUBBORN}"), "timeout_ms": 500 });
    let id = client.send_call("execute_command", &call);
    let grandchild = Watched::from_fifo(&fifo);
    let outcome = client.outcome(id);
    grandchild.expect_end();
    outcome.expect_error("early\n[Timed out and killed after");
    assert_eq!(outcome.structured()["timedOut"], true);
    assert_eq!(outcome.structured()["signal"], 9);
}

#[test]
fn a_timeout_ends_what_left_the_process_group() {
    let mut client = Client::start(&["--kill-grace-ms", "50"]);
    let fifo = client.fifo("pid");
    let command = "setsid sh -c 'trap \"\" TERM; echo $$ > pid; sleep 1000; :' & wait";
    let id = client.send_call("execute_command", &json!({ "command": command, "timeout_ms": 500 }));
    let stray = Watched::from_fifo(&fifo);
    client.outcome(id).expect_error("Timed out");
    stray.expect_end();
}

#[test]
fn what_is_printed_on_the_term_is_kept() {
    let mut client = Client::start(&[]);
    let command = "trap 'echo last words; exit 5' TERM; sleep 1000 & wait";
    let outcome = client.call("execute_command", &json!({ "command": command, "timeout_ms": 300 }));
    outcome.expect_error("last words\n[Timed out");
    assert_eq!(outcome.structured()["exitCode"], 5);
}

#[test]
fn a_cancelled_call_ends_its_tree_and_is_not_answered() {
    let mut client = Client::start(&["--kill-grace-ms", "50"]);
    let fifo = client.fifo("pid");
    let id = client.send_call("execute_command", &json!({ "command": STUBBORN }));
    let grandchild = Watched::from_fifo(&fifo);
    client.notify("notifications/cancelled", &json!({ "requestId": id, "reason": "enough" }));
    grandchild.expect_end();
    client.run("echo next").expect_text("next");
    assert!(!client.answered(id));
}

#[test]
fn calls_run_side_by_side() {
    let mut client = Client::start(&[]);
    client.fifo("there");
    client.fifo("back");
    // Each waits for the other: in turn, neither would end.
    let first = client.send_call("execute_command", &json!({ "command": "echo ping > there; cat back" }));
    let second = client.send_call("execute_command", &json!({ "command": "cat there; echo pong > back" }));
    client.call("list_files", &json!({})).expect_text("other  back  0\nother  there  0\n");
    client.outcome(second).expect_text("ping");
    client.outcome(first).expect_text("pong");
}

#[test]
fn commands_above_the_limit_are_refused() {
    let mut client = Client::start(&["--max-commands", "1"]);
    let gate = client.fifo("gate");
    let blocked = client.send_call("execute_command", &json!({ "command": "cat gate" }));
    client.run("true").expect_error("1 commands are running already");
    fs::write(gate, "open").expect("written");
    client.outcome(blocked).expect_text("open");
    client.run("echo free").expect_text("free");
}

#[test]
fn progress_is_told_while_a_command_runs() {
    let mut client = Client::start(&["--progress-ms", "20"]);
    let gate = client.fifo("gate");
    let call = json!({
        "name": "execute_command",
        "arguments": { "command": "cat gate", "timeout_ms": 60_000 },
        "_meta": { "progressToken": "t1" }
    });
    let id = client.send("tools/call", &call);
    let mut last = 0.0;
    for _ in 0..3 {
        let progress = client.await_message(|message| message["method"] == "notifications/progress");
        let elapsed = progress["params"]["progress"].as_f64().expect("a number");
        assert!(elapsed > last, "progress must grow");
        last = elapsed;
        assert_eq!(progress["params"]["progressToken"], "t1");
        assert_eq!(progress["params"]["total"], 60.0);
    }
    fs::write(gate, "open").expect("written");
    client.outcome(id).expect_text("open");
}

#[test]
fn a_background_process_lives_until_the_session_ends() {
    let mut client = Client::start(&[]);
    let fifo = client.fifo("pid");
    let id = client
        .send_call("execute_command", &json!({ "command": "sleep 1000 >log 2>&1 & echo $! > pid; echo started" }));
    let background = Watched::from_fifo(&fifo);
    client.outcome(id).expect_text("started\n[Processes go on in the background.]");
    client.run("true");
    assert!(background.is_alive());
    client.hang_up();
    background.expect_end();
}

#[test]
fn a_background_process_that_holds_the_output_does_not_hold_the_call() {
    let mut client = Client::start(&[]);
    let fifo = client.fifo("pid");
    let id = client.send_call("execute_command", &json!({ "command": "sleep 1000 & echo $! > pid; echo here" }));
    let background = Watched::from_fifo(&fifo);
    client.outcome(id).expect_text("here\n[Processes go on in the background.]");
    assert!(background.is_alive());
}

#[test]
fn a_term_ends_running_commands_and_the_server() {
    let mut client = Client::start(&["--kill-grace-ms", "50"]);
    let fifo = client.fifo("pid");
    client.send_call("execute_command", &json!({ "command": STUBBORN }));
    let grandchild = Watched::from_fifo(&fifo);
    let server = rustix::process::Pid::from_child(&client.server);
    rustix::process::kill_process(server, rustix::process::Signal::TERM).expect("it lives");
    grandchild.expect_end();
    assert!(client.server.wait().expect("it ends").success());
}

#[test]
fn hanging_up_on_the_supervised_server_ends_its_commands() {
    let supervised = [BINARY, "run", "--grace-ms", "200", "--drain-ms", "20", "--", BINARY];
    let mut client = Client::uninitialised(&supervised, &[]);
    client.initialize("2025-11-25");
    let fifo = client.fifo("pid");
    client.send_call("execute_command", &json!({ "command": STUBBORN }));
    let grandchild = Watched::from_fifo(&fifo);
    client.hang_up();
    grandchild.expect_end();
}
