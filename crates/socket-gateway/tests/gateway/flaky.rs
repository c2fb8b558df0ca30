//! A store whose logs cannot be followed for a while.

use async_trait::async_trait;
use futures::{StreamExt, future::Either};
use lockkeeper_domain::{
    Epoch, Event, EventId, Message, PrincipalId, Seq, SessionId, SessionRecord, SessionTitle, Timestamp,
};
use lockkeeper_embedded_store::EmbeddedStore;
use lockkeeper_ports::{
    AuditCursor, AuditEntry, AuditRemoval, AuditStream, AuditTrail, Claim, Commit, Committed, ConversationRepository,
    EventLog, EventStream, KeptAudit, Occupied, OwnerOccupied, SessionRepository, SessionStore, StoreError,
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// Whether the logs can be followed.
#[derive(Clone, Default)]
pub(crate) struct Outage(watch::Sender<bool>);

impl Outage {
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn end(&self) {
        self.0.send_replace(false);
    }
}

pub(crate) struct Flaky {
    inner: Arc<EmbeddedStore>,
    outage: Outage,
}

impl Flaky {
    pub(crate) fn new(inner: Arc<EmbeddedStore>, outage: Outage) -> Self {
        Self { inner, outage }
    }
}

#[async_trait]
impl SessionRepository for Flaky {
    async fn create(&self, record: &SessionRecord) -> Result<(), StoreError> {
        self.inner.create(record).await
    }

    async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.inner.get(id).await
    }

    async fn owned_by(&self, owner: &PrincipalId, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        self.inner.owned_by(owner, limit).await
    }

    async fn latest(&self, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        self.inner.latest(limit).await
    }

    async fn rename(&self, id: &SessionId, title: &SessionTitle) -> Result<(), StoreError> {
        self.inner.rename(id, title).await
    }

    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<(), StoreError> {
        self.inner.touch(id, at).await
    }

    async fn claim(&self, id: &SessionId, holder: &str, now: Timestamp, ttl: Duration) -> Result<Claim, StoreError> {
        self.inner.claim(id, holder, now, ttl).await
    }

    async fn renew(&self, id: &SessionId, epoch: Epoch, now: Timestamp, ttl: Duration) -> Result<(), StoreError> {
        self.inner.renew(id, epoch, now, ttl).await
    }

    async fn release(&self, id: &SessionId, epoch: Epoch) -> Result<(), StoreError> {
        self.inner.release(id, epoch).await
    }

    async fn expired(&self, before: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.inner.expired(before, limit).await
    }

    async fn busy(&self, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.inner.busy(limit).await
    }

    async fn abandoned(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.inner.abandoned(now, limit).await
    }

    async fn delete(&self, id: &SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.inner.delete(id, now).await
    }
}

#[async_trait]
impl ConversationRepository for Flaky {
    async fn history(&self, id: &SessionId) -> Result<Vec<Message>, StoreError> {
        self.inner.history(id).await
    }
}

#[async_trait]
impl EventLog for Flaky {
    async fn read(&self, id: &SessionId, after: Seq, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.inner.read(id, after, limit).await
    }

    async fn follow(&self, id: &SessionId, after: Seq) -> Result<EventStream, StoreError> {
        let events = self.inner.follow(id, after).await?;
        let outage = self.outage.0.subscribe();
        let fails = async move |mut outage: watch::Receiver<bool>| {
            outage.wait_for(|out| *out).await.expect("the test holds the other end");
        };
        let flaky = futures::stream::unfold(events, move |mut events| {
            let outage = outage.clone();
            async move {
                let failure = std::pin::pin!(fails(outage));
                match futures::future::select(failure, events.next()).await {
                    Either::Left(_) => Some((Err(StoreError::Unavailable("the test says so".into())), events)),
                    Either::Right((event, _)) => event.map(|event| (event, events)),
                }
            }
        });
        Ok(flaky.boxed())
    }

    async fn last(&self, id: &SessionId) -> Result<EventId, StoreError> {
        self.inner.last(id).await
    }

    async fn trim(&self, id: &SessionId, epoch: Epoch, through: Seq) -> Result<(), StoreError> {
        self.inner.trim(id, epoch, through).await
    }
}

#[async_trait]
impl SessionStore for Flaky {
    async fn commit(&self, id: &SessionId, commit: &Commit) -> Result<Committed, StoreError> {
        self.inner.commit(id, commit).await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.inner.check().await
    }

    async fn occupied(&self, id: &SessionId) -> Result<Occupied, StoreError> {
        self.inner.occupied(id).await
    }

    async fn occupied_by(&self, owner: &PrincipalId) -> Result<OwnerOccupied, StoreError> {
        self.inner.occupied_by(owner).await
    }

    async fn occupied_in_all(&self) -> Result<u64, StoreError> {
        self.inner.occupied_in_all().await
    }

    async fn trim_to(&self, id: &SessionId, epoch: Epoch, bytes: u64) -> Result<Seq, StoreError> {
        self.inner.trim_to(id, epoch, bytes).await
    }
}

#[async_trait]
impl AuditTrail for Flaky {
    async fn audits(&self, id: &SessionId) -> Result<Vec<KeptAudit>, StoreError> {
        self.inner.audits(id).await
    }

    async fn audit(&self, id: &SessionId, born: &str, after: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.inner.audit(id, born, after, limit).await
    }

    async fn follow_audit(&self, after: Option<AuditCursor>) -> Result<AuditStream, StoreError> {
        self.inner.follow_audit(after).await
    }

    async fn remove_audit(&self, before: Timestamp, max_bytes: u64) -> Result<AuditRemoval, StoreError> {
        self.inner.remove_audit(before, max_bytes).await
    }
}
