//! The requirements one by one; the name of each says it.

use super::{ToolHostFixture, echo_schema};
use futures::future::join_all;
use lockkeeper_domain::{CallId, Code, Outcome, ServerName, SessionId, ToolDefinition, ToolName, ToolResult};
use lockkeeper_ports::{CallContext, CallProgress, McpServer, ToolHostError, ToolSession};
use serde_json::{Value, json};
use std::{collections::HashSet, sync::Arc};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// See the name.
pub async fn tools_of_all_servers_are_merged(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    let tools = session.tools();
    let names: HashSet<_> = tools.iter().map(|tool| tool.name.clone()).collect();
    assert_eq!(names.len(), tools.len(), "names are unique");
    for server in [&fixture.alpha, &fixture.beta] {
        for tool in ["echo", "fail", "hang", "progress", "crash"] {
            let found = find(&tools, server, tool);
            assert_eq!(found.name, ToolName::namespaced(&server.name, tool));
            assert!(!found.fingerprint.is_empty());
        }
        let status = session.status();
        let status = status.iter().find(|status| status.server == server.name).expect("each server has a status");
        assert_eq!((status.tools, status.code), (Some(5), None));
    }
    let again = connect(&fixture).await;
    assert_eq!(again.tools(), tools, "the order and the fingerprints are stable");
}

/// See the name.
pub async fn a_schema_is_kept_as_it_was_sent(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    let tools = session.tools();
    let echo = find(&tools, &fixture.alpha, "echo");
    assert_eq!(echo.input_schema.to_string(), echo_schema().to_string());
    assert_eq!(echo.annotations.read_only_hint, Some(true));
    assert_eq!(echo.annotations.destructive_hint, None);
}

/// See the name.
pub async fn a_server_that_fails_is_left_out_and_told(fixture: ToolHostFixture) {
    let servers = [fixture.dead.clone(), fixture.alpha.clone()];
    let session =
        fixture.host.connect(None, &fixture.sandbox, &servers, quiet()).await.expect("the other server works");
    assert!(session.tools().iter().all(|tool| tool.server == fixture.alpha.name));
    let status = session.status();
    assert_eq!(status.len(), 2);
    let dead = status.iter().find(|status| status.server == fixture.dead.name).expect("its status");
    assert_eq!(dead.tools, None);
    assert!(dead.code.is_some());
    assert!(dead.problem.as_ref().is_some_and(|problem| !problem.is_empty()));
    assert_eq!(call(&*session, &fixture.alpha, "echo", json!({"text": "still here"})).await.text(), "still here");
}

/// See the name.
pub async fn a_gone_sandbox_is_an_error(fixture: ToolHostFixture) {
    let result = fixture.host.connect(None, &fixture.gone, std::slice::from_ref(&fixture.alpha), quiet()).await;
    assert!(matches!(result.err(), Some(ToolHostError::SandboxGone)));
}

/// See the name.
pub async fn a_call_gives_what_the_tool_said(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    let result = call(&*session, &fixture.beta, "echo", json!({"text": "a\u{e9}\n\u{1f512}"})).await;
    assert_eq!(result.outcome, Outcome::Succeeded);
    assert_eq!(result.text(), "a\u{e9}\n\u{1f512}");
}

/// See the name.
pub async fn a_tool_that_reports_an_error_is_a_result(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    let result = call(&*session, &fixture.alpha, "fail", json!({})).await;
    assert_eq!(result.outcome, Outcome::Failed(Code::ToolFailed));
    assert_eq!(result.text(), "it failed");
}

/// See the name.
pub async fn an_unknown_tool_is_an_error(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    for name in ["alpha__nothing", "", "echo"] {
        let name = ToolName::as_written(name);
        let (context, _progress) = context("c1");
        let result = session.call(&name, json!({}), context).await;
        assert!(matches!(result, Err(ToolHostError::UnknownTool(unknown)) if unknown == name));
    }
}

/// See the name.
pub async fn a_cancelled_call_returns(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    let name = ToolName::namespaced(&fixture.alpha.name, "hang");
    let (context, _progress) = context("c1");
    let cancel = context.cancel.clone();
    let mut call = session.call(&name, json!({}), context);
    assert!(futures::poll!(&mut call).is_pending());
    cancel.cancel();
    let result = call.await.expect("a cancelled call has a result");
    assert_eq!(result.outcome, Outcome::Failed(Code::Cancelled));
    assert_eq!(self::call(&*session, &fixture.alpha, "echo", json!({"text": "next"})).await.text(), "next");
}

/// See the name.
pub async fn a_call_that_is_cancelled_before_it_starts_is_not_made(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    let (context, _progress) = context("c1");
    context.cancel.cancel();
    let name = ToolName::namespaced(&fixture.alpha.name, "crash");
    let result = session.call(&name, json!({}), context).await.expect("a cancelled call has a result");
    assert_eq!(result.outcome, Outcome::Failed(Code::Cancelled));
    assert_eq!(call(&*session, &fixture.alpha, "echo", json!({"text": "up"})).await.text(), "up");
}

/// See the name.
pub async fn progress_reaches_the_call(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    let name = ToolName::namespaced(&fixture.alpha.name, "progress");
    let (context, mut progress) = context("with-progress");
    let result = session.call(&name, json!({}), context).await.expect("it ran");
    assert_eq!(result.text(), "done");
    for step in [1.0, 2.0, 3.0] {
        let told = progress.recv().await.expect("three steps");
        assert_eq!((told.call_id.as_str(), told.progress, told.total), ("with-progress", step, Some(3.0)));
    }
    assert!(progress.recv().await.is_none(), "the context is dropped with the call");
}

/// See the name.
pub async fn progress_that_nobody_takes_blocks_nothing(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    let name = ToolName::namespaced(&fixture.alpha.name, "progress");
    let (progress, held) = mpsc::channel(1);
    let context = context_with("c1", progress);
    let result = session.call(&name, json!({}), context).await.expect("it ran");
    assert_eq!(result.text(), "done");
    drop(held);
}

/// See the name.
pub async fn parallel_calls_get_their_own_answers(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    let calls = (0..32).map(|i| {
        let server = if i % 2 == 0 { &fixture.alpha } else { &fixture.beta };
        let text = format!("answer {i}");
        let session = &session;
        async move { (call(&**session, server, "echo", json!({"text": text})).await.text(), text) }
    });
    for (answer, expected) in join_all(calls).await {
        assert_eq!(answer, expected);
    }
}

/// See the name.
pub async fn a_server_that_ends_harms_its_own_calls_only(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    let result = call(&*session, &fixture.alpha, "crash", json!({})).await;
    assert!(
        matches!(result.outcome, Outcome::Failed(Code::ToolCrashed | Code::OutcomeUnknown)),
        "the outcome of the call is not known: {result:?}"
    );
    assert_eq!(call(&*session, &fixture.beta, "echo", json!({"text": "up"})).await.text(), "up");
}

/// See the name.
pub async fn close_ends_calls_with_a_result(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    let name = ToolName::namespaced(&fixture.alpha.name, "hang");
    let (context, _progress) = context("c1");
    let mut call = session.call(&name, json!({}), context);
    assert!(futures::poll!(&mut call).is_pending());
    let (result, ()) = futures::join!(call, session.close());
    assert!(result.expect("the call was sent, so it has a result").is_error());
}

/// See the name.
pub async fn close_is_idempotent_and_no_call_succeeds_after_it(fixture: ToolHostFixture) {
    let session = connect(&fixture).await;
    session.close().await;
    session.close().await;
    let (context, _progress) = context("c1");
    let name = ToolName::namespaced(&fixture.alpha.name, "echo");
    let result = session.call(&name, json!({"text": "a"}), context).await;
    assert!(matches!(result, Err(ToolHostError::SandboxGone)), "nothing was sent: {result:?}");
}

async fn connect(fixture: &ToolHostFixture) -> Arc<dyn ToolSession> {
    let servers = [fixture.alpha.clone(), fixture.beta.clone()];
    fixture.host.connect(None, &fixture.sandbox, &servers, quiet()).await.expect("the sandbox is there")
}

async fn call(session: &dyn ToolSession, server: &McpServer, tool: &str, args: Value) -> ToolResult {
    let (context, _progress) = context("c1");
    session.call(&ToolName::namespaced(&server.name, tool), args, context).await.expect("the call is made")
}

fn find<'a>(tools: &'a [ToolDefinition], server: &McpServer, tool: &str) -> &'a ToolDefinition {
    let wanted: (&ServerName, &str) = (&server.name, tool);
    tools.iter().find(|found| (&found.server, found.tool.as_str()) == wanted).expect("the tool is listed")
}

fn context(call: &str) -> (CallContext, mpsc::Receiver<CallProgress>) {
    let (progress, taken) = mpsc::channel(16);
    (context_with(call, progress), taken)
}

fn context_with(call: &str, progress: mpsc::Sender<CallProgress>) -> CallContext {
    let session = SessionId::parse("s1").expect("a session's id");
    CallContext { session, call: call_id(call), progress, cancel: CancellationToken::new(), trace: None }
}

fn call_id(text: &str) -> CallId {
    CallId::parse(text).expect("a call id")
}

fn quiet() -> lockkeeper_ports::ProgressSink {
    Arc::new(|_| ())
}
