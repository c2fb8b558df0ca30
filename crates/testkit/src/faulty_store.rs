//! A store that fails when a test says so.

use async_trait::async_trait;
use lockkeeper_domain::{
    Epoch, Event, EventId, Message, PrincipalId, Seq, SessionId, SessionRecord, SessionTitle, Timestamp,
};
use lockkeeper_ports::{
    AuditCursor, AuditEntry, AuditRemoval, AuditStream, AuditTrail, Claim, Commit, Committed, ConversationRepository,
    EventLog, EventStream, KeptAudit, Occupied, OwnerOccupied, SessionRepository, SessionStore, StoreError,
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::watch;

/// Passes everything on to another store, except what is to fail. Clones share their faults.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn SessionStore>,
    failures: Arc<AtomicUsize>,
    unanswered: Arc<AtomicUsize>,
    away: Arc<AtomicBool>,
    unreadable: Arc<Mutex<BTreeSet<SessionId>>>,
    frozen: watch::Sender<bool>,
}

impl FaultyStore {
    /// A store over `inner` that does not fail yet.
    pub fn over(inner: Arc<dyn SessionStore>) -> Self {
        Self {
            inner,
            failures: Arc::default(),
            unanswered: Arc::default(),
            away: Arc::default(),
            unreadable: Arc::default(),
            frozen: watch::Sender::new(false),
        }
    }

    /// The same store as somebody else sees it, with faults of its own.
    #[must_use]
    pub fn seen_by_another(&self) -> Self {
        Self::over(Arc::clone(&self.inner))
    }

    /// From now on nothing is asked of the store, and who asks waits: as if this process stood still.
    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    /// Goes on, with what waited first.
    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    /// The next `count` commits are written, and fail as unavailable all the same.
    pub fn lose_answers(&self, count: usize) {
        self.unanswered.store(count, Ordering::SeqCst);
    }

    /// From now on nothing is written or read, and who asks is told so.
    pub fn go_away(&self) {
        self.away.store(true, Ordering::SeqCst);
    }

    /// Answers again.
    pub fn come_back(&self) {
        self.away.store(false, Ordering::SeqCst);
    }

    /// The session's record cannot be read any more, as if a later version had written it.
    ///
    /// # Panics
    ///
    /// If another thread panicked in here.
    pub fn damage(&self, id: &SessionId) {
        self.unreadable.lock().expect("no panic").insert(id.clone());
    }

    async fn answering(&self) -> Result<(), StoreError> {
        self.awake().await;
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable("a test says that the store is away".into()));
        }
        Ok(())
    }

    async fn readable(&self, id: &SessionId) -> Result<(), StoreError> {
        self.answering().await?;
        if self.unreadable.lock().expect("no panic").contains(id) {
            return Err(StoreError::Corrupt { what: "session record", source: "a test says so".into() });
        }
        Ok(())
    }

    async fn awake(&self) {
        // The sender is held here, so the wait cannot fail.
        let _ = self.frozen.subscribe().wait_for(|frozen| !frozen).await;
    }

    /// The next `count` commits fail as unavailable, before anything is written.
    pub fn fail_commits(&self, count: usize) {
        self.failures.store(count, Ordering::SeqCst);
    }

    /// The whole log of a session.
    ///
    /// # Panics
    ///
    /// If the log cannot be read.
    pub async fn log(&self, id: &SessionId) -> Vec<Event> {
        self.inner.read(id, Seq::default(), usize::MAX).await.expect("the log can be read")
    }

    /// Another process takes the session over for good, as if the lease had run out; its claim is returned.
    ///
    /// # Panics
    ///
    /// If the session cannot be claimed.
    pub async fn steal(&self, id: &SessionId, now: Timestamp) -> Claim {
        const LATER: Duration = Duration::from_hours(24);
        self.inner.claim(id, "thief", now.after(LATER), LATER).await.expect("the session can be claimed")
    }
}

#[async_trait]
impl SessionRepository for FaultyStore {
    async fn create(&self, record: &SessionRecord) -> Result<(), StoreError> {
        self.answering().await?;
        self.inner.create(record).await
    }

    async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.readable(id).await?;
        self.inner.get(id).await
    }

    async fn owned_by(&self, owner: &PrincipalId, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        self.answering().await?;
        self.inner.owned_by(owner, limit).await
    }

    async fn latest(&self, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        self.answering().await?;
        self.inner.latest(limit).await
    }

    async fn rename(&self, id: &SessionId, title: &SessionTitle) -> Result<(), StoreError> {
        self.answering().await?;
        self.inner.rename(id, title).await
    }

    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<(), StoreError> {
        self.answering().await?;
        self.inner.touch(id, at).await
    }

    async fn claim(&self, id: &SessionId, holder: &str, now: Timestamp, ttl: Duration) -> Result<Claim, StoreError> {
        self.readable(id).await?;
        self.inner.claim(id, holder, now, ttl).await
    }

    async fn renew(&self, id: &SessionId, epoch: Epoch, now: Timestamp, ttl: Duration) -> Result<(), StoreError> {
        self.answering().await?;
        self.inner.renew(id, epoch, now, ttl).await
    }

    async fn release(&self, id: &SessionId, epoch: Epoch) -> Result<(), StoreError> {
        self.answering().await?;
        self.inner.release(id, epoch).await
    }

    async fn expired(&self, before: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.answering().await?;
        self.inner.expired(before, limit).await
    }

    async fn busy(&self, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.answering().await?;
        self.inner.busy(limit).await
    }

    async fn abandoned(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.answering().await?;
        self.inner.abandoned(now, limit).await
    }

    async fn delete(&self, id: &SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.answering().await?;
        self.inner.delete(id, now).await
    }
}

#[async_trait]
impl ConversationRepository for FaultyStore {
    async fn history(&self, id: &SessionId) -> Result<Vec<Message>, StoreError> {
        self.readable(id).await?;
        self.inner.history(id).await
    }
}

#[async_trait]
impl EventLog for FaultyStore {
    async fn read(&self, id: &SessionId, after: Seq, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.answering().await?;
        self.inner.read(id, after, limit).await
    }

    async fn follow(&self, id: &SessionId, after: Seq) -> Result<EventStream, StoreError> {
        self.answering().await?;
        self.inner.follow(id, after).await
    }

    async fn last(&self, id: &SessionId) -> Result<EventId, StoreError> {
        self.answering().await?;
        self.inner.last(id).await
    }

    async fn trim(&self, id: &SessionId, epoch: Epoch, through: Seq) -> Result<(), StoreError> {
        self.answering().await?;
        self.inner.trim(id, epoch, through).await
    }
}

#[async_trait]
impl SessionStore for FaultyStore {
    async fn commit(&self, id: &SessionId, commit: &Commit) -> Result<Committed, StoreError> {
        self.answering().await?;
        let one_less = |left: usize| left.checked_sub(1);
        if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            return Err(StoreError::Unavailable("a test says so".into()));
        }
        let committed = self.inner.commit(id, commit).await;
        if self.unanswered.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            return Err(StoreError::Unavailable("a test loses the answer".into()));
        }
        committed
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.answering().await?;
        self.inner.check().await
    }

    async fn occupied(&self, id: &SessionId) -> Result<Occupied, StoreError> {
        self.answering().await?;
        self.inner.occupied(id).await
    }

    async fn occupied_by(&self, owner: &PrincipalId) -> Result<OwnerOccupied, StoreError> {
        self.answering().await?;
        self.inner.occupied_by(owner).await
    }

    async fn occupied_in_all(&self) -> Result<u64, StoreError> {
        self.answering().await?;
        self.inner.occupied_in_all().await
    }

    async fn trim_to(&self, id: &SessionId, epoch: Epoch, bytes: u64) -> Result<Seq, StoreError> {
        self.answering().await?;
        self.inner.trim_to(id, epoch, bytes).await
    }
}

#[async_trait]
impl AuditTrail for FaultyStore {
    async fn audits(&self, id: &SessionId) -> Result<Vec<KeptAudit>, StoreError> {
        self.answering().await?;
        self.inner.audits(id).await
    }

    async fn audit(&self, id: &SessionId, born: &str, after: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.answering().await?;
        self.inner.audit(id, born, after, limit).await
    }

    async fn follow_audit(&self, after: Option<AuditCursor>) -> Result<AuditStream, StoreError> {
        self.answering().await?;
        self.inner.follow_audit(after).await
    }

    async fn remove_audit(&self, before: Timestamp, max_bytes: u64) -> Result<AuditRemoval, StoreError> {
        self.answering().await?;
        self.inner.remove_audit(before, max_bytes).await
    }
}
