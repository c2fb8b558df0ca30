//! Servers that fail in the sandboxes of one tenant, and what the others and later sessions see of it.

use crate::{
    sandbox::{FakeSandbox, Seen},
    script::{Io, echo, echoed, server},
};
use futures::StreamExt as _;
use lockkeeper_domain::PrincipalId;
use lockkeeper_mcp_client::{Config, McpToolHost};
use lockkeeper_ports::{ExecStatus, SandboxId, ServerState, ToolHost, ToolSession};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// One host, and whether the server answers at present: a server that is stopped by a signal reads nothing.
struct World {
    host: McpToolHost,
    works: Arc<AtomicBool>,
    seen: Arc<Seen>,
}

impl World {
    fn new() -> Self {
        let sandbox = Arc::new(FakeSandbox::default());
        let works = Arc::new(AtomicBool::new(false));
        let seen = sandbox.program("a", {
            let works = Arc::clone(&works);
            move |io: Io| {
                let works = works.load(Ordering::Acquire);
                async move { if works { echo(io).await } else { stopped(io).await } }
            }
        });
        Self { host: McpToolHost::new(sandbox, Config::default()).expect("valid"), works, seen }
    }

    fn set_works(&self, works: bool) {
        self.works.store(works, Ordering::Release);
    }

    async fn connect(&self, tenant: Option<&str>) -> Arc<dyn ToolSession> {
        let tenant = tenant.map(|name| PrincipalId::parse(name).expect("a name"));
        let sandbox = SandboxId::new("sandbox");
        let connected = self.host.connect(tenant, &sandbox, &[server("a")], Arc::new(|_| ())).await;
        connected.expect("the sandbox is there")
    }

    /// Opens sessions until the server is held back for the tenant.
    async fn exhaust(&self, tenant: &str) {
        self.set_works(false);
        for _ in 0..5 {
            assert_eq!(state(&self.connect(Some(tenant)).await), ServerState::Down);
        }
        assert_eq!(state(&self.connect(Some(tenant)).await), ServerState::HeldBack);
    }
}

async fn stopped(_io: Io) -> ExecStatus {
    std::future::pending().await
}

fn state(session: &Arc<dyn ToolSession>) -> ServerState {
    session.status()[0].state
}

async fn until_up(session: &Arc<dyn ToolSession>) {
    let mut changes = session.changes();
    while state(session) != ServerState::Up {
        changes.next().await.expect("the session is open");
    }
}

/// Covers: S2-1
#[tokio::test(start_paused = true)]
async fn server_stopped_by_one_tenant_starts_for_another() {
    let world = World::new();
    world.exhaust("alice").await;
    world.exhaust("mallory").await;
    world.exhaust("eve").await;
    world.set_works(true);
    let bob = world.connect(Some("bob")).await;
    assert_eq!((state(&bob), bob.tools().len()), (ServerState::Up, 1));
    assert_eq!(state(&world.connect(Some("eve")).await), ServerState::HeldBack);
    assert_eq!(echoed(&*bob, "a").await, "still here");
}

/// Covers: S2-1
#[tokio::test(start_paused = true)]
async fn sessions_opened_while_held_back_get_the_server_later() {
    let world = World::new();
    world.exhaust("alice").await;
    let waiting = [world.connect(Some("alice")).await, world.connect(Some("alice")).await];
    assert!(waiting.iter().all(|session| session.tools().is_empty()));
    world.set_works(true);
    for session in &waiting {
        until_up(session).await;
        assert_eq!(session.tools().len(), 1);
        assert_eq!(echoed(&**session, "a").await, "still here");
    }
    assert_eq!(world.host.health()[0].held_back, None);
}

#[tokio::test(start_paused = true)]
async fn server_that_failed_at_first_is_tried_again_unasked() {
    let world = World::new();
    let session = world.connect(Some("bob")).await;
    assert_eq!((state(&session), session.tools().len()), (ServerState::Down, 0));
    world.set_works(true);
    until_up(&session).await;
    assert_eq!(echoed(&*session, "a").await, "still here");
}

/// A connect that is cancelled during the one trial leaves the trial to the next.
/// Covers: S2-1
#[tokio::test(start_paused = true)]
async fn trial_cancelled_midway_is_left_to_the_next() {
    let world = World::new();
    world.exhaust("alice").await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    let trial = tokio::time::timeout(Duration::from_secs(1), world.connect(Some("alice"))).await;
    assert!(trial.is_err(), "the server does not answer");
    world.set_works(true);
    assert_eq!(state(&world.connect(Some("alice")).await), ServerState::Up);
}

/// Covers: S2-1
#[tokio::test(start_paused = true)]
async fn session_of_the_pool_counts_for_its_tenant_once_given() {
    let world = World::new();
    let session = world.connect(None).await;
    session.assign(&PrincipalId::parse("alice").expect("a name"));
    for _ in 0..4 {
        assert_eq!(state(&world.connect(Some("alice")).await), ServerState::Down);
    }
    // Meanwhile the session has tried again by itself, which is the fifth failure of alice's.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(state(&world.connect(Some("alice")).await), ServerState::HeldBack);
    assert_eq!(state(&world.connect(None).await), ServerState::Down);
}

/// Sessions that wait for a server start it one after the other.
#[tokio::test(start_paused = true)]
async fn sessions_that_wait_do_not_all_start_at_once() {
    let world = World::new();
    world.exhaust("alice").await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(world.connect(Some("alice")).await);
    }
    let before = *world.seen.starts.borrow();
    tokio::time::sleep(Duration::from_secs(35)).await;
    assert_eq!(*world.seen.starts.borrow(), before + 1, "one trial");
    world.set_works(true);
    for session in &waiting {
        until_up(session).await;
    }
    assert_eq!(*world.seen.starts.borrow(), before + 21);
}
