use crate::RedisStore;
use async_trait::async_trait;
use lockkeeper_domain::{
    Epoch, Event, EventId, Message, PrincipalId, RuleId, Seq, SessionId, SessionRecord, SessionTitle, StoredRule,
    Timestamp,
};
use lockkeeper_ports::{
    Claim, Commit, Committed, ConversationRepository, EventLog, EventStream, Occupied, OwnerOccupied, RuleRepository,
    SessionRepository, SessionStore, StoreError,
};
use std::time::Duration;
use tracing::instrument;

#[async_trait]
impl SessionRepository for RedisStore {
    #[instrument(level = "debug", name = "store.session.create", skip_all, fields(session.id = %record.id), err(level = "debug"))]
    async fn create(&self, record: &SessionRecord) -> Result<(), StoreError> {
        self.create_session(record).await
    }

    #[instrument(level = "debug", name = "store.session.get", skip_all, fields(session.id = %id), err(level = "debug"))]
    async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.session(id).await
    }

    #[instrument(level = "debug", name = "store.session.owned_by", skip_all, fields(limit), err(level = "debug"))]
    async fn owned_by(&self, owner: &PrincipalId, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        self.shared.owned_by(owner, limit).await
    }

    #[instrument(level = "debug", name = "store.session.latest", skip_all, fields(limit), err(level = "debug"))]
    async fn latest(&self, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        self.shared.latest(limit).await
    }

    #[instrument(level = "debug", name = "store.session.rename", skip_all, fields(session.id = %id), err(level = "debug"))]
    async fn rename(&self, id: &SessionId, title: &SessionTitle) -> Result<(), StoreError> {
        self.rename_session(id, title).await
    }

    #[instrument(level = "debug", name = "store.session.touch", skip_all, fields(session.id = %id), err(level = "debug"))]
    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<(), StoreError> {
        self.touch_session(id, at).await
    }

    #[instrument(level = "debug", name = "store.session.claim", skip_all, fields(session.id = %id, holder), err(level = "debug"))]
    async fn claim(&self, id: &SessionId, holder: &str, now: Timestamp, ttl: Duration) -> Result<Claim, StoreError> {
        self.claim_session(id, holder, now, ttl).await
    }

    #[instrument(level = "debug", name = "store.session.renew", skip_all, fields(session.id = %id, %epoch), err(level = "debug"))]
    async fn renew(&self, id: &SessionId, epoch: Epoch, now: Timestamp, ttl: Duration) -> Result<(), StoreError> {
        self.renew_lease(id, epoch, now, ttl).await
    }

    #[instrument(level = "debug", name = "store.session.release", skip_all, fields(session.id = %id, %epoch), err(level = "debug"))]
    async fn release(&self, id: &SessionId, epoch: Epoch) -> Result<(), StoreError> {
        self.release_lease(id, epoch).await
    }

    #[instrument(level = "debug", name = "store.session.expired", skip_all, fields(limit), err(level = "debug"))]
    async fn expired(&self, before: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.shared.expired(before, limit).await
    }

    #[instrument(level = "debug", name = "store.session.busy", skip_all, fields(limit), err(level = "debug"))]
    async fn busy(&self, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.shared.busy(limit).await
    }

    #[instrument(level = "debug", name = "store.session.abandoned", skip_all, fields(limit), err(level = "debug"))]
    async fn abandoned(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.shared.abandoned(now, limit).await
    }

    #[instrument(level = "debug", name = "store.session.delete", skip_all, fields(session.id = %id), err(level = "debug"))]
    async fn delete(&self, id: &SessionId, now: Timestamp) -> Result<(), StoreError> {
        self.delete_session(id, now).await
    }
}

#[async_trait]
impl ConversationRepository for RedisStore {
    #[instrument(level = "debug", name = "store.history.load", skip_all, fields(session.id = %id), err(level = "debug"))]
    async fn history(&self, id: &SessionId) -> Result<Vec<Message>, StoreError> {
        self.shared.history(id).await
    }
}

#[async_trait]
impl EventLog for RedisStore {
    #[instrument(level = "debug", name = "store.log.read", skip_all, fields(session.id = %id, %after, limit), err(level = "debug"))]
    async fn read(&self, id: &SessionId, after: Seq, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.shared.read(id, after, limit).await
    }

    /// The stream waits while the Redis does not answer. That of a session that is deleted ends.
    #[instrument(level = "debug", name = "store.log.follow", skip_all, fields(session.id = %id, %after), err(level = "debug"))]
    async fn follow(&self, id: &SessionId, after: Seq) -> Result<EventStream, StoreError> {
        Ok(self.follow_log(id, after))
    }

    #[instrument(level = "debug", name = "store.log.last", skip_all, fields(session.id = %id), err(level = "debug"))]
    async fn last(&self, id: &SessionId) -> Result<EventId, StoreError> {
        self.shared.last(id).await
    }

    #[instrument(
        name = "store.log.trim",
        skip_all,
        fields(session.id = %id, %epoch, %through),
        err(level = "debug")
    )]
    async fn trim(&self, id: &SessionId, epoch: Epoch, through: Seq) -> Result<(), StoreError> {
        self.trim_log(id, epoch, through).await
    }
}

#[async_trait]
impl SessionStore for RedisStore {
    #[instrument(
        name = "store.commit",
        skip_all,
        fields(session.id = %id, epoch = %commit.epoch, after = %commit.after, events = commit.events.len()),
        err(level = "debug")
    )]
    async fn commit(&self, id: &SessionId, commit: &Commit) -> Result<Committed, StoreError> {
        self.commit_step(id, commit).await
    }

    #[instrument(level = "debug", name = "store.check", skip_all, err(level = "debug"))]
    async fn check(&self) -> Result<(), StoreError> {
        Ok(self.shared.connection.probe().await?)
    }

    async fn occupied(&self, id: &SessionId) -> Result<Occupied, StoreError> {
        self.bytes_of(id).await
    }

    async fn occupied_by(&self, owner: &PrincipalId) -> Result<OwnerOccupied, StoreError> {
        self.bytes_of_owner(owner).await
    }

    async fn occupied_in_all(&self) -> Result<u64, StoreError> {
        self.bytes_in_all().await
    }

    async fn trim_to(&self, id: &SessionId, epoch: Epoch, bytes: u64) -> Result<Seq, StoreError> {
        self.trim_log_to(id, epoch, bytes).await
    }
}

#[async_trait]
impl RuleRepository for RedisStore {
    #[instrument(level = "debug", name = "store.rules.put", skip_all, fields(rule.id = %rule.id), err(level = "debug"))]
    async fn put_rule(&self, owner: &PrincipalId, rule: &StoredRule) -> Result<(), StoreError> {
        self.shared.put_rule(owner, rule).await
    }

    #[instrument(level = "debug", name = "store.rules.list", skip_all, err(level = "debug"))]
    async fn rules(&self, owner: &PrincipalId) -> Result<Vec<StoredRule>, StoreError> {
        self.shared.rules(owner).await
    }

    #[instrument(level = "debug", name = "store.rules.used", skip_all, fields(rule.id = %id), err(level = "debug"))]
    async fn rule_used(&self, owner: &PrincipalId, id: &RuleId, at: Timestamp) -> Result<(), StoreError> {
        self.shared.rule_used(owner, id, at).await
    }

    #[instrument(level = "debug", name = "store.rules.remove", skip_all, fields(rule.id = %id), err(level = "debug"))]
    async fn remove_rule(&self, owner: &PrincipalId, id: &RuleId) -> Result<(), StoreError> {
        self.shared.remove_rule(owner, id).await
    }
}
