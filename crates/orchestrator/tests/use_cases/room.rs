//! Sessions that nobody uses give way: those that nobody ever used at once, the others when their place is needed.

use crate::desk::{Desk, User, principal, wish};
use lockkeeper_domain::{Code, EventBody, Failure, Seq};
use lockkeeper_orchestrator::{Attached, SessionManager};
use lockkeeper_ports::SessionRepository as _;
use lockkeeper_testkit::llm::Step;
use serde_json::json;
use std::{sync::Arc, time::Duration};

async fn open(manager: &Arc<SessionManager>, session: &str, name: &str) -> Result<Attached, Failure> {
    manager.open(wish(Some(session), name)).await
}

/// A session in which a message was said and answered, and that somebody looks at.
async fn used(manager: &Arc<SessionManager>, session: &str) -> User {
    let attached = open(manager, session, "ann").await.expect("room");
    attached.ready().await.expect("ready");
    let mut user = User::of(manager, attached, Seq::default()).await;
    user.says("hi").await.expect("accepted");
    user.sees_end().await;
    user
}

async fn names(manager: &SessionManager) -> Vec<String> {
    let sessions = manager.list(&principal("ann"), 100).await.expect("listed");
    let mut names: Vec<_> = sessions.into_iter().map(|record| record.id.to_string()).collect();
    names.sort_unstable();
    names
}

fn desk(answers: usize, own: usize) -> Desk {
    let mut desk = Desk::new((0..answers).map(|_| Step::text("Hello.")));
    desk.config.max_sessions_per_principal = own;
    desk
}

#[tokio::test(start_paused = true)]
async fn reloads_without_a_message_lock_nobody_out() {
    let desk = desk(1, 4);
    let manager = desk.manager();
    for n in 0..30 {
        drop(open(&manager, &format!("reload-{n}"), "ann").await.expect("there is always room"));
    }
    let mut last = used(&manager, "last").await;
    assert!(manager.live_sessions() <= 4 + 30, "each is counted until its sandbox is gone");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!((manager.live_sessions(), names(&manager).await), (1, vec!["last".to_owned()]));
    last.says("again").await.expect("accepted");
    last.sees_end().await;
}

#[tokio::test(start_paused = true)]
async fn session_that_nobody_used_goes_soon_after_its_last_client() {
    let desk = desk(0, 16);
    let manager = desk.manager();
    let one = open(&manager, "s", "ann").await.expect("opened");
    one.ready().await.expect("ready");
    let two = open(&manager, "s", "ann").await.expect("opened");
    drop(one);
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(manager.live_sessions(), 1, "somebody still looks");
    drop(two);
    // A page that reloads is back within the grace, and finds the session as it was.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let back = open(&manager, "s", "ann").await.expect("opened");
    assert!(back.resumed());
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(manager.live_sessions(), 1);
    drop(back);
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!((manager.live_sessions(), names(&manager).await.len()), (0, 0));
    assert_eq!(desk.stopped().len(), 1, "its sandbox went with it");
    let anew = open(&manager, "s", "ann").await.expect("opened");
    assert!(!anew.resumed());
    anew.ready().await.expect("ready");
}

#[tokio::test(start_paused = true)]
async fn session_that_was_used_or_named_stays() {
    let desk = desk(1, 16);
    let manager = desk.manager();
    drop(used(&manager, "used").await);
    let named = open(&manager, "named", "ann").await.expect("opened");
    manager.rename(named.session(), &principal("ann"), "Mine").await.expect("renamed");
    drop(named);
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(names(&manager).await, ["named", "used"]);
}

#[tokio::test(start_paused = true)]
async fn longest_idle_session_is_suspended_for_one_more() {
    let desk = desk(4, 2);
    let manager = desk.manager();
    let mut first = used(&manager, "first").await;
    tokio::time::advance(Duration::from_secs(1)).await;
    let second = used(&manager, "second").await;
    let third = open(&manager, "third", "ann").await.expect("the first gives way");
    third.ready().await.expect("ready");
    let reason = |body: &EventBody| match body {
        EventBody::SessionExpired { reason } => Some(reason.clone()),
        _ => None,
    };
    assert!(first.sees(reason).await.contains("needed its place"));
    assert_eq!(names(&manager).await, ["first", "second", "third"], "its record stays");
    // It goes on with its next message, and another one gives way: the one that nobody used and nobody looks at.
    drop(third);
    first.says("still there?").await.expect("accepted");
    first.sees_end().await;
    drop(second);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(names(&manager).await, ["first", "second"]);
}

#[tokio::test(start_paused = true)]
async fn session_with_an_open_turn_never_gives_way() {
    let mut desk = Desk::new((0..2).map(|_| Step::calls([("box__echo", json!({"text": "a"}))])));
    desk.config.max_sessions_per_principal = 2;
    let manager = desk.manager();
    for session in ["a", "b"] {
        let attached = open(&manager, session, "ann").await.expect("room");
        attached.ready().await.expect("ready");
        let mut user = User::of(&manager, attached, Seq::default()).await;
        user.says("go").await.expect("accepted");
        user.is_asked().await;
    }
    let full = open(&manager, "c", "ann").await.expect_err("both have a turn that waits");
    assert_eq!(full.code, Code::RateLimited);
    assert!(full.hint.is_some_and(|hint| hint.contains("/api/sessions")), "it says what to do");
    open(&manager, "d", "bob").await.expect("bob has room");
}

#[tokio::test(start_paused = true)]
async fn full_server_gives_up_what_nobody_uses_and_nothing_else_of_others() {
    let mut desk = Desk::new([Step::text("Hello.")]);
    (desk.config.max_sessions, desk.config.unused_secs) = (2, 0);
    let manager = desk.manager();
    let ann = used(&manager, "anns").await;
    drop(ann);
    drop(open(&manager, "unused", "ann").await.expect("room"));
    let bob = open(&manager, "bobs", "bob").await.expect("the unused one gives way");
    let eve = open(&manager, "eves", "eve").await.expect_err("the others are in use, or were");
    assert_eq!(eve.code, Code::RateLimited);
    drop(bob);
    open(&manager, "bobs-2", "bob").await.expect("his own gives way");
}

#[tokio::test(start_paused = true)]
async fn ending_a_session_that_does_not_run_starts_nothing() {
    let desk = desk(1, 16);
    let manager = desk.manager();
    let user = used(&manager, "s").await;
    manager.end(&user.session, &user.me).await.expect("ended");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(manager.live_sessions(), 0);
    manager.end(&user.session, &user.me).await.expect("ended before");
    assert_eq!(manager.live_sessions(), 0);
    assert_eq!(desk.stopped().len(), 1);
    let record = desk.store.get(&user.session).await.expect("read").expect("it stays");
    assert_eq!(record.sandbox, None);
}
