use crate::{EmbeddedStore, change::step_of, follow, query};
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

/// About what a change costs that writes a record and its indexes.
const RECORD_WEIGHT: usize = 1 << 10;

#[async_trait]
impl SessionRepository for EmbeddedStore {
    #[instrument(level = "debug", name = "store.session.create", skip_all, fields(session.id = %record.id), err(level = "debug"))]
    async fn create(&self, record: &SessionRecord) -> Result<(), StoreError> {
        let record = record.clone();
        self.write(RECORD_WEIGHT, move |tables| tables.create(&record)).await
    }

    #[instrument(level = "debug", name = "store.session.get", skip_all, fields(session.id = %id), err(level = "debug"))]
    async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        self.shared.read(|txn| query::record(txn, id))
    }

    #[instrument(level = "debug", name = "store.session.owned_by", skip_all, fields(limit), err(level = "debug"))]
    async fn owned_by(&self, owner: &PrincipalId, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        let owner = owner.clone();
        self.shared.read_much(move |txn| query::owned_by(txn, &owner, limit)).await
    }

    #[instrument(level = "debug", name = "store.session.latest", skip_all, fields(limit), err(level = "debug"))]
    async fn latest(&self, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        self.shared.read_much(move |txn| query::latest(txn, limit)).await
    }

    #[instrument(level = "debug", name = "store.session.rename", skip_all, fields(session.id = %id), err(level = "debug"))]
    async fn rename(&self, id: &SessionId, title: &SessionTitle) -> Result<(), StoreError> {
        let (id, title) = (id.clone(), title.clone());
        self.write(RECORD_WEIGHT, move |tables| tables.rename(&id, &title)).await
    }

    #[instrument(level = "debug", name = "store.session.touch", skip_all, fields(session.id = %id), err(level = "debug"))]
    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(RECORD_WEIGHT, move |tables| tables.touch(&id, at)).await
    }

    #[instrument(level = "debug", name = "store.session.claim", skip_all, fields(session.id = %id, holder), err(level = "debug"))]
    async fn claim(&self, id: &SessionId, holder: &str, now: Timestamp, ttl: Duration) -> Result<Claim, StoreError> {
        let (id, holder) = (id.clone(), holder.to_owned());
        self.write(RECORD_WEIGHT, move |tables| tables.claim(&id, &holder, now, ttl)).await
    }

    #[instrument(level = "debug", name = "store.session.renew", skip_all, fields(session.id = %id, %epoch), err(level = "debug"))]
    async fn renew(&self, id: &SessionId, epoch: Epoch, now: Timestamp, ttl: Duration) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(RECORD_WEIGHT, move |tables| tables.renew(&id, epoch, now, ttl)).await
    }

    #[instrument(level = "debug", name = "store.session.release", skip_all, fields(session.id = %id, %epoch), err(level = "debug"))]
    async fn release(&self, id: &SessionId, epoch: Epoch) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(RECORD_WEIGHT, move |tables| tables.release(&id, epoch)).await
    }

    #[instrument(level = "debug", name = "store.session.expired", skip_all, fields(limit), err(level = "debug"))]
    async fn expired(&self, before: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.shared.read_much(move |txn| query::expired(txn, before, limit)).await
    }

    #[instrument(level = "debug", name = "store.session.busy", skip_all, fields(limit), err(level = "debug"))]
    async fn busy(&self, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.shared.read_much(move |txn| query::busy(txn, limit)).await
    }

    #[instrument(level = "debug", name = "store.session.abandoned", skip_all, fields(limit), err(level = "debug"))]
    async fn abandoned(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.shared.read_much(move |txn| query::abandoned(txn, now, limit)).await
    }

    #[instrument(level = "debug", name = "store.session.delete", skip_all, fields(session.id = %id), err(level = "debug"))]
    async fn delete(&self, id: &SessionId, now: Timestamp) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(RECORD_WEIGHT, move |tables| tables.delete(&id, now)).await
    }
}

#[async_trait]
impl ConversationRepository for EmbeddedStore {
    #[instrument(level = "debug", name = "store.history.load", skip_all, fields(session.id = %id), err(level = "debug"))]
    async fn history(&self, id: &SessionId) -> Result<Vec<Message>, StoreError> {
        let id = id.clone();
        self.shared.read_much(move |txn| query::history(txn, &id)).await
    }
}

#[async_trait]
impl EventLog for EmbeddedStore {
    #[instrument(level = "debug", name = "store.log.read", skip_all, fields(session.id = %id, %after, limit), err(level = "debug"))]
    async fn read(&self, id: &SessionId, after: Seq, limit: usize) -> Result<Vec<Event>, StoreError> {
        let id = id.clone();
        self.shared.read_much(move |txn| query::events(txn, &id, after, limit, usize::MAX)).await
    }

    /// The stream of a session that is deleted ends. One that gave an error ends too.
    #[instrument(level = "debug", name = "store.log.follow", skip_all, fields(session.id = %id, %after), err(level = "debug"))]
    async fn follow(&self, id: &SessionId, after: Seq) -> Result<EventStream, StoreError> {
        Ok(follow::follow(&self.shared, id, after, self.read_ahead))
    }

    #[instrument(level = "debug", name = "store.log.last", skip_all, fields(session.id = %id), err(level = "debug"))]
    async fn last(&self, id: &SessionId) -> Result<EventId, StoreError> {
        self.shared.read(|txn| query::last(txn, id))
    }

    #[instrument(
        name = "store.log.trim",
        skip_all,
        fields(session.id = %id, %epoch, %through),
        err(level = "debug")
    )]
    async fn trim(&self, id: &SessionId, epoch: Epoch, through: Seq) -> Result<(), StoreError> {
        let id = id.clone();
        self.write(RECORD_WEIGHT, move |tables| tables.trim(&id, epoch, through)).await
    }
}

#[async_trait]
impl SessionStore for EmbeddedStore {
    #[instrument(
        name = "store.commit",
        skip_all,
        fields(session.id = %id, epoch = %commit.epoch, after = %commit.after, events = commit.events.len()),
        err(level = "debug")
    )]
    async fn commit(&self, id: &SessionId, commit: &Commit) -> Result<Committed, StoreError> {
        let (id, step) = (id.clone(), step_of(commit)?);
        self.write(RECORD_WEIGHT + step.weight(), move |tables| tables.commit(&id, &step)).await
    }

    #[instrument(level = "debug", name = "store.check", skip_all, err(level = "debug"))]
    async fn check(&self) -> Result<(), StoreError> {
        self.write(0, |tables| tables.probe().map(drop)).await
    }

    async fn occupied(&self, id: &SessionId) -> Result<Occupied, StoreError> {
        Ok(self.sizes(vec![id.clone()]).await?.pop().unwrap_or_default())
    }

    async fn occupied_by(&self, owner: &PrincipalId) -> Result<OwnerOccupied, StoreError> {
        let owner = owner.clone();
        let ids = self.shared.read_much(move |txn| query::ids_of(txn, Some(&owner))).await?;
        let sizes = self.sizes(ids).await?;
        let bytes = sizes.iter().map(|size| size.log + size.rest).sum();
        Ok(OwnerOccupied { sessions: sizes.len() as u64, bytes })
    }

    async fn occupied_in_all(&self) -> Result<u64, StoreError> {
        let ids = self.shared.read_much(|txn| query::ids_of(txn, None)).await?;
        Ok(self.sizes(ids).await?.iter().map(|size| size.log + size.rest).sum())
    }

    async fn trim_to(&self, id: &SessionId, epoch: Epoch, bytes: u64) -> Result<Seq, StoreError> {
        let id = id.clone();
        self.write(RECORD_WEIGHT, move |tables| tables.trim_to(&id, epoch, bytes)).await
    }
}

impl EmbeddedStore {
    /// Returns the sizes of those of the sessions that are there. Sessions of an earlier version are counted once.
    async fn sizes(&self, ids: Vec<SessionId>) -> Result<Vec<Occupied>, StoreError> {
        let mut found = Vec::new();
        for (id, size) in self.shared.read_much(move |txn| query::occupied(txn, ids.clone())).await? {
            if let Some(size) = size {
                found.push(size);
                continue;
            }
            let unknown = id.clone();
            self.write(RECORD_WEIGHT, move |tables| tables.measure(&unknown)).await?;
            let counted = self.shared.read(|txn| query::occupied(txn, [id.clone()]))?;
            found.extend(counted.into_iter().filter_map(|(_, size)| size));
        }
        Ok(found)
    }
}

#[async_trait]
impl RuleRepository for EmbeddedStore {
    #[instrument(level = "debug", name = "store.rules.put", skip_all, fields(rule.id = %rule.id), err(level = "debug"))]
    async fn put_rule(&self, owner: &PrincipalId, rule: &StoredRule) -> Result<(), StoreError> {
        let (owner, rule) = (owner.clone(), rule.clone());
        self.write(RECORD_WEIGHT, move |tables| tables.put_rule(&owner, &rule)).await
    }

    #[instrument(level = "debug", name = "store.rules.list", skip_all, err(level = "debug"))]
    async fn rules(&self, owner: &PrincipalId) -> Result<Vec<StoredRule>, StoreError> {
        let owner = owner.clone();
        self.shared.read_much(move |txn| query::rules(txn, &owner)).await
    }

    #[instrument(level = "debug", name = "store.rules.used", skip_all, fields(rule.id = %id), err(level = "debug"))]
    async fn rule_used(&self, owner: &PrincipalId, id: &RuleId, at: Timestamp) -> Result<(), StoreError> {
        let (owner, id) = (owner.clone(), id.clone());
        self.write(RECORD_WEIGHT, move |tables| tables.rule_used(&owner, &id, at)).await
    }

    #[instrument(level = "debug", name = "store.rules.remove", skip_all, fields(rule.id = %id), err(level = "debug"))]
    async fn remove_rule(&self, owner: &PrincipalId, id: &RuleId) -> Result<(), StoreError> {
        let (owner, id) = (owner.clone(), id.clone());
        self.write(RECORD_WEIGHT, move |tables| tables.remove_rule(&owner, &id)).await
    }
}
