//! The file: what stays in it, who may open it, and what becomes of one that is damaged.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use lockkeeper_domain::{
    Event, EventBody, EventId, NoticeKind, PrincipalId, SandboxRef, Seq, SessionId, SessionRecord, Timestamp,
};
use lockkeeper_embedded_store::{Config, EmbeddedStore, OpenError};
use lockkeeper_ports::{Claim, Commit, EventLog, RecordChange, SessionRepository, SessionStore, StoreError};
use std::{
    fs::{self, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    time::Duration,
};

const TTL: Duration = Duration::from_secs(30);

fn config(path: &Path) -> Config {
    Config { path: Some(path.to_owned()), ..Config::default() }
}

fn open(path: &Path) -> EmbeddedStore {
    EmbeddedStore::open(&config(path)).unwrap()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs * 1_000)
}

fn record(id: &str) -> SessionRecord {
    SessionRecord::opened(SessionId::parse(id).unwrap(), PrincipalId::parse("ada").unwrap(), None, at(0))
}

fn step(claim: &Claim, count: u64) -> Commit {
    let (epoch, after) = (claim.lease.epoch, claim.last.seq);
    let event = |seq| Event {
        id: EventId { epoch, seq: Seq::new(seq) },
        turn: None,
        at: at(1),
        body: EventBody::Notice { kind: NoticeKind::TurnResumed, text: "x".repeat(1_000) },
        link: None,
        request: None,
    };
    let events = (after.get() + 1..=after.get() + count).map(event).collect();
    Commit { epoch, after, events, history: None, record: RecordChange::default() }
}

/// A store with a busy session that somebody holds, and its claim.
async fn with_busy_session(path: &Path) -> (EmbeddedStore, Claim) {
    let store = open(path);
    let record = SessionRecord { busy: true, ..record("a") };
    store.create(&record).await.unwrap();
    let claim = store.claim(&record.id, "first", at(0), TTL).await.unwrap();
    store.commit(&record.id, &step(&claim, 100)).await.unwrap();
    (store, claim)
}

#[tokio::test]
async fn everything_is_there_after_a_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folder/store.redb");
    let (store, _) = with_busy_session(&path).await;
    let idle = SessionRecord { sandbox: Some(SandboxRef { id: "s".to_owned(), started_at: at(0) }), ..record("b") };
    store.create(&idle).await.unwrap();
    let id = record("a").id;
    let events = store.read(&id, Seq::new(0), 1_000).await.unwrap();
    drop(store);

    let store = open(&path);
    assert_eq!(store.read(&id, Seq::new(0), 1_000).await.unwrap(), events);
    assert_eq!(store.last(&id).await.unwrap(), events[99].id);
    assert_eq!(store.get(&idle.id).await.unwrap().as_ref(), Some(&idle));
    assert_eq!(store.owned_by(&idle.owner, 10).await.unwrap().len(), 2);
    assert_eq!(store.expired(at(1), 10).await.unwrap(), [idle.id]);
}

#[tokio::test]
async fn a_new_process_takes_sessions_over_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let (store, first) = with_busy_session(&path).await;
    let id = first.record.id.clone();
    assert!(matches!(store.claim(&id, "second", at(1), TTL).await, Err(StoreError::Held { .. })));
    assert!(store.abandoned(at(1), 10).await.unwrap().is_empty());
    drop(store);

    let store = open(&path);
    assert_eq!(store.abandoned(at(1), 10).await.unwrap(), std::slice::from_ref(&id));
    let stale = Claim { last: store.last(&id).await.unwrap(), ..first.clone() };
    assert!(matches!(store.commit(&id, &step(&stale, 1)).await, Err(StoreError::Fenced)));
    let second = store.claim(&id, "second", at(1), TTL).await.unwrap();
    assert!(second.lease.epoch > first.lease.epoch);
    assert_eq!(second.last.seq, Seq::new(100));
    store.commit(&id, &step(&second, 1)).await.unwrap();
    assert!(store.abandoned(at(1), 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn dropping_the_store_ends_its_followers_and_frees_the_file() {
    use futures::StreamExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let (store, claim) = with_busy_session(&path).await;
    let mut stream = store.follow(&claim.record.id, Seq::new(100)).await.unwrap();
    assert!(futures::FutureExt::now_or_never(stream.next()).is_none());
    drop(store);
    assert!(matches!(stream.next().await, Some(Err(StoreError::Unavailable(_)))));
    assert!(stream.next().await.is_none());
    open(&path);
}

#[test]
fn a_second_opening_says_which_file_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let first = open(&path);
    let error = EmbeddedStore::open(&config(&path)).unwrap_err();
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(path.to_str().unwrap()) && text.contains("another path"), "{text}");
    drop(first);
    open(&path);
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_alone_and_nothing_lies_beside_it() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(open(&path));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_file_of_something_else_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "Buy milk.\n".repeat(1_000)).unwrap();
    let error = EmbeddedStore::open(&config(&path)).unwrap_err();
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "Buy milk.\n".repeat(1_000));
}

#[test]
fn another_programs_database_is_refused() {
    const TABLE: redb::TableDefinition<u64, u64> = redb::TableDefinition::new("theirs");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.redb");
    let database = redb::Database::create(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(TABLE).unwrap().insert(1, 2).unwrap();
    txn.commit().unwrap();
    drop(database);
    let error = EmbeddedStore::open(&config(&path)).unwrap_err();
    assert!(matches!(error, OpenError::NotAStore { .. }), "{error:?}");
}

#[test]
fn a_file_of_a_later_format_is_refused() {
    const META: redb::TableDefinition<&str, u64> = redb::TableDefinition::new("meta");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    drop(open(&path));
    let database = redb::Database::create(&path).unwrap();
    let txn = database.begin_write().unwrap();
    txn.open_table(META).unwrap().insert("format", 2).unwrap();
    txn.commit().unwrap();
    drop(database);
    let error = EmbeddedStore::open(&config(&path)).unwrap_err();
    assert!(matches!(error, OpenError::TooNew { found: 2, known: 1, .. }), "{error:?}");
}

#[test]
fn a_folder_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let error = EmbeddedStore::open(&config(folder.path())).unwrap_err();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
}

/// Writes noise over `len` bytes from `start` on.
fn damage(path: &Path, start: u64, len: usize) {
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut bytes = vec![0; len];
    file.seek(SeekFrom::Start(start)).unwrap();
    file.read_exact(&mut bytes).unwrap();
    for byte in &mut bytes {
        *byte ^= 0x5a;
    }
    file.seek(SeekFrom::Start(start)).unwrap();
    file.write_all(&bytes).unwrap();
}

#[tokio::test]
async fn a_damaged_file_is_an_error_and_loses_nothing_silently() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.redb");
    let (store, claim) = with_busy_session(&whole).await;
    drop(store);
    let len = fs::metadata(&whole).unwrap().len();
    let mut refused = 0;
    for (case, start) in (0..len).step_by(16 << 10).chain([1, 16, 64, 128, 256, 320]).enumerate() {
        let path = folder.path().join(format!("{case}.redb"));
        fs::copy(&whole, &path).unwrap();
        damage(&path, start, 32);
        match EmbeddedStore::open(&config(&path)) {
            Err(error) => {
                refused += 1;
                assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
            }
            // Where nothing lies, noise harms nothing.
            Ok(store) => {
                let read = store.read(&claim.record.id, Seq::new(0), 1_000).await;
                assert_eq!(read.unwrap().len(), 100, "damage at {start} went unnoticed");
            }
        }
        fs::remove_file(path).unwrap();
    }
    assert!(refused >= 3, "only {refused} damaged files were refused");
}

#[test]
fn a_file_that_was_cut_short_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole.redb");
    drop(open(&whole));
    let len = fs::metadata(&whole).unwrap().len();
    for kept in [1, 9, 100, 4_096, len / 2, len - 4_096] {
        let path = folder.path().join(format!("{kept}.redb"));
        fs::copy(&whole, &path).unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(kept).unwrap();
        let error = EmbeddedStore::open(&config(&path)).expect_err("a part is not the whole");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{kept}: {error}");
    }
}
