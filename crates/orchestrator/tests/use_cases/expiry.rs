use crate::desk::{Desk, User};
use lockkeeper_domain::{Epoch, EventBody, NoticeKind, SessionId};
use lockkeeper_orchestrator::{Janitor, Swept};
use lockkeeper_ports::{Clock, SandboxId, SandboxSummary, SessionRepository};
use lockkeeper_testkit::llm::Step;
use serde_json::json;
use std::{sync::Arc, time::Duration};

const IDLE: Duration = Duration::from_secs(901);

#[tokio::test(start_paused = true)]
async fn an_idle_session_loses_its_sandbox_and_keeps_its_history() {
    let desk = Desk::new([Step::text("one"), Step::text("two")]);
    let mut ann = User::ready(&desk.manager()).await;
    let first = ann.sandbox().await;
    let janitor = Janitor::new(Arc::clone(&ann.manager));
    ann.says("hi").await.expect("accepted");
    ann.sees_end().await;
    assert_eq!(janitor.sweep().await, Swept::default(), "it was just in use");
    tokio::time::advance(IDLE).await;
    assert_eq!(janitor.sweep().await.expired, 1);
    ann.sees(|body| matches!(body, EventBody::SessionExpired { .. }).then_some(())).await;
    assert_eq!(janitor.sweep().await, Swept::default(), "it is gone already");

    ann.says("still there?").await.expect("accepted");
    assert_eq!(ann.sees_notice().await, NoticeKind::SandboxReplaced);
    assert_eq!(ann.sees_answer().await, "two");
    assert_eq!(desk.provider.requests()[1].messages.len(), 3, "the history stayed");
    assert_eq!(desk.stopped(), [first]);
}

#[tokio::test(start_paused = true)]
async fn a_session_in_use_never_expires() {
    let mut desk = Desk::new([Step::calls([("box__hang", json!({}))])]);
    desk.rules = serde_json::from_value(json!([{"decision": "allow"}])).expect("a rule");
    let ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    desk.host.wait_for_calls(1).await;
    tokio::time::advance(IDLE * 4).await;
    assert_eq!(Janitor::new(Arc::clone(&ann.manager)).sweep().await, Swept::default());
}

#[tokio::test(start_paused = true)]
async fn the_sandbox_that_a_dead_server_left_is_removed_when_its_session_is_idle() {
    let desk = Desk::new([]);
    let dead = desk.manager();
    let ann = User::ready(&dead).await;
    let left = ann.sandbox().await;
    // A server that dies lets nothing go: its successor finds the record as it was.
    let record = desk.store.get(&ann.session).await.expect("read").expect("a record");
    assert!(record.sandbox.is_some());
    let thief = desk.store.steal(&ann.session, desk.clock.now()).await;
    tokio::time::advance(IDLE).await;
    let held = Janitor::new(desk.manager()).sweep().await;
    assert_eq!(held, Swept::default(), "somebody holds it");
    desk.store.release(&ann.session, thief.lease.epoch).await.expect("released");
    assert_eq!(Janitor::new(desk.manager()).sweep().await.expired, 1);
    assert!(desk.stopped().contains(&left));
    let record = desk.store.get(&ann.session).await.expect("read").expect("a record");
    assert_eq!(record.sandbox, None);
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_without_a_session_is_removed_once_it_is_old_enough() {
    let desk = Desk::new([]);
    let ann = User::ready(&desk.manager()).await;
    let sandbox = |id: &str, session: &str| SandboxSummary {
        id: SandboxId::new(id),
        session: SessionId::parse(session).expect("an id"),
        epoch: Epoch::new(1),
        created_at: desk.clock.now(),
    };
    let live = ann.sandbox().await;
    let sandboxes = [sandbox(&live, "s"), sandbox("s.0", "s"), sandbox("x.1", "nobodys")];
    desk.listed.lock().expect("no panic").extend(sandboxes);
    let janitor = Janitor::new(Arc::clone(&ann.manager));
    assert_eq!(janitor.sweep().await.orphans, 0, "they may be about to be told of");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(janitor.sweep().await.orphans, 2);
    assert_eq!(desk.stopped(), ["s.0", "x.1"]);
}
