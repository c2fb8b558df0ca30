//! The rows M1 to M6 of the fault matrix.

use crate::{
    sandbox::FakeSandbox,
    script::{Io, assert_failed, call, connect, connect_with, echo, echoed},
};
use futures::future::join;
use lockkeeper_domain::{Code, Outcome};
use lockkeeper_mcp_client::Config;
use lockkeeper_ports::ExecStatus;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, time::Instant};

fn notification(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

#[tokio::test(start_paused = true)]
async fn m1_a_server_that_never_answers_is_told_and_then_ended() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        io.call().await.expect("a call");
        // It reads, so that the test sees what it is told, and answers nothing at all any more.
        while io.message().await.is_some() {}
        std::future::pending().await
    });
    sandbox.program("good", echo);
    let session = connect(&sandbox, &["a", "good"]).await;
    let before = Instant::now();
    assert_failed(&call(&*session, "a", "x", json!({})).await, Code::ToolTimeout, "unknown whether it took effect");
    assert_eq!(before.elapsed().as_secs(), 60);
    seen.wait_for("notifications/cancelled").await;
    seen.wait_for_ends(1).await;
    assert_eq!(before.elapsed().as_secs(), 64, "two graces: to react to the cancellation, and to a ping");
    assert_eq!(echoed(&*session, "good").await, "still here");
    assert_eq!(session.status()[0].code, Some(Code::ToolTimeout));
}

#[tokio::test(start_paused = true)]
async fn m1_a_server_that_still_reacts_is_kept() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        io.call().await.expect("a call");
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    assert_failed(&call(&*session, "a", "x", json!({})).await, Code::ToolTimeout, "");
    seen.wait_for("ping").await;
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(echoed(&*session, "a").await, "still here");
    assert_eq!(*seen.starts.borrow(), 1);
}

#[tokio::test(start_paused = true)]
async fn m2_a_server_that_hangs_in_initialize_is_left_out_after_ten_seconds() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        while io.message().await.is_some() {}
        std::future::pending().await
    });
    sandbox.program("good", echo);
    let before = Instant::now();
    let session = connect(&sandbox, &["a", "good"]).await;
    assert_eq!(before.elapsed().as_secs(), 10);
    let status = session.status();
    assert_eq!((status[0].code, status[1].tools), (Some(Code::ToolTimeout), Some(1)));
    assert!(status[0].problem.as_ref().is_some_and(|problem| problem.contains("initialize within 10 s")));
    seen.wait_for_ends(1).await;
    assert_eq!(echoed(&*session, "good").await, "still here");
}

#[tokio::test(start_paused = true)]
async fn m2_a_server_that_hangs_in_its_list_is_left_out_too() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        while let Some(message) = io.message().await {
            if message["method"] != "tools/list" {
                io.answer(&message).await;
            }
        }
        ExecStatus::Exited(0)
    });
    let before = Instant::now();
    let session = connect(&sandbox, &["a"]).await;
    assert_eq!((before.elapsed().as_secs(), session.status()[0].code), (10, Some(Code::ToolTimeout)));
}

#[tokio::test(start_paused = true)]
async fn m3_too_much_garbage_ends_the_server_and_its_calls() {
    let deep = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}{}}}\n", "[".repeat(64), "]".repeat(64));
    for garbage in [
        b"nonsense\n".repeat(11),
        format!("{}\n", "A".repeat(65 << 10)).into_bytes(),
        b"[]\n{}\n".repeat(6),
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\n".repeat(11),
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"\xff\"}\n".repeat(11),
        deep.repeat(11).into_bytes(),
    ] {
        let sandbox = Arc::new(FakeSandbox::default());
        let seen = sandbox.program("a", move |mut io: Io| {
            let garbage = garbage.clone();
            async move {
                io.call().await.expect("a call");
                io.call().await.expect("another one");
                io.raw(garbage).await;
                echo(io).await
            }
        });
        sandbox.program("good", echo);
        let session = connect(&sandbox, &["a", "good"]).await;
        let calls = join(call(&*session, "a", "x", json!({})), call(&*session, "a", "x", json!({})));
        let (first, second) = calls.await;
        assert_failed(&first, Code::ToolProtocol, "no MCP messages");
        assert_failed(&second, Code::ToolProtocol, "unknown whether it took effect");
        seen.wait_for_ends(1).await;
        assert_eq!(echoed(&*session, "good").await, "still here");
    }
}

#[tokio::test(start_paused = true)]
async fn m3_ten_lines_of_garbage_are_borne() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        io.raw("nonsense\n".repeat(10)).await;
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    assert_eq!(echoed(&*session, "a").await, "still here");
}

#[tokio::test(start_paused = true)]
async fn m4_a_giant_line_fails_the_call_that_it_answers_and_no_other() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        let (first, second) = (io.call().await.expect("one"), io.call().await.expect("two"));
        io.say(&first["id"], &"A".repeat(2 << 20)).await;
        io.say(&second["id"], "small").await;
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    let (first, second) = join(call(&*session, "a", "x", json!({})), call(&*session, "a", "x", json!({}))).await;
    assert_failed(&first, Code::ToolOutputTooLarge, "");
    assert_eq!((second.outcome, second.text().as_str()), (Outcome::Succeeded, "small"));
}

/// The TypeScript SDK writes `id` after `result`.
#[tokio::test(start_paused = true)]
async fn giant_answer_with_id_last_fails_its_own_call() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        let (first, second) = (io.call().await.expect("one"), io.call().await.expect("two"));
        let content = json!([{"type": "text", "text": "A".repeat(2 << 20)}]);
        let giant = json!({"result": {"content": content}, "jsonrpc": "2.0", "id": first["id"]});
        io.send(&giant).await;
        io.say(&second["id"], "small").await;
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    let (first, second) = join(call(&*session, "a", "x", json!({})), call(&*session, "a", "x", json!({}))).await;
    assert_failed(&first, Code::ToolOutputTooLarge, "the tool ran");
    assert_eq!((second.outcome, second.text().as_str()), (Outcome::Succeeded, "small"));
}

/// Where neither end of a line tells its request, no call is reported to have run.
#[tokio::test(start_paused = true)]
async fn giant_line_without_id_cancels_all_calls_as_unknown() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        io.call().await.expect("one");
        io.call().await.expect("two");
        io.raw(vec![b'A'; 2 << 20]).await;
        io.raw("\n").await;
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    let (first, second) = join(call(&*session, "a", "x", json!({})), call(&*session, "a", "x", json!({}))).await;
    assert_failed(&first, Code::OutcomeUnknown, "unknown whether it took effect");
    assert_failed(&second, Code::OutcomeUnknown, "unknown whether it took effect");
    assert_eq!(echoed(&*session, "a").await, "still here");
}

#[tokio::test(start_paused = true)]
async fn m4_a_giant_notification_fails_no_call_and_an_endless_line_ends_the_server() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        let call = io.call().await.expect("a call");
        io.send(&notification("notifications/message", &json!({"data": "A".repeat(2 << 20)}))).await;
        io.say(&call["id"], "fine").await;
        io.call().await.expect("a call");
        loop {
            io.raw(vec![b'A'; 1 << 16]).await;
        }
    });
    let config = Config { max_skipped_bytes: 4 << 20, restart_backoff_ms: 60_000, ..Config::default() };
    let session = connect_with(&sandbox, &["a"], config).await;
    assert_eq!(call(&*session, "a", "x", json!({})).await.text(), "fine");
    assert_failed(&call(&*session, "a", "x", json!({})).await, Code::ToolOutputTooLarge, "");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(session.status()[0].code, Some(Code::ToolProtocol));
}

#[tokio::test(start_paused = true)]
async fn m5_late_double_and_invented_answers_reach_no_other_call() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        let first = io.call().await.expect("a call that times out");
        let second = io.call().await.expect("a call");
        let id = second["id"].as_i64().expect("a number");
        io.say(&first["id"], "late").await;
        for other in [id + 1, id - 1, -1, 0, i64::MAX] {
            io.say(&json!(other), "invented").await;
        }
        for other in [json!(null), json!({}), json!("x"), json!(1.5)] {
            io.say(&other, "invented").await;
        }
        io.say(&second["id"], "second").await;
        io.say(&second["id"], "second again").await;
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    let first = call(&*session, "a", "x", json!({})).await;
    assert_failed(&first, Code::ToolTimeout, "");
    assert_eq!(call(&*session, "a", "x", json!({})).await.text(), "second");
    assert_eq!(echoed(&*session, "a").await, "still here");
}

#[tokio::test(start_paused = true)]
async fn m6_a_crash_during_a_call_is_told_with_its_status() {
    for (status, code, message) in [
        (ExecStatus::Exited(139), Code::ToolCrashed, "ended with exit status 139"),
        (ExecStatus::Signalled(9), Code::ToolCrashed, "signal 9"),
        (ExecStatus::Lost("the engine is gone".into()), Code::OutcomeUnknown, "the engine is gone"),
    ] {
        let sandbox = Arc::new(FakeSandbox::default());
        sandbox.program("a", move |mut io: Io| {
            let status = status.clone();
            async move {
                io.call().await.expect("a call");
                status
            }
        });
        let session = connect(&sandbox, &["a"]).await;
        let result = call(&*session, "a", "x", json!({})).await;
        assert_failed(&result, code, message);
        assert!(result.text().contains("unknown whether it took effect"));
    }
}

#[tokio::test(start_paused = true)]
async fn m6_an_answer_before_the_crash_counts() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        let call = io.call().await.expect("a call");
        io.say(&call["id"], "last words").await;
        ExecStatus::Exited(1)
    });
    let session = connect(&sandbox, &["a"]).await;
    assert_eq!(call(&*session, "a", "x", json!({})).await.text(), "last words");
}

#[tokio::test(start_paused = true)]
async fn m6_a_server_that_closes_its_output_and_goes_on_is_ended() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        io.call().await.expect("a call");
        io.out.shutdown().await.expect("closes");
        std::future::pending().await
    });
    let session = connect(&sandbox, &["a"]).await;
    assert_failed(&call(&*session, "a", "x", json!({})).await, Code::ToolCrashed, "closed its standard");
    seen.wait_for_ends(1).await;
}
