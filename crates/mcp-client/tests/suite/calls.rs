//! What happens to calls of honest servers.

use crate::{
    sandbox::FakeSandbox,
    script::{Io, assert_failed, call, connect, connect_with, context, echo, echoed, name},
};
use futures::{FutureExt, future::join_all};
use lockkeeper_domain::{Code, Outcome};
use lockkeeper_mcp_client::Config;
use lockkeeper_ports::{ExecStatus, ToolHostError};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

fn progress(token: &Value, step: u32) -> Value {
    let params = json!({"progressToken": token, "progress": step, "message": format!("step\u{7} {step}")});
    json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
}

#[tokio::test(start_paused = true)]
async fn parallel_calls_of_one_server_are_answered_out_of_order() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        let mut held = Vec::new();
        while held.len() < 8 {
            held.push(io.call().await.expect("eight calls"));
        }
        for call in held.iter().rev() {
            io.say(&call["id"], call["params"]["arguments"]["text"].as_str().expect("a text")).await;
        }
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    let calls = (0..8).map(|i| {
        let session = session.clone();
        async move { call(&*session, "a", "x", json!({"text": format!("answer {i}")})).await.text() }
    });
    let expected: Vec<_> = (0..8).map(|i| format!("answer {i}")).collect();
    assert_eq!(join_all(calls).await, expected);
}

#[tokio::test(start_paused = true)]
async fn more_calls_than_allowed_wait_for_their_turn() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        loop {
            let (first, second) = (io.call().await.expect("one"), io.call().await.expect("two"));
            assert!(io.message().now_or_never().is_none(), "a third call at once");
            io.say(&first["id"], "a").await;
            io.say(&second["id"], "b").await;
        }
    });
    let session = connect_with(&sandbox, &["a"], Config { max_concurrent_calls: 2, ..Config::default() }).await;
    let results = join_all((0..6).map(|_| call(&*session, "a", "x", json!({})))).await;
    assert!(results.iter().all(|result| !result.is_error()));
    assert_eq!(seen.count("tools/call"), 6);
}

#[tokio::test(start_paused = true)]
async fn the_server_sees_a_cancellation_and_the_call_returns_at_once() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        while io.call().await.is_some() {}
        ExecStatus::Exited(0)
    });
    let session = connect(&sandbox, &["a"]).await;
    let (context, _progress) = context();
    let cancel = context.cancel.clone();
    let tool = name("a", "x");
    let before = Instant::now();
    let cancelling = async {
        let request = seen.wait_for("tools/call").await;
        cancel.cancel();
        request["id"].clone()
    };
    let (result, id) = tokio::join!(session.call(&tool, json!({}), context), cancelling);
    assert_failed(&result.expect("a result"), Code::Cancelled, "unknown whether it took effect");
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(seen.wait_for("notifications/cancelled").await["params"]["requestId"], id);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_is_cancelled_too() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        while io.call().await.is_some() {}
        ExecStatus::Exited(0)
    });
    let session = connect(&sandbox, &["a"]).await;
    let (context, _progress) = context();
    let tool = name("a", "x");
    tokio::select! {
        _ = session.call(&tool, json!({}), context) => panic!("nothing answers"),
        _ = seen.wait_for("tools/call") => {}
    }
    seen.wait_for("notifications/cancelled").await;
}

#[tokio::test(start_paused = true)]
async fn m8_progress_extends_the_idle_time_and_never_the_total() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        let call = io.call().await.expect("a call");
        let mut step = 0;
        loop {
            step += 1;
            tokio::time::sleep(Duration::from_secs(50)).await;
            io.send(&progress(&call["params"]["_meta"]["progressToken"], step)).await;
        }
    });
    let session = connect(&sandbox, &["a"]).await;
    let (context, mut taken) = context();
    let before = Instant::now();
    let result = session.call(&name("a", "x"), json!({}), context).await.expect("a result");
    assert_failed(&result, Code::ToolTimeout, "within 300 s in all");
    assert_eq!(before.elapsed().as_secs(), 300);
    let first = taken.recv().await.expect("progress");
    assert_eq!((first.progress, first.message.as_deref()), (1.0, Some("step 1")));
}

#[tokio::test(start_paused = true)]
async fn progress_of_another_call_does_not_extend_this_one() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        io.call().await.expect("a call");
        loop {
            tokio::time::sleep(Duration::from_secs(10)).await;
            io.send(&progress(&json!(4711), 1)).await;
        }
    });
    let session = connect(&sandbox, &["a"]).await;
    let before = Instant::now();
    assert_failed(&call(&*session, "a", "x", json!({})).await, Code::ToolTimeout, "within 60 s;");
    assert_eq!(before.elapsed().as_secs(), 60);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_protocol_and_one_of_the_tool_are_results() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        let call = io.call().await.expect("a call");
        let error = json!({"code": -32602, "message": "no such\u{7} path"});
        io.send(&json!({"jsonrpc": "2.0", "id": call["id"], "error": error})).await;
        let call = io.call().await.expect("a call");
        let result = json!({
            "isError": true,
            "structuredContent": {"why": "full"},
            "content": [{"type": "text", "text": "disk full"}, {"type": "resource_link", "uri": "a:b", "name": "n"}],
        });
        io.send(&json!({"jsonrpc": "2.0", "id": call["id"], "result": result})).await;
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    assert_failed(&call(&*session, "a", "x", json!({})).await, Code::ToolFailed, "no such path (error -32602)");
    let result = call(&*session, "a", "x", json!({})).await;
    assert_eq!(result.outcome, Outcome::Failed(Code::ToolFailed));
    assert_eq!((result.structured, result.content.len()), (Some(json!({"why": "full"})), 2));
}

#[tokio::test(start_paused = true)]
async fn arguments_that_are_no_object_or_too_large_reach_no_server() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", echo);
    let session = connect(&sandbox, &["a"]).await;
    assert_failed(&call(&*session, "a", "x", json!([1])).await, Code::InvalidArguments, "not sent");
    let huge = json!({"text": "A".repeat(1 << 20)});
    assert_failed(&call(&*session, "a", "x", huge).await, Code::TooLarge, "1048576 bytes");
    assert_eq!(seen.count("tools/call"), 0);
    let almost = "A".repeat((1 << 20) - 100);
    assert!(call(&*session, "a", "x", json!({"text": almost.clone()})).await.text() == almost);
    assert_eq!(echoed(&*session, "a").await, "still here");
}

#[tokio::test(start_paused = true)]
async fn close_closes_the_input_and_kills_what_ignores_it() {
    let sandbox = Arc::new(FakeSandbox::default());
    let polite = sandbox.program("polite", echo);
    let stubborn = sandbox.program("stubborn", |mut io: Io| async move {
        while io.call().await.is_some() {}
        std::future::pending().await
    });
    let session = connect(&sandbox, &["polite", "stubborn"]).await;
    let before = Instant::now();
    session.close().await;
    assert_eq!(before.elapsed(), Duration::from_secs(2), "the grace, and no more");
    polite.wait_for_ends(1).await;
    stubborn.wait_for_ends(1).await;
    assert_eq!((*polite.kills.borrow(), *stubborn.kills.borrow()), (0, 1));
    let (context, _progress) = context();
    let late = session.call(&name("polite", "x"), json!({}), context).await;
    assert!(matches!(late, Err(ToolHostError::SandboxGone)));
}

#[tokio::test(start_paused = true)]
async fn dropping_the_session_ends_its_servers() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        while io.call().await.is_some() {}
        std::future::pending().await
    });
    let session = connect(&sandbox, &["a"]).await;
    drop(session);
    seen.wait_for_ends(1).await;
}
