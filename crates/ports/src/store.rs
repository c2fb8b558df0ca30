use crate::AuditTrail;
#[cfg(feature = "mocks")]
use crate::{AuditCursor, AuditEntry, AuditRemoval, AuditStream, KeptAudit};
use async_trait::async_trait;
use futures::stream::BoxStream;
use lockkeeper_domain::{
    Epoch, Event, EventId, Lease, Message, PrincipalId, SandboxRef, Seq, SessionId, SessionRecord, SessionState,
    SessionTitle, Timestamp, WorkspaceId,
};
use std::time::Duration;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such session.
    #[error("there is no such session")]
    NotFound,
    /// The session exists already.
    #[error("the session exists already")]
    AlreadyExists,
    /// Somebody else holds the lease, until `until` if it is not renewed.
    #[error("{holder} holds the lease")]
    Held {
        /// Who.
        holder: String,
        /// Until when.
        until: Timestamp,
    },
    /// The epoch is not that of the lease: a newer owner has taken over, or the lease was let go. Nothing was written,
    /// and nothing that this owner writes will be. It must stop driving the session.
    #[error("a newer owner has taken the session over")]
    Fenced,
    /// The log does not end where the commit says it does, though the epoch is right: the owner's picture of the session
    /// is wrong. Nothing was written. It must load the session anew.
    #[error("the log ends at {found}, not at {expected}")]
    Conflict {
        /// Where the commit believed the log to end.
        expected: Seq,
        /// Where it ends.
        found: Seq,
    },
    /// What was asked for is older than what is kept.
    #[error("events up to {0} are not kept any more")]
    Trimmed(Seq),
    /// The store holds something that cannot be read. Trying again does not help.
    #[error("the store holds a {what} that cannot be read")]
    Corrupt {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store does not answer, or refuses to write. It is not known whether a write took place; the same [`Commit`] may
    /// be sent again.
    #[error("the store is unavailable: {0}")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a claim of a session gives its new owner.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The lease.
    pub lease: Lease,
    /// The session's record.
    pub record: SessionRecord,
    /// Where the log ends.
    pub last: EventId,
}

/// How a step changes the history.
#[derive(Clone, Debug, PartialEq)]
pub enum HistoryChange {
    /// These messages come to its end, and so many at its front go.
    Slide {
        /// What comes.
        append: Vec<Message>,
        /// How many go, counted after the append.
        drop_front: usize,
    },
    /// All messages go.
    Clear,
}

/// How a step changes the record. `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RecordChange {
    /// The heartbeat. Not each step needs one.
    pub last_active_at: Option<Timestamp>,
    /// The session's sandbox, or that it has none.
    pub sandbox: Option<Option<SandboxRef>>,
    /// The workspace that the sandbox holds.
    pub workspace: Option<WorkspaceId>,
    /// A new checkpoint: the state that accounts for the log up to and including `Seq`.
    pub checkpoint: Option<(SessionState, Seq)>,
    /// Whether a message or a turn is unfinished.
    pub busy: Option<bool>,
    /// The model that the session asks for from now on.
    pub model: Option<String>,
    /// Whether the session's turns use a key of its user's.
    pub own_key: Option<bool>,
    /// What the session is called, if it is not called anything yet.
    pub title: Option<SessionTitle>,
}

/// One step of a session: its events, its messages and its record, all or nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// The epoch of the writer's lease.
    pub epoch: Epoch,
    /// Where the writer believes the log to end.
    pub after: Seq,
    /// The events; the first has the number after `after`, and none is left out.
    pub events: Vec<Event>,
    /// The change of the history, if any.
    pub history: Option<HistoryChange>,
    /// The change of the record.
    pub record: RecordChange,
}

/// What came of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    /// It was written.
    Written,
    /// It had been written before, by an earlier attempt of the same epoch. Nothing was changed.
    Before,
    /// It had been written before, and the lease is not this epoch's any more. Whoever wrote it must not act on it: the next
    /// owner has read it.
    Superseded,
}

/// The bytes that one session occupies in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupied {
    /// The events of its log.
    pub log: u64,
    /// Its history and its record.
    pub rest: u64,
}

/// What the sessions of one owner occupy together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OwnerOccupied {
    /// The number of stored sessions.
    pub sessions: u64,
    /// The bytes of all of them.
    pub bytes: u64,
}

/// The records of sessions and the leases on them.
///
/// Every operation is atomic. What it did is durable when it returns: a crash of this process or of the store's does not undo
/// it, as far as the store's configuration allows.
#[async_trait]
pub trait SessionRepository: Send + Sync {
    /// Stores a new session, without a lease. `AlreadyExists` if there is one by that id, whoever owns it.
    async fn create(&self, record: &SessionRecord) -> Result<(), StoreError>;

    /// The record. `None`: there is no such session.
    async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError>;

    /// The records of one owner's sessions, the last used first, at most `limit`.
    async fn owned_by(&self, owner: &PrincipalId, limit: usize) -> Result<Vec<SessionRecord>, StoreError>;

    /// The records of all sessions, whoever owns them, the last used first, at most `limit`. An adapter may count as use, for
    /// the order alone, the openings of a session (`create`, `touch`) and not each of its steps. For operators: it may cost
    /// more than what is asked for each session.
    async fn latest(&self, limit: usize) -> Result<Vec<SessionRecord>, StoreError>;

    /// Calls the session so, whatever it was called. No lease is needed. `NotFound` if there is no such session.
    async fn rename(&self, id: &SessionId, title: &SessionTitle) -> Result<(), StoreError>;

    /// The heartbeat: sets `last_active_at`, never back. `NotFound` if there is no such session.
    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<(), StoreError>;

    /// Takes the lease for `ttl` if nobody holds it at `now`, with an epoch higher than all before; from then on the writes of
    /// older epochs are `Fenced`. `Held` if another holder has it; the same holder gets it again, with a new epoch. `NotFound`
    /// if there is no such session.
    async fn claim(&self, id: &SessionId, holder: &str, now: Timestamp, ttl: Duration) -> Result<Claim, StoreError>;

    /// Makes the lease last for `ttl` from `now`. `Fenced` if it is not this epoch's any more; a lease that has run out but
    /// was not claimed by another can be renewed.
    async fn renew(&self, id: &SessionId, epoch: Epoch, now: Timestamp, ttl: Duration) -> Result<(), StoreError>;

    /// Lets the lease go. Idempotent; nothing happens if it is not this epoch's any more. Later writes of this epoch are
    /// `Fenced`.
    async fn release(&self, id: &SessionId, epoch: Epoch) -> Result<(), StoreError>;

    /// Sessions that have a sandbox, are not busy, and were last active before `before`; the longest idle first, at most
    /// `limit`. By an index, not by looking at every session.
    async fn expired(&self, before: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError>;

    /// Sessions that are busy, whoever holds them; at most `limit`, in no order. By an index.
    async fn busy(&self, limit: usize) -> Result<Vec<SessionId>, StoreError>;

    /// Sessions that are busy and that nobody holds a lease on at `now`; at most `limit`. Somebody must take them over.
    async fn abandoned(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError>;

    /// Removes the session with its log and its history. Idempotent. `Held` if somebody holds a lease on it at `now`.
    async fn delete(&self, id: &SessionId, now: Timestamp) -> Result<(), StoreError>;
}

/// The histories that models see. They change through [`SessionStore::commit`] alone.
#[async_trait]
pub trait ConversationRepository: Send + Sync {
    /// The history, oldest message first. Empty for a session without one, or no such session.
    async fn history(&self, id: &SessionId) -> Result<Vec<Message>, StoreError>;
}

/// A session's events from some number on, in order, none left out, none twice; it goes on with new ones as they are written,
/// and never ends by itself. Reads no further ahead than it is polled, but for a bounded batch.
pub type EventStream = BoxStream<'static, Result<Event, StoreError>>;

/// The logs of sessions. They grow through [`SessionStore::commit`] alone.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// The events after `after`, oldest first, at most `limit`. Empty at the end of the log, and for a session without
    /// one. `Trimmed` if some that should follow `after` are not kept any more.
    async fn read(&self, id: &SessionId, after: Seq, limit: usize) -> Result<Vec<Event>, StoreError>;

    /// The events after `after`, and those to come, whoever writes them. `Trimmed` comes as the stream's item, and ends it,
    /// if some that should follow `after` are not kept any more.
    async fn follow(&self, id: &SessionId, after: Seq) -> Result<EventStream, StoreError>;

    /// The last event's id; the zero id for an empty log and for no such session.
    async fn last(&self, id: &SessionId) -> Result<EventId, StoreError>;

    /// Drops the events up to and including `through`, except those that the checkpoint does not account for. The numbers
    /// of the others stay. Idempotent; `Fenced` if the lease is not this epoch's.
    async fn trim(&self, id: &SessionId, epoch: Epoch, through: Seq) -> Result<(), StoreError>;
}

/// All that is stored of sessions, and the one way to change it step by step.
#[async_trait]
pub trait SessionStore: SessionRepository + ConversationRepository + EventLog + AuditTrail {
    /// Writes one step of a session: all of it or nothing, visible to readers only as a whole. Events with a link are written to
    /// the [`AuditTrail`] as well, as part of the step.
    ///
    /// Idempotent: when the log already holds these events under this epoch, nothing is written and the answer is
    /// [`Committed::Before`], or [`Committed::Superseded`] if the lease is not this epoch's any more. A commit without events is written each time. `Fenced` if the lease is not this epoch's; a lease
    /// that has run out but was not claimed by another still writes. `Conflict` if the log ends elsewhere.
    async fn commit(&self, id: &SessionId, commit: &Commit) -> Result<Committed, StoreError>;

    /// Whether the store can be written to now. For readiness.
    async fn check(&self) -> Result<(), StoreError>;

    /// Returns the bytes that the session occupies; zero if there is no such session. Adapters may count what their storage
    /// adds to each value. Data that an earlier version wrote counts too.
    async fn occupied(&self, id: &SessionId) -> Result<Occupied, StoreError>;

    /// Returns the number of the owner's sessions and their bytes. Each session costs one look-up.
    async fn occupied_by(&self, owner: &PrincipalId) -> Result<OwnerOccupied, StoreError>;

    /// Returns the bytes that the deployment occupies. It may look at each session: callers keep the answer for a while.
    async fn occupied_in_all(&self) -> Result<u64, StoreError>;

    /// Drops the oldest events until the log occupies at most `bytes`, except those that the checkpoint does not account for.
    /// Otherwise as [`EventLog::trim`]. Returns the last event that is not kept.
    async fn trim_to(&self, id: &SessionId, epoch: Epoch, bytes: u64) -> Result<Seq, StoreError>;
}

#[cfg(feature = "mocks")]
mockall::mock! {
    /// A mock of all store ports at once.
    pub SessionStore {}

    #[async_trait]
    impl SessionRepository for SessionStore {
        async fn create(&self, record: &SessionRecord) -> Result<(), StoreError>;
        async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError>;
        async fn owned_by(&self, owner: &PrincipalId, limit: usize) -> Result<Vec<SessionRecord>, StoreError>;
        async fn latest(&self, limit: usize) -> Result<Vec<SessionRecord>, StoreError>;
        async fn rename(&self, id: &SessionId, title: &SessionTitle) -> Result<(), StoreError>;
        async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<(), StoreError>;
        async fn claim(&self, id: &SessionId, holder: &str, now: Timestamp, ttl: Duration) -> Result<Claim, StoreError>;
        async fn renew(&self, id: &SessionId, epoch: Epoch, now: Timestamp, ttl: Duration) -> Result<(), StoreError>;
        async fn release(&self, id: &SessionId, epoch: Epoch) -> Result<(), StoreError>;
        async fn expired(&self, before: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError>;
        async fn busy(&self, limit: usize) -> Result<Vec<SessionId>, StoreError>;
        async fn abandoned(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError>;
        async fn delete(&self, id: &SessionId, now: Timestamp) -> Result<(), StoreError>;
    }

    #[async_trait]
    impl ConversationRepository for SessionStore {
        async fn history(&self, id: &SessionId) -> Result<Vec<Message>, StoreError>;
    }

    #[async_trait]
    impl EventLog for SessionStore {
        async fn read(&self, id: &SessionId, after: Seq, limit: usize) -> Result<Vec<Event>, StoreError>;
        async fn follow(&self, id: &SessionId, after: Seq) -> Result<EventStream, StoreError>;
        async fn last(&self, id: &SessionId) -> Result<EventId, StoreError>;
        async fn trim(&self, id: &SessionId, epoch: Epoch, through: Seq) -> Result<(), StoreError>;
    }

    #[async_trait]
    impl SessionStore for SessionStore {
        async fn commit(&self, id: &SessionId, commit: &Commit) -> Result<Committed, StoreError>;
        async fn check(&self) -> Result<(), StoreError>;
        async fn occupied(&self, id: &SessionId) -> Result<Occupied, StoreError>;
        async fn occupied_by(&self, owner: &PrincipalId) -> Result<OwnerOccupied, StoreError>;
        async fn occupied_in_all(&self) -> Result<u64, StoreError>;
        async fn trim_to(&self, id: &SessionId, epoch: Epoch, bytes: u64) -> Result<Seq, StoreError>;
    }

    #[async_trait]
    impl AuditTrail for SessionStore {
        async fn audits(&self, id: &SessionId) -> Result<Vec<KeptAudit>, StoreError>;
        async fn audit(&self, id: &SessionId, born: &str, after: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError>;
        async fn follow_audit(&self, after: Option<AuditCursor>) -> Result<AuditStream, StoreError>;
        async fn remove_audit(&self, before: Timestamp, max_bytes: u64) -> Result<AuditRemoval, StoreError>;
    }
}
