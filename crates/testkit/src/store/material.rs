//! What the tests are made of.

use futures::{FutureExt, StreamExt};
use lockkeeper_domain::{
    Epoch, Event, EventBody, EventId, Message, NoticeKind, PrincipalId, SandboxRef, Seq, SessionId, SessionRecord,
    Timestamp, TurnId, UserMessage,
};
use lockkeeper_ports::{Claim, Commit, Committed, EventStream, HistoryChange, RecordChange, SessionStore, StoreError};
use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

pub(super) type Store = Arc<dyn SessionStore>;

/// How long a lease lasts unless a test says otherwise.
pub(super) const TTL: Duration = Duration::from_secs(30);

/// The time, `secs` seconds after the tests' beginning.
pub(super) fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + secs * 1_000)
}

/// Text that no other test and no other run has.
fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{:016x}", RandomState::new().hash_one(NEXT.fetch_add(1, Ordering::Relaxed)))
}

pub(super) fn session_id() -> SessionId {
    SessionId::parse(format!("test-{}", unique())).unwrap()
}

pub(super) fn owner() -> PrincipalId {
    PrincipalId::parse(format!("owner {}", unique())).unwrap()
}

/// A session that is stored, last active at `at(0)`.
pub(super) async fn opened(store: &Store) -> SessionRecord {
    opened_by(store, owner(), at(0)).await
}

pub(super) async fn opened_by(store: &Store, owner: PrincipalId, now: Timestamp) -> SessionRecord {
    let record = SessionRecord::opened(session_id(), owner, None, now);
    store.create(&record).await.unwrap();
    record
}

/// A session and its owner, who has the lease from `at(0)` on.
pub(super) async fn driven(store: &Store) -> Driver {
    let record = opened(store).await;
    Driver::claim(store, &record.id, "driver", at(0)).await
}

/// Who drives a session.
#[derive(Clone)]
pub(super) struct Driver {
    pub(super) store: Store,
    pub(super) id: SessionId,
    pub(super) epoch: Epoch,
    pub(super) last: Seq,
}

impl Driver {
    pub(super) async fn claim(store: &Store, id: &SessionId, holder: &str, now: Timestamp) -> Self {
        let Claim { lease, last, .. } = store.claim(id, holder, now, TTL).await.unwrap();
        Self { store: Arc::clone(store), id: id.clone(), epoch: lease.epoch, last: last.seq }
    }

    /// The next `count` events.
    pub(super) fn events(&self, count: u64) -> Vec<Event> {
        let first = self.last.get() + 1;
        (first..first + count).map(|seq| note(self.epoch, seq, &format!("event {seq}"))).collect()
    }

    /// A commit of the next `count` events and of nothing else.
    pub(super) fn step(&self, count: u64) -> Commit {
        Commit {
            epoch: self.epoch,
            after: self.last,
            events: self.events(count),
            history: None,
            record: RecordChange::default(),
        }
    }

    pub(super) async fn commit(&mut self, commit: &Commit) -> Result<Committed, StoreError> {
        let committed = self.store.commit(&self.id, commit).await?;
        self.last = commit.events.last().map_or(self.last, |event| event.id.seq);
        Ok(committed)
    }

    /// Writes the next `count` events.
    pub(super) async fn write(&mut self, count: u64) -> Vec<Event> {
        let step = self.step(count);
        assert_eq!(self.commit(&step).await.unwrap(), Committed::Written);
        step.events
    }

    /// Changes the record.
    pub(super) async fn change(&mut self, record: RecordChange) {
        let step = Commit { record, ..self.step(0) };
        assert_eq!(self.commit(&step).await.unwrap(), Committed::Written);
    }

    /// Changes the history.
    pub(super) async fn tell(&mut self, history: HistoryChange) {
        let step = Commit { history: Some(history), ..self.step(0) };
        assert_eq!(self.commit(&step).await.unwrap(), Committed::Written);
    }

    /// Everything that is stored of the session.
    pub(super) async fn stored(&self) -> Stored {
        stored(&self.store, &self.id).await
    }
}

/// Everything that is stored of a session that was never trimmed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stored {
    pub(super) record: Option<SessionRecord>,
    pub(super) history: Vec<Message>,
    pub(super) events: Vec<Event>,
    pub(super) last: EventId,
}

pub(super) async fn stored(store: &Store, id: &SessionId) -> Stored {
    Stored {
        record: store.get(id).await.unwrap(),
        history: store.history(id).await.unwrap(),
        events: read_all(store, id).await,
        last: store.last(id).await.unwrap(),
    }
}

pub(super) async fn read_all(store: &Store, id: &SessionId) -> Vec<Event> {
    store.read(id, Seq::new(0), 1_000_000).await.unwrap()
}

pub(super) fn note(epoch: Epoch, seq: u64, text: &str) -> Event {
    Event {
        id: EventId { epoch, seq: Seq::new(seq) },
        turn: None,
        at: at(1),
        body: EventBody::Notice { kind: NoticeKind::TurnResumed, text: text.to_owned() },
        link: None,
        request: None,
    }
}

pub(super) fn said(turn: u64, text: &str) -> Message {
    let by = PrincipalId::parse("somebody").unwrap();
    let message = UserMessage { text: text.to_owned(), attachments: Vec::new(), client_message_id: None, by };
    Message::User { turn: TurnId::new(turn), at: at(1), message }
}

pub(super) fn messages(numbers: impl IntoIterator<Item = u64>) -> Vec<Message> {
    numbers.into_iter().map(|n| said(n, &format!("message {n}"))).collect()
}

pub(super) fn sandbox(name: &str) -> SandboxRef {
    SandboxRef { id: name.to_owned(), started_at: at(0) }
}

pub(super) fn seqs(events: &[Event]) -> Vec<u64> {
    events.iter().map(|event| event.id.seq.get()).collect()
}

/// The next `count` items of a stream. It panics if they take unreasonably long.
pub(super) async fn next(stream: &mut EventStream, count: usize) -> Vec<Event> {
    let mut events = Vec::with_capacity(count);
    while events.len() < count {
        events.push(next_item(stream).await.expect("the stream goes on").expect("the stream has no error"));
    }
    events
}

pub(super) async fn next_item(stream: &mut EventStream) -> Option<Result<Event, StoreError>> {
    tokio::time::timeout(Duration::from_secs(30), stream.next()).await.expect("the stream has an item in time")
}

/// That a stream has nothing to give after it was asked and others had their turn.
pub(super) async fn assert_silent(stream: &mut EventStream) {
    for _ in 0..100 {
        assert!(stream.next().now_or_never().is_none(), "the stream has an item that nobody wrote");
        tokio::task::yield_now().await;
    }
}

#[track_caller]
pub(super) fn assert_fenced<T: std::fmt::Debug>(result: &Result<T, StoreError>) {
    assert!(matches!(result, Err(StoreError::Fenced)), "{result:?}");
}
