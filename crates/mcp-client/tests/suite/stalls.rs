//! A runtime that is away: nothing is concluded from its silence, and what is well goes on when it is back.

use crate::{
    sandbox::{FakeSandbox, Seen},
    script::{Io, assert_failed, call, context, echo, echoed, name, server},
};
use lockkeeper_domain::{Code, PrincipalId};
use lockkeeper_mcp_client::{Config, McpToolHost};
use lockkeeper_ports::{ExecStatus, SandboxId, SandboxRuntime, ServerState, ToolHost, ToolHostError, ToolSession};
use lockkeeper_testkit::sandbox::StallingRuntime;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// A host behind an engine that can be stalled.
struct World {
    sandbox: Arc<FakeSandbox>,
    engine: Arc<StallingRuntime>,
    host: Arc<McpToolHost>,
}

impl World {
    fn new(notices_after: Option<Duration>) -> Self {
        Self::with(notices_after, Config::default())
    }

    fn with(notices_after: Option<Duration>, config: Config) -> Self {
        let sandbox = Arc::new(FakeSandbox::default());
        let runtime: Arc<dyn SandboxRuntime> = sandbox.clone();
        let engine = Arc::new(StallingRuntime::new(runtime, notices_after));
        let host = Arc::new(McpToolHost::new(engine.clone(), config).expect("valid"));
        Self { sandbox, engine, host }
    }

    async fn connect(&self, servers: &[&str]) -> Result<Arc<dyn ToolSession>, ToolHostError> {
        let servers: Vec<_> = servers.iter().map(|name| server(name)).collect();
        let tenant = PrincipalId::parse("alice").ok();
        self.host.connect(tenant, &SandboxId::new("sandbox"), &servers, Arc::new(|_| ())).await
    }

    async fn stall_for(&self, time: Duration) {
        self.engine.stall();
        sleep(time).await;
        self.engine.resume();
    }
}

fn state(session: &Arc<dyn ToolSession>, at: usize) -> ServerState {
    session.status()[at].state
}

fn undisturbed(seen: &Seen) -> bool {
    (*seen.starts.borrow(), *seen.ends.borrow(), *seen.kills.borrow()) == (1, 0, 0)
}

/// Stalls that begin at any time between two pings, and that the runtime notices at once, late, or not at all.
/// Covers: E1, E2
#[tokio::test(start_paused = true)]
async fn stalled_engine_costs_no_server_its_process() {
    for notices_after in [Some(3), Some(45), None] {
        for secs in [8, 20, 45, 60, 90] {
            for begins_after in [0, 15, 29, 31] {
                let world = World::new(notices_after.map(Duration::from_secs));
                let (a, b) = (world.sandbox.program("a", echo), world.sandbox.program("b", echo));
                let session = world.connect(&["a", "b"]).await.expect("connected");
                sleep(Duration::from_secs(begins_after)).await;
                world.stall_for(Duration::from_secs(secs)).await;
                let case = format!("noticed after {notices_after:?} s, {secs} s from {begins_after} s on");
                for server in ["a", "b"] {
                    assert_eq!(echoed(&*session, server).await, "still here", "{case}");
                }
                sleep(Duration::from_mins(2)).await;
                assert!(undisturbed(&a) && undisturbed(&b), "{case}");
                assert!(world.host.health().iter().all(|one| one.held_back.is_none() && one.restarts == 0), "{case}");
            }
        }
    }
}

/// Covers: E1
#[tokio::test(start_paused = true)]
async fn call_in_flight_during_a_stall_is_answered() {
    for secs in [30, 90, 200] {
        let world = World::new(Some(Duration::from_secs(3)));
        let seen = world.sandbox.program("a", echo);
        let session = world.connect(&["a"]).await.expect("connected");
        world.engine.stall();
        let (answer, ()) = tokio::join!(echoed(&*session, "a"), async {
            sleep(Duration::from_secs(secs)).await;
            world.engine.resume();
        });
        assert_eq!(answer, "still here");
        assert!(undisturbed(&seen));
    }
}

/// The stall counts for the whole time of a call: nobody waits for ever.
#[tokio::test(start_paused = true)]
async fn call_in_flight_ends_by_its_whole_time() {
    let world = World::new(Some(Duration::from_secs(3)));
    world.sandbox.program("a", echo);
    let session = world.connect(&["a"]).await.expect("connected");
    world.engine.stall();
    let began = Instant::now();
    let result = call(&*session, "a", "x", json!({"text": "late"})).await;
    assert_failed(&result, Code::ToolTimeout, "300 s in all");
    assert_eq!(began.elapsed().as_secs(), 300);
    world.engine.resume();
    assert_eq!(echoed(&*session, "a").await, "still here");
}

/// A message that does not fit into what the stalled engine holds.
#[tokio::test(start_paused = true)]
async fn large_message_waits_for_a_stalled_engine() {
    let world = World::new(None);
    let seen = world.sandbox.program("a", echo);
    let session = world.connect(&["a"]).await.expect("connected");
    world.engine.stall();
    let text = "x".repeat(900_000);
    let (result, ()) = tokio::join!(call(&*session, "a", "x", json!({"text": text})), async {
        sleep(Duration::from_secs(50)).await;
        world.engine.resume();
    });
    assert_eq!(result.text().len(), 900_000);
    assert!(undisturbed(&seen));
}

/// Cancelled calls are followed by a ping of their own.
#[tokio::test(start_paused = true)]
async fn call_cancelled_during_a_stall_kills_nothing() {
    let world = World::new(None);
    let seen = world.sandbox.program("a", echo);
    let session = world.connect(&["a"]).await.expect("connected");
    world.engine.stall();
    let (context, _progress) = context();
    let cancel = context.cancel.clone();
    let tool = name("a", "x");
    let (result, ()) = tokio::join!(session.call(&tool, json!({}), context), async {
        sleep(Duration::from_secs(1)).await;
        cancel.cancel();
    });
    assert_failed(&result.expect("the tool exists"), Code::Cancelled, "was told");
    sleep(Duration::from_mins(1)).await;
    world.engine.resume();
    assert_eq!(echoed(&*session, "a").await, "still here");
    assert!(undisturbed(&seen));
}

/// Covers: E1
#[tokio::test(start_paused = true)]
async fn server_that_hangs_is_found_after_the_stall() {
    let world = World::new(Some(Duration::from_secs(3)));
    let seen = world.sandbox.program("a", |mut io: Io| async move {
        while let Some(message) = io.message().await {
            if message["method"] == "ping" {
                std::future::pending::<()>().await;
            }
            io.answer(&message).await;
        }
        ExecStatus::Exited(0)
    });
    let session = world.connect(&["a"]).await.expect("connected");
    sleep(Duration::from_secs(25)).await;
    world.stall_for(Duration::from_mins(1)).await;
    assert!(undisturbed(&seen));
    timeout(Duration::from_secs(41), seen.wait_for_ends(1))
        .await
        .expect("it has ping_secs and ping_timeout_secs again");
    drop(session);
}

/// However often the runtime fails, a server is neither held back nor out of restarts.
/// Covers: E2
#[tokio::test(start_paused = true)]
async fn starts_that_the_runtime_failed_count_for_nothing() {
    let world = World::new(None);
    let a = world.sandbox.program("a", |mut io: Io| async move {
        let call = io.call().await.expect("a call");
        if call["params"]["arguments"]["text"] == "end" {
            return ExecStatus::Exited(1);
        }
        io.say(&call["id"], "still here").await;
        echo(io).await
    });
    world.sandbox.program("b", echo);
    let session = world.connect(&["a", "b"]).await.expect("connected");
    world.sandbox.refuse("a", 12);
    call(&*session, "a", "x", json!({"text": "end"})).await;
    while world.sandbox.refusals("a") > 4 {
        sleep(Duration::from_secs(1)).await;
        assert_eq!(state(&session, 0), ServerState::Restarting);
    }
    assert_failed(&call(&*session, "a", "x", json!({})).await, Code::SandboxUnavailable, "was not started");
    while state(&session, 0) != ServerState::Up {
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!((echoed(&*session, "a").await.as_str(), *a.starts.borrow()), ("still here", 2));
    assert_eq!(world.host.health()[0].restarts, 1);
}

/// Covers: E4
#[tokio::test(start_paused = true)]
async fn session_started_during_a_stall_fails_and_another_start_succeeds() {
    let world = World::new(Some(Duration::from_secs(3)));
    let seen = world.sandbox.program("a", echo);
    world.engine.stall();
    for _ in 0..20 {
        let failed = world.connect(&["a"]).await.err();
        assert!(matches!(&failed, Some(ToolHostError::Unavailable(why)) if why.contains("MCP server a")), "{failed:?}");
    }
    world.engine.resume();
    let session = world.connect(&["a"]).await.expect("connected");
    assert_eq!((state(&session, 0), *seen.starts.borrow()), (ServerState::Up, 1));
}

/// The engine stalls between the start of the process and its answer.
/// Covers: E4
#[tokio::test(start_paused = true)]
async fn session_whose_greeting_stalls_fails_for_the_runtime() {
    for stalls_at in ["initialize", "tools/list"] {
        let world = World::new(Some(Duration::from_secs(3)));
        let engine = world.engine.clone();
        world.sandbox.program("a", move |mut io: Io| {
            let engine = engine.clone();
            async move {
                while let Some(message) = io.message().await {
                    if message["method"] == stalls_at {
                        engine.stall();
                    }
                    io.answer(&message).await;
                }
                ExecStatus::Exited(0)
            }
        });
        for _ in 0..6 {
            let failed = world.connect(&["a"]).await.err();
            assert!(matches!(failed, Some(ToolHostError::Unavailable(_))), "{failed:?}");
            world.engine.resume();
        }
        world.sandbox.program("a", echo);
        assert_eq!(state(&world.connect(&["a"]).await.expect("connected"), 0), ServerState::Up, "{stalls_at}");
    }
}

/// Covers: E4
#[tokio::test(start_paused = true)]
async fn server_that_the_runtime_failed_at_the_start_comes_up_later() {
    let world = World::new(None);
    world.sandbox.program("a", echo);
    world.sandbox.program("b", echo);
    world.sandbox.refuse("b", 7);
    let session = world.connect(&["a", "b"]).await.expect("one of two");
    assert_eq!((session.tools().len(), state(&session, 1)), (1, ServerState::Restarting));
    while session.tools().len() < 2 {
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(echoed(&*session, "b").await, "still here");
}

/// A server that fails by itself leaves the session without its tools, as before.
#[tokio::test(start_paused = true)]
async fn server_that_fails_by_itself_fails_no_session() {
    let world = World::new(None);
    let session = world.connect(&["missing"]).await.expect("a session without tools");
    assert_eq!(state(&session, 0), ServerState::Down);
}
