//! Connecting: greetings, lists of tools and what goes wrong with them.

use crate::{
    sandbox::FakeSandbox,
    script::{Io, call, connect, connect_with, echo, server, tool},
};
use lockkeeper_domain::Code;
use lockkeeper_mcp_client::{Config, McpToolHost};
use lockkeeper_ports::{ExecStatus, SandboxId, ToolHost, ToolHostError};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, atomic::Ordering};
use tokio::io::AsyncWriteExt;

#[tokio::test(start_paused = true)]
async fn the_greeting_offers_servers_nothing() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", echo);
    let _session = connect(&sandbox, &["a"]).await;
    let greeting = seen.wait_for("initialize").await;
    assert_eq!(greeting["params"]["capabilities"], json!({}));
    assert_eq!(greeting["params"]["protocolVersion"], "2025-11-25");
    assert_eq!(greeting["params"]["clientInfo"]["name"], "lockkeeper");
    seen.wait_for("notifications/initialized").await;
}

#[tokio::test(start_paused = true)]
async fn all_pages_of_all_servers_are_merged_and_two_servers_may_have_the_same_tool() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        io.tools = (0..25).map(|i| tool(&format!("t{i}"))).collect();
        io.page = 10;
        echo(io).await
    });
    sandbox.program("b", |mut io: Io| async move {
        io.tools = vec![tool("t1"), tool("t.1")];
        echo(io).await
    });
    let session = connect(&sandbox, &["a", "b"]).await;
    assert_eq!(session.tools().len(), 27);
    assert_eq!(seen.count("tools/list"), 3);
    assert_eq!(call(&*session, "b", "t.1", json!({"text": "exact name"})).await.text(), "exact name");
}

#[tokio::test(start_paused = true)]
async fn a_circle_of_pages_is_a_failure_and_no_endless_loop() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        while let Some(message) = io.message().await {
            if message["method"] == "tools/list" {
                let result = json!({"tools": [tool("x")], "nextCursor": "again"});
                io.send(&json!({"jsonrpc": "2.0", "id": message["id"], "result": result})).await;
            } else {
                io.answer(&message).await;
            }
        }
        ExecStatus::Exited(0)
    });
    let session = connect(&sandbox, &["a"]).await;
    assert_eq!(session.status()[0].code, Some(Code::ToolProtocol));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_tools_is_up_and_offers_none() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        io.greeting = json!({"capabilities": {"resources": {}}});
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    assert_eq!((session.status()[0].tools, seen.count("tools/list")), (Some(0), 0));
}

#[tokio::test(start_paused = true)]
async fn a_revision_that_nobody_speaks_is_refused() {
    let sandbox = Arc::new(FakeSandbox::default());
    let seen = sandbox.program("a", |mut io: Io| async move {
        io.greeting = json!({"protocolVersion": "2099-01-01"});
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    assert_eq!(session.status()[0].code, Some(Code::ToolProtocol));
    seen.wait_for_ends(1).await;
}

#[tokio::test(start_paused = true)]
async fn older_revisions_are_spoken() {
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18"] {
        let sandbox = Arc::new(FakeSandbox::default());
        sandbox.program("a", move |mut io: Io| async move {
            io.greeting = json!({"protocolVersion": revision});
            echo(io).await
        });
        let session = connect(&sandbox, &["a"]).await;
        assert_eq!(session.status()[0].tools, Some(1), "{revision}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_program_that_does_not_exist_is_told_with_what_the_runtime_said() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        io.raw("OCI runtime exec failed: exec: \"a\": executable file not found in $PATH\r\n").await;
        ExecStatus::Exited(126)
    });
    sandbox.program("b", |mut io: Io| async move {
        io.err.write_all(b"b: cannot open\x1b[2J shared object\n").await.expect("read");
        ExecStatus::Exited(127)
    });
    let session = connect(&sandbox, &["a", "b"]).await;
    let status = session.status();
    let problem = status[0].problem.as_deref().expect("a problem");
    assert!(problem.contains("exit status 126") && problem.contains("executable file not found"), "{problem}");
    assert_eq!(status[0].code, Some(Code::ToolCrashed));
    let problem = status[1].problem.as_deref().expect("a problem");
    assert!(problem.contains("exit status 127") && problem.contains("cannot open shared object"), "{problem}");
}

#[tokio::test(start_paused = true)]
async fn a_banner_and_split_messages_do_no_harm() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        io.raw("Server v1 listening on stdio\r\n\r\n").await;
        let call = io.call().await.expect("a call");
        let answer = json!({"jsonrpc": "2.0", "id": call["id"], "result": {"content": []}}).to_string();
        let (start, end) = answer.split_at(20);
        io.raw(start).await;
        tokio::task::yield_now().await;
        io.raw(format!("{end}\r\n")).await;
        echo(io).await
    });
    let session = connect(&sandbox, &["a"]).await;
    assert!(!call(&*session, "a", "x", json!({})).await.is_error());
}

#[tokio::test(start_paused = true)]
async fn the_environment_and_the_progress_of_the_start_are_told() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", echo);
    let host = McpToolHost::new(sandbox, Config::default()).expect("valid");
    let told: Arc<Mutex<Vec<Value>>> = Arc::default();
    let sink = told.clone();
    let sink = Arc::new(move |progress| {
        sink.lock().expect("told").push(serde_json::to_value(progress).expect("json"));
    });
    let _session =
        host.connect(None, &SandboxId::new("s"), &[server("a"), server("b")], sink).await.expect("connected");
    let told = told.lock().expect("told");
    let ends: Vec<_> = told.iter().filter(|told| told["status"] != "running").collect();
    assert_eq!(ends.len(), 2);
    assert!(ends.iter().any(|told| told["status"] == "done" && told["message"] == "MCP server a is ready"));
    assert!(ends.iter().any(|told| told["status"] == "failed" && told["total"] == 2));
}

#[tokio::test(start_paused = true)]
async fn a_lost_sandbox_ends_the_servers_that_were_started() {
    let sandbox = Arc::new(FakeSandbox::default());
    let losing = sandbox.clone();
    let seen = sandbox.program("a", move |mut io: Io| {
        losing.gone.store(true, Ordering::Release);
        async move {
            io.message().await;
            std::future::pending().await
        }
    });
    let host = McpToolHost::new(sandbox, Config::default()).expect("valid");
    let connected = host.connect(None, &SandboxId::new("s"), &[server("a"), server("b")], Arc::new(|_| ())).await;
    assert!(matches!(connected.err(), Some(ToolHostError::SandboxGone)));
    seen.wait_for_ends(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_list_over_the_line_limit_leaves_the_server_out() {
    let sandbox = Arc::new(FakeSandbox::default());
    sandbox.program("a", |mut io: Io| async move {
        io.tools = (0..200).map(|i| json!({"name": format!("t{i}"), "inputSchema": {"x": "A".repeat(100)}})).collect();
        echo(io).await
    });
    let config = Config { max_line_bytes: 4096, ..Config::default() };
    let session = connect_with(&sandbox, &["a"], config).await;
    assert!(session.status()[0].code.is_some());
    assert!(session.tools().is_empty());
}
