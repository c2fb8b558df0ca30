//! The audit trail in a file: it is made from the logs of earlier versions, and survives what the logs do not.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use lockkeeper_domain::{
    CallId, ChainHead, Event, EventBody, EventId, PrincipalId, Seq, SessionId, SessionRecord, SessionState, Timestamp,
    TurnId,
};
use lockkeeper_embedded_store::{Config, EmbeddedStore};
use lockkeeper_ports::{AuditTrail, Claim, Commit, RecordChange, SessionRepository, SessionStore};
use redb::TableHandle as _;
use std::{path::Path, time::Duration};

const TTL: Duration = Duration::from_secs(30);

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(&Config { path: Some(path.to_owned()), ..Config::default() }).unwrap()
}

fn id() -> SessionId {
    SessionId::parse("a").unwrap()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs * 1_000)
}

/// A step of `count` records of the audit, which the checkpoint accounts for if `rests`.
fn step(claim: &Claim, after: u64, head: &mut ChainHead, count: u64, rests: bool) -> Commit {
    let epoch = claim.lease.epoch;
    let event = |seq: u64| {
        let call = CallId::minted(TurnId::new(1), 0, usize::try_from(seq).unwrap());
        let id = EventId { epoch, seq: Seq::new(seq) };
        let body = EventBody::ToolStarted { call, server: None, tool: "ls".to_owned() };
        Event { id, turn: None, at: at(i64::try_from(seq).unwrap()), body, link: None, request: None }
    };
    let mut events: Vec<_> = (after + 1..=after + count).map(event).collect();
    for event in &mut events {
        head.link(&id(), event, None);
    }
    let checkpoint = rests.then(|| (SessionState::default(), Seq::new(after + count)));
    let record = RecordChange { checkpoint, ..RecordChange::default() };
    Commit { epoch, after: Seq::new(after), events, history: None, record }
}

/// A file as an earlier version left it: three records of the audit, and no trail.
async fn of_an_earlier_version(path: &Path) -> ChainHead {
    let mut head = ChainHead::default();
    let store = open(path);
    store.create(&SessionRecord::opened(id(), PrincipalId::parse("ada").unwrap(), None, at(0))).await.unwrap();
    let claim = store.claim(&id(), "old", at(0), TTL).await.unwrap();
    store.commit(&id(), &step(&claim, 0, &mut head, 3, true)).await.unwrap();
    drop(store);
    let database = redb::Database::open(path).unwrap();
    let txn = database.begin_write().unwrap();
    let trail: Vec<_> = txn.list_tables().unwrap().filter(|table| table.name().starts_with("audit")).collect();
    assert_eq!(trail.len(), 3);
    for table in trail {
        txn.delete_table(table).unwrap();
    }
    txn.commit().unwrap();
    head
}

async fn numbers(store: &EmbeddedStore) -> Vec<u64> {
    let kept = store.audits(&id()).await.unwrap().pop().unwrap();
    let records = store.audit(&id(), &kept.born, 0, usize::MAX).await.unwrap();
    records.iter().map(|record| record.link.number).collect()
}

#[tokio::test]
async fn logs_of_an_earlier_version_are_audited_with_the_next_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let mut head = of_an_earlier_version(&path).await;
    let store = open(&path);
    assert!(store.audits(&id()).await.unwrap().is_empty());
    let claim = store.claim(&id(), "new", at(60), TTL).await.unwrap();
    store.commit(&id(), &step(&claim, 3, &mut head, 2, false)).await.unwrap();
    assert_eq!(numbers(&store).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn logs_of_an_earlier_version_are_audited_before_a_trim() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    of_an_earlier_version(&path).await;
    let store = open(&path);
    let claim = store.claim(&id(), "new", at(60), TTL).await.unwrap();
    lockkeeper_ports::EventLog::trim(&store, &id(), claim.lease.epoch, Seq::new(2)).await.unwrap();
    assert_eq!(numbers(&store).await, [1, 2]);
}

#[tokio::test]
async fn logs_of_an_earlier_version_are_audited_before_a_delete() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    of_an_earlier_version(&path).await;
    let store = open(&path);
    store.delete(&id(), at(60)).await.unwrap();
    assert_eq!(numbers(&store).await, [1, 2, 3]);
}

/// By the time that the records name: the oldest go, the others stay.
#[tokio::test]
async fn records_are_removed_by_their_own_age() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let store = open(&path);
    store.create(&SessionRecord::opened(id(), PrincipalId::parse("ada").unwrap(), None, at(0))).await.unwrap();
    let claim = store.claim(&id(), "one", at(0), TTL).await.unwrap();
    store.commit(&id(), &step(&claim, 0, &mut ChainHead::default(), 9, true)).await.unwrap();
    let removed = store.remove_audit(at(5), 0).await.unwrap();
    assert_eq!((removed.by_age, removed.by_size), (4, 0));
    drop(store);
    let store = open(&path);
    assert_eq!(numbers(&store).await, [5, 6, 7, 8, 9]);
    assert_eq!(store.remove_audit(at(5), 0).await.unwrap().by_age, 0);
}
