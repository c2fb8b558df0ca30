//! MCP servers that go up and down, and others that come to hold.

use crate::desk::{Desk, User, wish};
use lockkeeper_domain::{Code, EventBody, NoticeKind, ServerName, ToolName};
use lockkeeper_orchestrator::{LiveEvent, Provider};
use lockkeeper_ports::{
    LeftOutTool, McpServer, Notice, SandboxId, ServerHealth, ServerState, ToolSessionStatus, mocks::MockSandboxRuntime,
};
use lockkeeper_testkit::{llm::Step, tools::FakeTool};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

fn server(name: &str) -> McpServer {
    McpServer {
        name: ServerName::new(name),
        command: vec![name.to_owned()],
        env: BTreeMap::new(),
        tools: None,
        advice: None,
    }
}

fn status(state: ServerState) -> ToolSessionStatus {
    let up = state == ServerState::Up;
    ToolSessionStatus {
        server: ServerName::new("box"),
        state,
        tools: up.then_some(4),
        problem: (!up).then(|| "MCP server box ended with exit status 1".to_owned()),
        code: (!up).then_some(Code::ToolCrashed),
        left_out: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn views_are_told_when_a_server_goes_down_and_up_and_those_that_come_later_how_it_does() {
    let desk = Desk::new([]);
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    assert_eq!(ann.attached.ready().await.expect("ready").servers, [status(ServerState::Up)]);
    for state in [ServerState::Restarting, ServerState::Down, ServerState::Up] {
        desk.host.tell(status(state));
        let told = loop {
            if let LiveEvent::Server(told) = ann.attached.live().recv().await.expect("news").event {
                break told;
            }
        };
        assert_eq!(told, status(state));
        let later = manager.open(wish(Some("s"), "ann")).await.expect("opened");
        assert_eq!(later.ready().await.expect("ready").servers, [status(state)]);
    }
}

/// A tool that the model's provider refuses is told once, and listed with its server for views that come later.
#[tokio::test(start_paused = true)]
async fn tool_that_the_provider_refuses_is_told_once_and_listed() {
    let refused = || Notice::ToolsLeftOut {
        tools: vec![ToolName::namespaced(&ServerName::new("box"), "echo")],
        reason: "the provider refuses it: odd".to_owned(),
    };
    let adjusted = || Notice::Adjusted { text: "without the effort".to_owned() };
    let desk = Desk::new([
        Step::new().notice(refused()).notice(adjusted()).say("one"),
        Step::new().notice(refused()).notice(adjusted()).say("two"),
    ]);
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    for _ in 0..2 {
        ann.says("hi").await.expect("accepted");
        ann.sees_end().await;
    }
    let told: Vec<_> = desk
        .store
        .log(&ann.session)
        .await
        .into_iter()
        .filter_map(|event| match event.body {
            EventBody::Notice { kind, text } => Some((kind, text)),
            _ => None,
        })
        .collect();
    let text = "The model is not offered box__echo: the provider refuses it: odd".to_owned();
    let expected =
        [(NoticeKind::ToolsUnavailable, text), (NoticeKind::RequestAdjusted, "without the effort".to_owned())];
    assert_eq!(told, expected);
    let later = manager.open(wish(Some("s"), "ann")).await.expect("opened").ready().await.expect("ready");
    let left_out = vec![LeftOutTool { tool: "echo".to_owned(), reason: "the provider refuses it: odd".to_owned() }];
    assert_eq!(later.servers, [ToolSessionStatus { left_out, ..status(ServerState::Up) }]);
}

/// Covers: S2-1
#[tokio::test(start_paused = true)]
async fn server_that_comes_up_late_adds_its_tools() {
    let desk = Desk::new([]);
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    let session = desk.host.wait_for_sessions(1).await.remove(0);
    assert_eq!(session.tenant().as_ref().map(ToString::to_string).as_deref(), Some("ann"));
    let before = ann.attached.ready().await.expect("ready").tools.len();
    session.add_tools([FakeTool::echo("box", "late")]);
    desk.host.tell(ToolSessionStatus { tools: Some(5), ..status(ServerState::Up) });
    while !matches!(ann.attached.live().recv().await.expect("news").event, LiveEvent::Server(_)) {}
    let later = manager.open(wish(Some("s"), "ann")).await.expect("opened").ready().await.expect("ready");
    assert_eq!(later.tools.len(), before + 1);
    assert!(later.tools.iter().any(|tool| tool.tool == "late"));
}

#[tokio::test(start_paused = true)]
async fn servers_that_come_to_hold_are_those_of_new_sessions_at_once_and_of_a_running_one_with_its_next_sandbox() {
    let desk = Desk::new([]);
    desk.host.set_tools([FakeTool::echo("box", "echo"), FakeTool::echo("web", "echo")]);
    let manager = desk.manager();
    let mut ann = User::ready(&manager).await;
    let tools_of = |ready: lockkeeper_orchestrator::Ready| -> Vec<String> {
        ready.tools.iter().map(|tool| tool.server.to_string()).collect()
    };
    assert!(!manager.offer_servers([server("box")].into()), "they are the same");
    assert!(manager.offer_servers([server("web")].into()));
    let new = manager.open(wish(Some("new"), "ann")).await.expect("opened");
    assert_eq!(tools_of(new.ready().await.expect("ready")), ["web"]);
    let same = manager.open(wish(Some("s"), "ann")).await.expect("opened");
    assert_eq!(tools_of(same.ready().await.expect("ready")), ["box"], "it keeps what it was offered");
    manager.end(&ann.session, &ann.me).await.expect("ended");
    assert_eq!(ann.sees_notice().await, NoticeKind::SessionEnded);
    let again = manager.open(wish(Some("s"), "ann")).await.expect("opened");
    assert_eq!(tools_of(again.ready().await.expect("ready")), ["web"]);
}

#[tokio::test(start_paused = true)]
async fn warm_sandboxes_with_servers_that_hold_no_more_are_replaced() {
    let mut desk = Desk::new([]);
    desk.config.warm_sandboxes = 2;
    let made = Arc::new(AtomicUsize::new(0));
    let mut sandboxes = MockSandboxRuntime::new();
    sandboxes.expect_reserve().returning({
        let made = Arc::clone(&made);
        move || Ok(Some(SandboxId::new(format!("warm-{}", made.fetch_add(1, Ordering::Relaxed)))))
    });
    sandboxes.expect_adopt().returning(|warm, _| Ok(warm.clone()));
    let sandboxes = desk.with_stop_and_list(sandboxes);
    let manager = desk.manager_with(Provider::Ready(Arc::new(desk.provider.clone())), sandboxes);
    desk.host.wait_for_sessions(2).await;
    assert!(manager.offer_servers([server("web")].into()));
    desk.host.wait_for_sessions(4).await;
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(desk.stopped(), ["warm-0", "warm-1"]);
    let ann = User::ready(&manager).await;
    assert_eq!(ann.sandbox().await, "warm-2");
}

#[tokio::test(start_paused = true)]
async fn health_names_servers_that_are_configured_and_those_that_still_run() {
    let desk = Desk::new([]);
    let manager = desk.manager();
    let unseen = &manager.mcp_health()[0];
    assert_eq!((unseen.server.as_str(), unseen.configured, unseen.state), ("box", true, None));
    let seen = |name: &str, state: Option<ServerState>, held_back| ServerHealth {
        server: ServerName::new(name),
        processes: state.into_iter().map(|state| (state, 1)).collect(),
        tools: Some(4),
        restarts: 2,
        problem: Some((Code::ToolCrashed, "ended with exit status 1".to_owned())),
        since: Duration::from_secs(1),
        held_back,
    };
    desk.host
        .set_health(vec![seen("box", None, Some(Duration::from_secs(9))), seen("old", Some(ServerState::Up), None)]);
    let health = manager.mcp_health();
    let found: Vec<_> = health.iter().map(|one| (one.server.as_str(), one.configured, one.state)).collect();
    assert_eq!(found, [("box", true, Some(ServerState::HeldBack)), ("old", false, Some(ServerState::Up))]);
    assert_eq!((health[1].restarts, health[1].tools, health[0].held_back), (2, Some(4), Some(Duration::from_secs(9))));
    assert!(health[1].since.is_some());
}
