use crate::{
    instruments::{Instruments, label},
    journal::Journal,
    outcome::SUCCEEDED,
    outcome::of_store,
};
use async_trait::async_trait;
use lockkeeper_domain::{
    Epoch, Event, EventId, Message, PrincipalId, Seq, SessionId, SessionRecord, SessionTitle, Timestamp,
};
use lockkeeper_ports::{
    AuditCursor, AuditEntry, AuditRemoval, AuditStream, AuditTrail, Claim, Commit, Committed, ConversationRepository,
    EventLog, EventStream, KeptAudit, Occupied, OwnerOccupied, SessionRepository, SessionStore, StoreError,
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// A store whose operations are measured, and from whose steps the journal learns what happens.
pub(crate) struct TimedStore {
    pub(crate) inner: Arc<dyn SessionStore>,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) journal: Arc<Journal>,
}

impl TimedStore {
    async fn timed<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let began = Instant::now();
        let done = work.await;
        let outcome = done.as_ref().err().map_or(SUCCEEDED, of_store);
        self.instruments.stored(operation, outcome, began.elapsed());
        done
    }
}

#[async_trait]
impl SessionRepository for TimedStore {
    async fn create(&self, record: &SessionRecord) -> Result<(), StoreError> {
        self.timed("create", self.inner.create(record)).await?;
        self.instruments.sessions_created.add(1, &[]);
        Ok(())
    }

    async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.timed("get", self.inner.get(id)).await
    }

    async fn owned_by(&self, owner: &PrincipalId, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        self.timed("owned_by", self.inner.owned_by(owner, limit)).await
    }

    async fn latest(&self, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        self.timed("latest", self.inner.latest(limit)).await
    }

    async fn rename(&self, id: &SessionId, title: &SessionTitle) -> Result<(), StoreError> {
        self.timed("rename", self.inner.rename(id, title)).await
    }

    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<(), StoreError> {
        self.timed("touch", self.inner.touch(id, at)).await
    }

    async fn claim(&self, id: &SessionId, holder: &str, now: Timestamp, ttl: Duration) -> Result<Claim, StoreError> {
        self.timed("claim", self.inner.claim(id, holder, now, ttl)).await
    }

    async fn renew(&self, id: &SessionId, epoch: Epoch, now: Timestamp, ttl: Duration) -> Result<(), StoreError> {
        self.timed("renew", self.inner.renew(id, epoch, now, ttl)).await
    }

    async fn release(&self, id: &SessionId, epoch: Epoch) -> Result<(), StoreError> {
        // Whoever lets a lease go, or finds that it is gone, drives the session no more.
        self.journal.let_go(id);
        self.timed("release", self.inner.release(id, epoch)).await
    }

    async fn expired(&self, before: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.timed("expired", self.inner.expired(before, limit)).await
    }

    async fn busy(&self, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.timed("busy", self.inner.busy(limit)).await
    }

    async fn abandoned(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.timed("abandoned", self.inner.abandoned(now, limit)).await
    }

    async fn delete(&self, id: &SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.timed("delete", self.inner.delete(id, now)).await
    }
}

#[async_trait]
impl ConversationRepository for TimedStore {
    async fn history(&self, id: &SessionId) -> Result<Vec<Message>, StoreError> {
        self.timed("history", self.inner.history(id)).await
    }
}

#[async_trait]
impl EventLog for TimedStore {
    async fn read(&self, id: &SessionId, after: Seq, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.timed("read", self.inner.read(id, after, limit)).await
    }

    async fn follow(&self, id: &SessionId, after: Seq) -> Result<EventStream, StoreError> {
        self.timed("follow", self.inner.follow(id, after)).await
    }

    async fn last(&self, id: &SessionId) -> Result<EventId, StoreError> {
        self.timed("last", self.inner.last(id)).await
    }

    async fn trim(&self, id: &SessionId, epoch: Epoch, through: Seq) -> Result<(), StoreError> {
        self.timed("trim", self.inner.trim(id, epoch, through)).await
    }
}

#[async_trait]
impl SessionStore for TimedStore {
    async fn commit(&self, id: &SessionId, commit: &Commit) -> Result<Committed, StoreError> {
        // A step that had been written before is told of all the same: the first attempt's answer was lost on its way.
        let committed = self.timed("commit", self.inner.commit(id, commit)).await?;
        self.journal.written(id, &commit.events);
        Ok(committed)
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.timed("check", self.inner.check()).await
    }

    async fn occupied(&self, id: &SessionId) -> Result<Occupied, StoreError> {
        self.timed("occupied", self.inner.occupied(id)).await
    }

    async fn occupied_by(&self, owner: &PrincipalId) -> Result<OwnerOccupied, StoreError> {
        self.timed("occupied_by", self.inner.occupied_by(owner)).await
    }

    async fn occupied_in_all(&self) -> Result<u64, StoreError> {
        self.timed("occupied_in_all", self.inner.occupied_in_all()).await
    }

    async fn trim_to(&self, id: &SessionId, epoch: Epoch, bytes: u64) -> Result<Seq, StoreError> {
        self.timed("trim_to", self.inner.trim_to(id, epoch, bytes)).await
    }
}

#[async_trait]
impl AuditTrail for TimedStore {
    async fn audits(&self, id: &SessionId) -> Result<Vec<KeptAudit>, StoreError> {
        self.timed("audits", self.inner.audits(id)).await
    }

    async fn audit(&self, id: &SessionId, born: &str, after: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.timed("audit", self.inner.audit(id, born, after, limit)).await
    }

    async fn follow_audit(&self, after: Option<AuditCursor>) -> Result<AuditStream, StoreError> {
        self.timed("follow_audit", self.inner.follow_audit(after)).await
    }

    async fn remove_audit(&self, before: Timestamp, max_bytes: u64) -> Result<AuditRemoval, StoreError> {
        let removal = self.timed("remove_audit", self.inner.remove_audit(before, max_bytes)).await?;
        self.instruments.audit_bytes.record(removal.bytes, &[]);
        for (reason, records) in [("age", removal.by_age), ("size", removal.by_size)] {
            self.instruments.audit_removed.add(records, &[label("reason", reason)]);
        }
        Ok(removal)
    }
}
