//! What goes through the wrapped ports, on the page of metrics.

use futures::StreamExt as _;
use lockkeeper_domain::{
    CallId, Code, Epoch, Event, EventBody, EventId, PrincipalId, Seq, ServerName, SessionId, SessionRecord, Timestamp,
    ToolName, TurnId,
};
use lockkeeper_embedded_store::EmbeddedStore;
use lockkeeper_ports::{
    CallContext, Commit, ExecStatus, GenerateRequest, McpServer, RecordChange, SandboxSpec, ServerHealth, ServerState,
    SessionStore,
};
use lockkeeper_telemetry::{Config, Kind, METRICS, Telemetry, Watched};
use lockkeeper_testkit::{
    llm::{ScriptedProvider, Step},
    sandbox::FakeSandboxRuntime,
    tools::{FakeTool, FakeToolHost},
};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const SAID: &str = "what nobody but the session may read";

fn session() -> SessionId {
    SessionId::parse("s1").expect("an id")
}

fn call() -> CallId {
    CallId::minted(TurnId::new(1), 0, 0)
}

/// The events of a turn with an approved call, as a store keeps them.
fn turn() -> Vec<EventBody> {
    let asked = json!({"id": call(), "name": "box__echo", "server": "box", "tool": "echo", "args": {"text": SAID}});
    let events = json!([
        {"type": "user_message", "message": {"text": SAID, "by": "ann"}},
        {"type": "tool_calls", "step": 0, "message": {"text": SAID, "calls": [asked]}, "usage": {},
         "gates": [{"status": "waiting", "why": SAID}]},
        {"type": "approval_required", "call": call(), "server": "box", "tool": "echo", "args": {"text": SAID},
         "why": SAID, "annotations": {}, "position": 1, "total": 1, "expires_at": 100_000},
        {"type": "approval_resolved", "call": call(), "decision": "approved", "scope": "once", "reason": SAID},
        {"type": "tool_started", "call": call(), "server": "box", "tool": "echo"},
        {"type": "tool_settled", "call": call(), "tool": "echo",
         "result": {"outcome": {"failed": "tool_timeout"}, "content": [{"type": "text", "text": SAID}]}},
        {"type": "turn_completed", "stop_reason": "end_turn", "usage": {}, "tool_calls": 1, "duration_ms": 1_500},
    ]);
    serde_json::from_value(events).expect("events")
}

/// Writes the turn, each event a second after the one before.
async fn write(store: &dyn SessionStore) {
    let (id, now) = (session(), Timestamp::from_millis(0));
    let record = SessionRecord::opened(id.clone(), PrincipalId::parse("ann").expect("an id"), None, now);
    store.create(&record).await.expect("created");
    let epoch = store.claim(&id, "here", now, Duration::from_mins(1)).await.expect("claimed").lease.epoch;
    let numbered = turn().into_iter().zip(1..).map(|(body, seq)| Event {
        id: EventId { epoch, seq: Seq::new(seq) },
        turn: Some(TurnId::new(1)),
        at: Timestamp::from_millis(1_000 * i64::try_from(seq).expect("small")),
        body,
        link: None,
        request: None,
    });
    let events = numbered.collect();
    let commit = Commit { epoch, after: Seq::default(), events, history: None, record: RecordChange::default() };
    store.commit(&id, &commit).await.expect("written");
    let stale = Commit { epoch: Epoch::default(), ..commit };
    store.commit(&id, &stale).await.expect_err("fenced");
}

async fn ask(telemetry: &Telemetry) {
    let model = telemetry.model(Arc::new(ScriptedProvider::new([Step::text("hello")])));
    let request = GenerateRequest {
        session: session(),
        model: "scripted-1".to_owned(),
        system: SAID.into(),
        messages: Vec::new(),
        tools: [].into(),
        max_output_tokens: 10,
    };
    let answer = model.generate(request.clone()).await.expect("an answer");
    assert!(answer.count().await > 1);
    // The script is over; and one that nobody hears to its end.
    drop(model.generate(request).await);
}

async fn call_a_tool(telemetry: &Telemetry) {
    let host = telemetry.tools(Arc::new(FakeToolHost::new([FakeTool::echo("box", "echo")])));
    let sandboxes = FakeSandboxRuntime::new(|_| Box::pin(async { ExecStatus::Exited(0) }));
    let runtime = telemetry.sandboxes(Arc::new(sandboxes));
    let spec = SandboxSpec { session: session(), epoch: Epoch::default() };
    let sandbox = runtime.start(&spec, Arc::new(|_| ())).await.expect("started");
    let server = McpServer {
        name: ServerName::new("box"),
        command: Vec::new(),
        env: BTreeMap::new(),
        tools: None,
        advice: None,
    };
    let tools = host.connect(None, &sandbox, &[server], Arc::new(|_| ())).await.expect("connected");
    let (progress, _taken) = mpsc::channel(1);
    let cancel = CancellationToken::new();
    let context = CallContext { session: session(), call: call(), progress, cancel, trace: None };
    let tool = ToolName::namespaced(&ServerName::new("box"), "echo");
    tools.call(&tool, json!({"text": SAID}), context).await.expect("it ran");
}

fn watched() -> Watched {
    let health = ServerHealth {
        server: ServerName::new("box"),
        processes: BTreeMap::from([(ServerState::Up, 2)]),
        tools: Some(1),
        restarts: 3,
        problem: Some((Code::ToolCrashed, SAID.to_owned())),
        since: Duration::ZERO,
        held_back: None,
    };
    Watched {
        sessions: Box::new(|| 7),
        connections: Box::new(|| 8),
        refusals: Box::new(|| vec![("command", Code::Busy, 9)]),
        servers: Box::new(move || vec![health.clone()]),
        version: "1.2.3",
    }
}

#[tokio::test]
async fn everything_in_the_list_is_on_the_page_with_its_labels_and_nothing_that_was_said() {
    let telemetry = Telemetry::start(&Config::default(), "1.2.3").expect("it starts");
    let store = telemetry.store(Arc::new(EmbeddedStore::in_memory()));
    telemetry.watch(watched());
    write(&*store).await;
    store.remove_audit(Timestamp::from_millis(0), 0).await.expect("removed");
    telemetry.audit_lag(Duration::from_secs(4));
    ask(&telemetry).await;
    call_a_tool(&telemetry).await;
    let page = telemetry.page();
    for line in [
        "lockkeeper_turns_total{stop_reason=\"end_turn\"} 1",
        "lockkeeper_tool_calls_total{outcome=\"tool_timeout\",server=\"box\"} 1",
        "lockkeeper_approvals_total{decision=\"approved\"} 1",
        "lockkeeper_approval_wait_seconds_sum{decision=\"approved\"} 1",
        "lockkeeper_model_requests_total{outcome=\"succeeded\",provider=\"scripted\"} 1",
        "lockkeeper_sandbox_starts_total{kind=\"cold\",outcome=\"succeeded\"} 1",
        "lockkeeper_store_operation_duration_seconds_count{operation=\"commit\",outcome=\"fenced\"} 1",
        "lockkeeper_audit_size_bytes 0",
        "lockkeeper_audit_removed_total{reason=\"size\"} 0",
        "lockkeeper_audit_lag_seconds 4",
        "lockkeeper_sessions 7",
        "lockkeeper_connections 8",
        "lockkeeper_refusals_total{code=\"busy\",of=\"command\"} 9",
        "lockkeeper_mcp_servers{server=\"box\",state=\"up\"} 2",
        "lockkeeper_mcp_restarts_total{server=\"box\"} 3",
        "lockkeeper_info{version=\"1.2.3\"} 1",
    ] {
        assert!(page.lines().any(|found| found == line), "no line `{line}` in\n{page}");
    }
    assert!(!page.contains(SAID), "{page}");
    let types: BTreeSet<_> = page.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    let kind = |kind| match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let wanted: Vec<_> = METRICS.iter().map(|metric| format!("{} {}", metric.prometheus, kind(metric.kind))).collect();
    assert_eq!(types, wanted.iter().map(String::as_str).collect());
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, labels) = line.split_once('{').unwrap_or((line, ""));
        let series = |metric: &&lockkeeper_telemetry::Metric| {
            let rest = name.strip_prefix(metric.prometheus);
            rest.is_some_and(|rest| ["", "_bucket", "_sum", "_count"].contains(&rest) || rest.starts_with(' '))
        };
        let metric = METRICS.iter().find(series).unwrap_or_else(|| panic!("`{line}` is of no metric"));
        let labels = labels.split('}').next().unwrap_or_default().split("\",").filter(|label| !label.is_empty());
        for label in labels.filter_map(|label| label.split('=').next()).filter(|label| *label != "le") {
            assert!(metric.labels.contains(&label), "`{label}` in `{line}` is not in the list");
        }
    }
}
