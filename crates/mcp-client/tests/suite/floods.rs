//! The rows M7 to M11 of the fault matrix.

use crate::{
    sandbox::FakeSandbox,
    script::{Io, assert_failed, call, connect, echo, echoed, said, tool},
};
use futures::future::join;
use lockkeeper_domain::{Code, Outcome};
use lockkeeper_ports::ExecStatus;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::{io::AsyncWriteExt, time::Instant};

fn notification(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

#[tokio::test(start_paused = true)]
async fn m7_a_flood_of_stderr_blocks_nothing_and_only_its_end_is_kept() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        let call = io.call().await.expect("a call");
        let noise = b"noise \x1b[31m\n".repeat(100_000);
        for _ in 0..20 {
            io.err.write_all(&noise).await.expect("drained");
        }
        io.err.write_all("last\u{202e} words\n".as_bytes()).await.expect("drained");
        io.say(&call["id"], "done").await;
        io.call().await;
        ExecStatus::Exited(1)
    });
    let session = connect(&sandbox, &["a"]).await;
    assert_eq!(call(&*session, "a", "x", json!({})).await.text(), "done");
    assert_failed(&call(&*session, "a", "x", json!({})).await, Code::ToolCrashed, "");
    let problem = session.status()[0].problem.clone().expect("a problem");
    assert!(problem.ends_with("last\\u{202E} words") && problem.len() < 2048, "{problem}");
}

#[tokio::test(start_paused = true)]
async fn m8_a_flood_of_notifications_ends_the_server() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        io.call().await.expect("a call");
        loop {
            io.send(&notification("notifications/message", &json!({"level": "info", "data": "spam"}))).await;
        }
    });
    sandbox.program("good", echo);
    let session = connect(&sandbox, &["a", "good"]).await;
    assert_failed(&call(&*session, "a", "x", json!({})).await, Code::ToolProtocol, "nobody asked for");
    assert_eq!(echoed(&*session, "good").await, "still here");
}

/// Covers: M8
#[tokio::test(start_paused = true)]
async fn unasked_bytes_over_the_rate_wait_for_the_next_second() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        let call = io.call().await.expect("a call");
        let spam = "x".repeat(500_000);
        for at in 0..100 {
            // Also answers that nobody waits for.
            let message = match at % 2 {
                0 => notification("notifications/message", &json!({"level": "info", "data": spam})),
                _ => said(&json!(1_000_000 + at), &spam),
            };
            io.send(&message).await;
        }
        io.say(&call["id"], "done").await;
        echo(io).await
    });
    sandbox.program("good", echo);
    let session = connect(&sandbox, &["a", "good"]).await;
    let started = Instant::now();
    let other = async {
        assert_eq!(echoed(&*session, "good").await, "still here");
        started.elapsed()
    };
    let (flooded, other) = join(call(&*session, "a", "x", json!({})), other).await;
    assert_eq!(flooded.text(), "done", "its own call waits, and ends");
    let (taken, other) = (started.elapsed().as_secs(), other.as_secs());
    assert!((10..=13).contains(&taken), "50 MB in {taken} s, where 4 MiB a second are read");
    assert_eq!(other, 0, "a server beside it waited");
}

#[tokio::test(start_paused = true)]
async fn m8_progress_over_the_rate_is_dropped() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        let call = io.call().await.expect("a call");
        let token = call["params"]["_meta"]["progressToken"].clone();
        for step in 0..1000 {
            io.send(&notification("notifications/progress", &json!({"progressToken": token, "progress": step}))).await;
        }
        io.say(&call["id"], "done").await;
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    let (progress, mut taken) = tokio::sync::mpsc::channel(2000);
    let (mut context, _unused) = crate::script::context();
    context.progress = progress;
    let result = session.call(&crate::script::name("a", "x"), json!({}), context).await.expect("a result");
    assert_eq!(result.text(), "done");
    let mut count = 0;
    while taken.recv().await.is_some() {
        count += 1;
    }
    assert_eq!(count, 200);
}

#[tokio::test(start_paused = true)]
async fn m9_a_tool_list_that_keeps_changing_is_no_endless_loop() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        while let Some(message) = io.message().await {
            if message["method"] == "tools/list" {
                io.send(&notification("notifications/tools/list_changed", &json!({}))).await;
            }
            io.answer(&message).await;
        }
        ExecStatus::Exited(0)
    });
    let session = connect(&sandbox, &["a"]).await;
    assert_failed(&call(&*session, "a", "x", json!({})).await, Code::ToolProtocol, "keeps changing");
    assert_eq!((seen.count("tools/list"), seen.count("tools/call")), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn m10_requests_of_a_server_are_refused_and_a_ping_is_answered() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        io.tools = vec![tool("x")];
        let call = io.call().await.expect("a call");
        for (id, method) in
            [(json!(1), "sampling/createMessage"), (json!("r"), "roots/list"), (json!(2), "elicitation/create")]
        {
            io.send(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {}})).await;
            let answer = io.message().await.expect("an answer");
            assert_eq!((&answer["id"], &answer["error"]["code"]), (&id, &json!(-32601)), "{method}");
        }
        io.send(&json!({"jsonrpc": "2.0", "id": 3, "method": "ping"})).await;
        assert_eq!(io.message().await.expect("an answer"), json!({"jsonrpc": "2.0", "id": 3, "result": {}}));
        io.raw(format!("{}\n", said(&call["id"], "refused, as I hoped"))).await;
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    assert_eq!(call(&*session, "a", "x", json!({})).await.text(), "refused, as I hoped");
    assert_eq!(*seen.starts.borrow(), 1);
}

#[tokio::test(start_paused = true)]
async fn m11_a_server_that_does_not_read_is_ended_by_the_write_deadline() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        io.call().await.expect("a call");
        std::future::pending().await
    });
    sandbox.program("good", echo);
    let session = connect(&sandbox, &["a", "good"]).await;
    let large = json!({"text": "A".repeat(512 << 10)});
    let before = Instant::now();
    let calls = join(call(&*session, "a", "x", json!({})), call(&*session, "a", "x", large)).await;
    assert_failed(&calls.0, Code::ToolTimeout, "did not read its standard input for 10 s");
    assert_failed(&calls.1, Code::ToolTimeout, "");
    assert_eq!(before.elapsed().as_secs(), 10);
    seen.wait_for_ends(1).await;
    assert_eq!(echoed(&*session, "good").await, "still here");
}

#[tokio::test(start_paused = true)]
async fn m11_what_waits_for_a_server_that_does_not_read_is_bounded() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        io.call().await.expect("a call");
        std::future::pending().await
    });
    let session = connect(&sandbox, &["a"]).await;
    let large = json!({"text": "A".repeat(900 << 10)});
    let calls = (0..8).map(|_| call(&*session, "a", "x", large.clone()));
    let results = futures::future::join_all(calls).await;
    let unsent = results.iter().filter(|result| result.text().contains("not sent")).count();
    assert!(unsent >= 5, "{unsent} of 8 calls were refused for lack of room");
    assert!(results.iter().all(|result| result.outcome == Outcome::Failed(Code::ToolTimeout)));
}
