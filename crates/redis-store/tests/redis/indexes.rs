//! The indexes are hints: what a crash leaves in them too much does no harm, and what a step needs is there before it.

use crate::{
    Case,
    owner::{Owner, TTL, at, principal, session_id},
    server::Server,
};
use lockkeeper_domain::{SandboxRef, SessionRecord};
use lockkeeper_ports::{Commit, RecordChange, SessionRepository as _, SessionStore as _};

pub(crate) fn cases() -> Vec<Case> {
    crate::cases![
        what_a_crash_left_in_an_index_is_passed_over_and_goes,
        an_entry_on_probation_is_saved_by_the_next_step,
        a_busy_session_on_probation_is_found_all_the_same,
        a_claim_writes_lost_entries_anew,
        many_idle_sessions_are_found_in_their_order,
    ]
}

fn busy(busy: bool) -> RecordChange {
    RecordChange { busy: Some(busy), ..RecordChange::default() }
}

/// How far an index has come with a session: its score there.
async fn score(server: &Server, index: &str, id: &str) -> Option<f64> {
    let answer = server.ask(&["ZSCORE", index, id]).await;
    answer.lines().nth(1).map(|score| score.parse().unwrap())
}

async fn what_a_crash_left_in_an_index_is_passed_over_and_goes() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let owner = Owner::new(&store).await;
    let of_owner = format!("mcp:owner:{}", owner.record.owner);
    let indexes = ["mcp:busy", "mcp:idle", "mcp:sessions", &of_owner];
    for index in indexes {
        server.ask(&["ZADD", index, "5", "never-written"]).await;
    }
    for _ in 0..2 {
        assert!(store.abandoned(at(100), 10).await.unwrap().is_empty());
        assert!(store.expired(at(100), 10).await.unwrap().is_empty());
        assert_eq!(store.owned_by(&owner.record.owner, 10).await.unwrap(), std::slice::from_ref(&owner.record));
        assert_eq!(store.latest(10).await.unwrap(), std::slice::from_ref(&owner.record));
    }
    // It is on probation, and goes when that is over.
    for index in indexes {
        assert!(score(&server, index, "never-written").await.unwrap() < 0.0);
        server.ask(&["ZADD", index, "-1000", "never-written"]).await;
    }
    store.abandoned(at(100), 10).await.unwrap();
    store.expired(at(100), 10).await.unwrap();
    store.owned_by(&owner.record.owner, 10).await.unwrap();
    store.latest(10).await.unwrap();
    for index in indexes {
        assert_eq!(score(&server, index, "never-written").await, None, "{index}");
    }
}

async fn an_entry_on_probation_is_saved_by_the_next_step() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let owner = Owner::new(&store).await;
    let id = owner.id().as_str();
    store.commit(owner.id(), &Commit { history: None, record: busy(true), ..owner.step(0) }).await.unwrap();
    store.commit(owner.id(), &Commit { history: None, record: busy(false), ..owner.step(0) }).await.unwrap();
    assert!(store.abandoned(at(100), 10).await.unwrap().is_empty());
    assert!(score(&server, "mcp:busy", id).await.unwrap() < 0.0, "it is on probation");
    store.commit(owner.id(), &Commit { history: None, record: busy(true), ..owner.step(0) }).await.unwrap();
    assert_eq!(score(&server, "mcp:busy", id).await, Some(0.0));
    assert_eq!(store.abandoned(at(100), 10).await.unwrap(), [owner.id().clone()]);
}

async fn a_busy_session_on_probation_is_found_all_the_same() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let owner = Owner::new(&store).await;
    let record =
        RecordChange { sandbox: Some(Some(SandboxRef { id: "s".to_owned(), started_at: at(0) })), ..busy(true) };
    store.commit(owner.id(), &Commit { history: None, record, ..owner.step(0) }).await.unwrap();
    // As if its entry had been judged before the step, which took longer than any probation.
    for index in ["mcp:busy", "mcp:idle"] {
        server.ask(&["ZADD", index, "-1000", owner.id().as_str()]).await;
    }
    assert_eq!(store.abandoned(at(100), 10).await.unwrap(), [owner.id().clone()]);
    assert!(store.expired(at(100), 10).await.unwrap().is_empty());
    assert_eq!(score(&server, "mcp:busy", owner.id().as_str()).await, Some(0.0));
    store.commit(owner.id(), &Commit { history: None, record: busy(false), ..owner.step(0) }).await.unwrap();
    assert_eq!(store.expired(at(100), 10).await.unwrap(), [owner.id().clone()]);
}

async fn a_claim_writes_lost_entries_anew() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let mut record = SessionRecord::opened(session_id(), principal(), None, at(0));
    record.busy = true;
    record.sandbox = Some(SandboxRef { id: "s".to_owned(), started_at: at(0) });
    store.create(&record).await.unwrap();
    let of_owner = format!("mcp:owner:{}", record.owner);
    server.ask(&["DEL", "mcp:busy", "mcp:idle", &of_owner]).await;
    assert!(store.abandoned(at(100), 10).await.unwrap().is_empty());
    store.claim(&record.id, "one", at(0), TTL).await.unwrap();
    assert_eq!(store.abandoned(at(100), 10).await.unwrap(), [record.id.clone()]);
    assert_eq!(store.owned_by(&record.owner, 10).await.unwrap(), [record.clone()]);
    assert!(score(&server, "mcp:idle", record.id.as_str()).await.is_some());
}

/// More than one look at the index takes, each used later than its entry says.
async fn many_idle_sessions_are_found_in_their_order() {
    const SESSIONS: i64 = 300;
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let owner = principal();
    let mut ids = Vec::new();
    for n in 0..SESSIONS {
        let mut record = SessionRecord::opened(session_id(), owner.clone(), None, at(n));
        record.sandbox = Some(SandboxRef { id: "s".to_owned(), started_at: at(0) });
        store.create(&record).await.unwrap();
        ids.push(record.id);
    }
    // The first ones are the last ones now.
    for (n, id) in (SESSIONS..).zip(&ids[..100]) {
        store.touch(id, at(n)).await.unwrap();
    }
    let by_use: Vec<_> = ids[100..].iter().chain(&ids[..100]).cloned().collect();
    for limit in [1, 150, 300, 1_000] {
        let expected = &by_use[..limit.min(by_use.len())];
        assert_eq!(store.expired(at(10_000), limit).await.unwrap(), expected, "the first {limit}");
    }
    assert_eq!(store.expired(at(SESSIONS), 1_000).await.unwrap(), by_use[..200]);
    let found = store.owned_by(&owner, 250).await.unwrap();
    let expected: Vec<_> = by_use.iter().rev().take(250).cloned().collect();
    assert_eq!(found.into_iter().map(|record| record.id).collect::<Vec<_>>(), expected);
}
