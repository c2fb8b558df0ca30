//! Servers that are looked after: pings, restarts without a call, and servers that are held back.

use crate::{
    sandbox::{FakeSandbox, Seen},
    script::{Io, call, connect, connect_with, context, echo, echoed, name, server},
};
use futures::StreamExt as _;
use lockkeeper_domain::Code;
use lockkeeper_mcp_client::{Config, McpToolHost};
use lockkeeper_ports::{ExecStatus, SandboxId, ServerState, ToolHost, ToolSession, TraceContext};
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

/// A server that stops to answer anything at its first start, once it has listed its tools.
fn mute(sandbox: &FakeSandbox) -> Arc<Seen> {
    let starts = AtomicUsize::new(0);
    sandbox.program("a", move |mut io: Io| {
        let first = starts.fetch_add(1, Ordering::AcqRel) == 0;
        async move {
            while let Some(message) = io.message().await {
                if first && message["method"] == "ping" {
                    std::future::pending::<()>().await;
                }
                io.answer(&message).await;
            }
            ExecStatus::Exited(0)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_a_ping_while_idle_is_started_again() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = mute(&sandbox);
    let session = connect(&sandbox, &["a"]).await;
    let (mut changes, before) = (session.changes(), Instant::now());
    let down = changes.next().await.expect("a change");
    assert_eq!((down.state, down.code, down.tools), (ServerState::Restarting, Some(Code::ToolTimeout), None));
    assert!(down.problem.is_some_and(|problem| problem.contains("did not answer a ping within 10 s")));
    assert_eq!(before.elapsed().as_secs(), 40, "30 s without a call, and 10 s for the answer");
    let up = changes.next().await.expect("a change");
    assert_eq!((up.state, up.tools, up.problem), (ServerState::Up, Some(1), None));
    assert_eq!((*seen.starts.borrow(), seen.count("tools/call")), (2, 0));
    assert_eq!(session.status()[0].state, ServerState::Up);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_pings_is_kept_and_none_is_sent_where_that_is_configured() {
    for (ping_secs, pings) in [(30, 4), (0, 0)] {
        let sandbox = Arc::new(FakeSandbox::default());
        let seen = sandbox.program("a", echo);
        let session = connect_with(&sandbox, &["a"], Config { ping_secs, ..Config::default() }).await;
        tokio::time::sleep(Duration::from_secs(125)).await;
        assert_eq!((seen.count("ping"), *seen.starts.borrow()), (pings, 1));
        assert_eq!(echoed(&*session, "a").await, "still here");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ends_too_often_is_left_to_the_next_call() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        while let Some(message) = io.message().await {
            let is_list = message["method"] == "tools/list";
            io.answer(&message).await;
            if is_list {
                break;
            }
        }
        ExecStatus::Exited(3)
    });
    let session = connect(&sandbox, &["a"]).await;
    let mut changes = session.changes();
    let last = loop {
        let change = changes.next().await.expect("a change");
        if change.state == ServerState::Down {
            break change;
        }
    };
    assert_eq!(last.code, Some(Code::ToolCrashed));
    assert_eq!(*seen.starts.borrow(), 6, "once, and five times again");
    tokio::time::sleep(Duration::from_mins(11)).await;
    assert_eq!(*seen.starts.borrow(), 6, "nobody called");
}

/// A host, and what becomes of a server in each of its sandboxes.
struct Host(McpToolHost);

impl Host {
    fn new(sandbox: &Arc<FakeSandbox>) -> Self {
        Self(McpToolHost::new(sandbox.clone(), Config::default()).expect("valid"))
    }

    async fn connect(&self) -> Arc<dyn ToolSession> {
        let sandbox = SandboxId::new("sandbox");
        self.0.connect(None, &sandbox, &[server("a")], Arc::new(|_| ())).await.expect("the sandbox is there")
    }
}

/// Covers: M2
#[tokio::test(start_paused = true)]
async fn server_that_never_starts_is_held_back_and_tried_again() {
    let works = Arc::new(AtomicBool::new(false));
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", {
        let works = works.clone();
        move |mut io: Io| {
            let works = works.load(Ordering::Acquire);
            async move {
                if works {
                    return echo(io).await;
                }
                while io.message().await.is_some() {}
                std::future::pending().await
            }
        }
    });
    let host = Host::new(&sandbox);
    for _ in 0..5 {
        assert_eq!(host.connect().await.status()[0].state, ServerState::Down);
    }
    let before = Instant::now();
    let held_back = &host.connect().await.status()[0];
    assert_eq!((held_back.state, held_back.code), (ServerState::HeldBack, Some(Code::ToolCrashed)));
    assert!(held_back.problem.as_ref().is_some_and(|problem| problem.contains("tried again in 30 s")));
    assert_eq!((before.elapsed(), *seen.starts.borrow()), (Duration::ZERO, 5), "nobody waits for it any more");
    assert_eq!(host.0.health()[0].held_back, Some(Duration::from_secs(30)));
    works.store(true, Ordering::Release);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let session = host.connect().await;
    assert_eq!((session.status()[0].state, host.0.health()[0].held_back), (ServerState::Up, None));
    assert_eq!(host.connect().await.status()[0].state, ServerState::Up);
}

#[tokio::test(start_paused = true)]
async fn health_counts_processes_over_sandboxes_and_repeats_no_word_of_theirs() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        io.call().await.expect("a call");
        tokio::io::AsyncWriteExt::write_all(&mut io.err, b"the secret of a session").await.expect("written");
        ExecStatus::Exited(1)
    });
    let host = Host::new(&sandbox);
    assert!(host.0.health().is_empty());
    let (one, other) = (host.connect().await, host.connect().await);
    assert_eq!(host.0.health()[0].processes[&ServerState::Up], 2);
    let mut changes = one.changes();
    call(&*one, "a", "x", json!({})).await;
    let told = changes.next().await.expect("a change");
    assert!(told.problem.is_some_and(|problem| problem.contains("the secret")), "its own session is told");
    let health = host.0.health();
    assert_eq!((health[0].processes[&ServerState::Up], health[0].tools), (1, Some(1)));
    assert_eq!(health[0].problem, Some((Code::ToolCrashed, "ended with exit status 1".to_owned())));
    assert_eq!(changes.next().await.expect("a change").state, ServerState::Up);
    assert_eq!((host.0.health()[0].processes[&ServerState::Up], host.0.health()[0].restarts), (2, 1));
    one.close().await;
    assert!(changes.next().await.is_none(), "it ends with its session");
    other.close().await;
    drop((one, other));
    assert!(host.0.health()[0].processes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_trace_reaches_the_server_with_the_call() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", echo);
    let session = connect(&sandbox, &["a"]).await;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
    let (mut context, _progress) = context();
    context.trace = Some(TraceContext { traceparent: traceparent.clone(), tracestate: Some("a=b".to_owned()) });
    session.call(&name("a", "x"), json!({"text": "traced"}), context).await.expect("it ran");
    let meta = &seen.wait_for("tools/call").await["params"]["_meta"];
    assert_eq!((&meta["traceparent"], &meta["tracestate"]), (&json!(traceparent), &json!("a=b")));
    assert!(meta.get("progressToken").is_some(), "{meta}");
}
