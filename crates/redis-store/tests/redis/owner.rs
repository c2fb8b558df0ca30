//! Who drives a session in these tests.

use lockkeeper_domain::{
    Epoch, Event, EventBody, EventId, Message, NoticeKind, PrincipalId, Seq, SessionId, SessionRecord, Timestamp,
    TurnId, UserMessage,
};
use lockkeeper_ports::{Commit, Committed, HistoryChange, RecordChange, SessionStore, StoreError};
use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// How long its leases last.
pub(crate) const TTL: Duration = Duration::from_secs(30);

pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + secs * 1_000)
}

pub(crate) fn session_id() -> SessionId {
    SessionId::parse(format!("s{:016x}", RandomState::new().hash_one(0))).unwrap()
}

pub(crate) fn principal() -> PrincipalId {
    PrincipalId::parse(format!("owner {:016x}", RandomState::new().hash_one(0))).unwrap()
}

/// A session's owner, and what it believes to be the end of the log.
#[derive(Clone)]
pub(crate) struct Owner {
    pub(crate) record: SessionRecord,
    pub(crate) epoch: Epoch,
    pub(crate) last: u64,
}

impl Owner {
    /// A new session, driven from `at(0)` on.
    pub(crate) async fn new(store: &dyn SessionStore) -> Self {
        let record = SessionRecord::opened(session_id(), principal(), None, at(0));
        store.create(&record).await.unwrap();
        let claim = store.claim(&record.id, "one", at(0), TTL).await.unwrap();
        Self { record, epoch: claim.lease.epoch, last: 0 }
    }

    pub(crate) fn id(&self) -> &SessionId {
        &self.record.id
    }

    /// A commit of the next `count` events, and of a message.
    pub(crate) fn step(&self, count: u64) -> Commit {
        let end = self.last + count;
        let history = HistoryChange::Slide { append: vec![said(end)], drop_front: 0 };
        Commit {
            epoch: self.epoch,
            after: Seq::new(self.last),
            events: (self.last + 1..=end).map(|seq| note(self.epoch, seq)).collect(),
            history: Some(history),
            record: RecordChange { last_active_at: Some(at(1)), ..RecordChange::default() },
        }
    }

    pub(crate) async fn commit(&mut self, store: &dyn SessionStore, commit: &Commit) -> Result<Committed, StoreError> {
        let committed = store.commit(self.id(), commit).await?;
        self.last = commit.events.last().map_or(self.last, |event| event.id.seq.get());
        Ok(committed)
    }

    pub(crate) async fn write(&mut self, store: &dyn SessionStore, count: u64) {
        let step = self.step(count);
        assert_eq!(self.commit(store, &step).await.unwrap(), Committed::Written);
    }

    /// That the log is dense and ends where the owner believes, and that the history has each of `messages` once.
    pub(crate) async fn assert_stored(&self, store: &dyn SessionStore, messages: &[u64]) {
        let events = store.read(self.id(), Seq::new(0), usize::MAX).await.unwrap();
        let numbers: Vec<_> = events.iter().map(|event| event.id.seq.get()).collect();
        assert_eq!(numbers, (1..=self.last).collect::<Vec<_>>());
        let expected: Vec<_> = messages.iter().map(|n| said(*n)).collect();
        assert_eq!(store.history(self.id()).await.unwrap(), expected);
    }
}

pub(crate) fn note(epoch: Epoch, seq: u64) -> Event {
    let body = EventBody::Notice { kind: NoticeKind::TurnResumed, text: format!("event {seq}") };
    Event { id: EventId { epoch, seq: Seq::new(seq) }, turn: None, at: at(1), body, link: None, request: None }
}

pub(crate) fn said(n: u64) -> Message {
    let (text, by) = (format!("message {n}"), PrincipalId::parse("somebody").unwrap());
    let message = UserMessage { text, attachments: Vec::new(), client_message_id: None, by };
    Message::User { turn: TurnId::new(n), at: at(1), message }
}

/// What the store says of being unavailable.
#[track_caller]
pub(crate) fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(error @ StoreError::Unavailable(_)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}
