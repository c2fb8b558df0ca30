//! The fifteen hostile servers: each does one bad thing with the first call, and is honest but for that. A second
//! server of the same session must not notice. They are the rows A19 to A26 of the abuse suite, in its order: a giant
//! line (A19), garbage (A20), broken text (A21), no answer (A22), answers twice or under a wrong id (A23), an exit (A24),
//! deep nesting (A25) and a batch (A26).

use crate::{
    sandbox::FakeSandbox,
    script::{Io, assert_failed, call, connect, echo, echoed, said},
};
use lockkeeper_domain::{Code, Outcome, ToolResult};
use lockkeeper_ports::{ExecStatus, ToolSession};
use serde_json::{Value, json};
use std::sync::Arc;

/// What becomes of the first call of a server that does `bad` with it, and the session.
async fn check<F, R>(bad: F) -> (ToolResult, Arc<dyn ToolSession>)
where
    F: Fn(Io, Value) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Option<Io>> + Send,
{
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("bad", move |mut io| {
        let bad = bad.clone();
        async move {
            let Some(first) = io.call().await else { return ExecStatus::Exited(0) };
            match bad(io, first).await {
                Some(io) => echo(io).await,
                None => ExecStatus::Exited(7),
            }
        }
    });
    sandbox.program("good", echo);
    let session = connect(&sandbox, &["bad", "good"]).await;
    let result = call(&*session, "bad", "x", json!({})).await;
    assert_eq!(echoed(&*session, "good").await, "still here");
    (result, session)
}

/// As [`check`]; the bad server must also serve its next call.
async fn check_recovers<F, R>(bad: F) -> ToolResult
where
    F: Fn(Io, Value) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Option<Io>> + Send,
{
    let (result, session) = check(bad).await;
    assert_eq!(echoed(&*session, "bad").await, "still here");
    result
}

/// As [`check_recovers`] for a server that writes `line` as its answer.
async fn check_line(line: impl Fn(&Value) -> Vec<u8> + Clone + Send + Sync + 'static) -> ToolResult {
    check_recovers(move |mut io, first| {
        let line = line(&first["id"]);
        async move {
            io.raw(line).await;
            Some(io)
        }
    })
    .await
}

fn answer(id: &Value, result: impl std::fmt::Display) -> Vec<u8> {
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{result}}}\n").into_bytes()
}

#[tokio::test(start_paused = true)]
async fn a22_a_call_that_is_never_answered_times_out() {
    let result = check_line(|_| Vec::new()).await;
    assert_failed(&result, Code::ToolTimeout, "within 60 s");
}

#[tokio::test(start_paused = true)]
async fn a20_garbage_answers_no_call() {
    let result = check_line(|_| b"Traceback (most recent call last):\n  boom\n".to_vec()).await;
    assert_failed(&result, Code::ToolTimeout, "unknown whether it took effect");
}

#[tokio::test(start_paused = true)]
async fn a21_truncated_json_answers_no_call() {
    let result = check_line(|id| {
        let mut line = said(id, "x").to_string().into_bytes();
        line.truncate(line.len() - 6);
        line.push(b'\n');
        line
    })
    .await;
    assert_failed(&result, Code::ToolTimeout, "");
}

#[tokio::test(start_paused = true)]
async fn a21_invalid_utf8_answers_no_call() {
    let result = check_line(|id| {
        let line = said(id, "??").to_string().into_bytes();
        let mut line: Vec<u8> = line.into_iter().map(|byte| if byte == b'?' { 0xff } else { byte }).collect();
        line.push(b'\n');
        line
    })
    .await;
    assert_failed(&result, Code::ToolTimeout, "");
}

#[tokio::test(start_paused = true)]
async fn m4_a19_giant_line_is_skipped_in_bounded_memory() {
    let before = peak_kib();
    let result = check_recovers(|mut io, _| async move {
        let mebibyte = vec![b'A'; 1 << 20];
        for _ in 0..48 {
            io.raw(&mebibyte).await;
        }
        io.raw("\n").await;
        Some(io)
    })
    .await;
    assert_failed(&result, Code::ToolOutputTooLarge, "1048576 bytes");
    let grown = peak_kib() - before;
    assert!(grown < 12 << 10, "the process grew by {grown} KiB");
}

#[tokio::test(start_paused = true)]
async fn m4_a19_giant_valid_answer_is_refused() {
    let result = check_line(|id| {
        let mut line = said(id, &"A".repeat(15 << 20)).to_string().into_bytes();
        line.push(b'\n');
        line
    })
    .await;
    assert_failed(&result, Code::ToolOutputTooLarge, "the tool ran");
}

#[tokio::test(start_paused = true)]
async fn a23_an_answer_under_a_wrong_id_is_for_no_call() {
    let result = check_line(|_| answer(&json!(99_999), json!({"content": []}))).await;
    assert_failed(&result, Code::ToolTimeout, "");
}

#[tokio::test(start_paused = true)]
async fn string_id() {
    let result =
        check_line(|id| answer(&json!(id.to_string()), json!({"content": [{"type": "text", "text": "ok"}]}))).await;
    assert_eq!((result.outcome, result.text().as_str()), (Outcome::Succeeded, "ok"));
}

#[tokio::test(start_paused = true)]
async fn a23_the_first_of_two_answers_counts() {
    let result = check_line(|id| format!("{}\n{}\n", said(id, "first"), said(id, "second")).into_bytes()).await;
    assert_eq!((result.outcome, result.text().as_str()), (Outcome::Succeeded, "first"));
}

#[tokio::test(start_paused = true)]
async fn wrong_shape() {
    let result = check_line(|id| answer(id, 42)).await;
    assert_failed(&result, Code::ToolProtocol, "no result of a tool call");
}

#[tokio::test(start_paused = true)]
async fn jsonrpc_1_0() {
    let result =
        check_line(|id| format!("{{\"jsonrpc\":\"1.0\",\"id\":{id},\"result\":{{\"content\":[]}}}}\n").into_bytes())
            .await;
    assert_failed(&result, Code::ToolTimeout, "");
}

#[tokio::test(start_paused = true)]
async fn a25_deep_nesting_answers_no_call() {
    let result = check_line(|id| answer(id, format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)))).await;
    assert_failed(&result, Code::ToolTimeout, "");
}

#[tokio::test(start_paused = true)]
async fn a24_an_exit_during_a_call_is_told_with_its_status() {
    let (result, session) = check(|mut io, _| async move {
        io.raw("{\"jsonrpc\":\"2.0\",\"id\":").await;
        None
    })
    .await;
    assert_failed(&result, Code::ToolCrashed, "ended with exit status 7 during the call");
    let status = &session.status()[0];
    assert_eq!((status.tools, status.code), (None, Some(Code::ToolCrashed)));
}

#[tokio::test(start_paused = true)]
async fn a26_a_batch_answers_no_call() {
    let result = check_line(|id| format!("[{}]\n", said(id, "x")).into_bytes()).await;
    assert_failed(&result, Code::ToolTimeout, "");
}

#[tokio::test(start_paused = true)]
async fn ansi() {
    // Results are kept as they came; whoever shows them cleans them.
    let text = "\u{1b}[2J\u{1b}]8;;http://evil\u{7}click\u{202e}gpj.exe\u{e0041}\u{200b}";
    let result = check_line(move |id| format!("{}\n", said(id, text)).into_bytes()).await;
    assert_eq!((result.outcome, result.text().as_str()), (Outcome::Succeeded, text));
}

/// The most memory that this process ever held. Each test is a process of its own under nextest.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is there");
    peak.trim().trim_end_matches(" kB").parse().expect("a number")
}
