use lockkeeper_domain::{Epoch, Event, EventId, Lease, Message, PrincipalId, Seq, SessionId, SessionRecord, Timestamp};
use lockkeeper_ports::{Claim, Commit, Committed, HistoryChange, StoreError};
use std::{collections::BTreeMap, time::Duration};

/// What the ports' documentation says, over a map and without regard to speed.
#[derive(Default)]
pub(super) struct Reference(BTreeMap<SessionId, Session>);

struct Session {
    record: SessionRecord,
    lease: Option<Lease>,
    history: Vec<Message>,
    /// All events that there ever were.
    log: Vec<Event>,
    trimmed: u64,
}

impl Session {
    fn last(&self) -> EventId {
        self.log.last().map(|event| event.id).unwrap_or_default()
    }

    fn held_at(&self, now: Timestamp) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| now < lease.expires_at)
    }

    fn holds(&self, events: &[Event]) -> bool {
        let kept = &self.log[usize::try_from(self.trimmed).unwrap()..];
        !events.is_empty() && events.iter().all(|event| kept.contains(event))
    }
}

fn held(lease: &Lease) -> StoreError {
    StoreError::Held { holder: lease.holder.clone(), until: lease.expires_at }
}

impl Reference {
    fn owned(&mut self, id: &SessionId, epoch: Epoch) -> Result<&mut Session, StoreError> {
        let session = self.0.get_mut(id).ok_or(StoreError::Fenced)?;
        if session.lease.as_ref().is_some_and(|lease| lease.epoch == epoch) {
            Ok(session)
        } else {
            Err(StoreError::Fenced)
        }
    }

    pub(super) fn create(&mut self, record: &SessionRecord) -> Result<(), StoreError> {
        if self.0.contains_key(&record.id) {
            return Err(StoreError::AlreadyExists);
        }
        let record = record.clone();
        let session = Session { record, lease: None, history: Vec::new(), log: Vec::new(), trimmed: 0 };
        self.0.insert(session.record.id.clone(), session);
        Ok(())
    }

    pub(super) fn touch(&mut self, id: &SessionId, at: Timestamp) -> Result<(), StoreError> {
        let record = &mut self.0.get_mut(id).ok_or(StoreError::NotFound)?.record;
        record.last_active_at = record.last_active_at.max(at);
        Ok(())
    }

    /// `epoch` is the one that the store chose.
    pub(super) fn claim(
        &mut self,
        id: &SessionId,
        holder: &str,
        now: Timestamp,
        ttl: Duration,
        epoch: Epoch,
    ) -> Result<Claim, StoreError> {
        let session = self.0.get_mut(id).ok_or(StoreError::NotFound)?;
        match session.held_at(now) {
            Some(lease) if lease.holder != holder => Err(held(lease)),
            _ => {
                let lease = Lease { holder: holder.to_owned(), epoch, expires_at: now.after(ttl) };
                session.lease = Some(lease.clone());
                Ok(Claim { lease, record: session.record.clone(), last: session.last() })
            }
        }
    }

    pub(super) fn renew(
        &mut self,
        id: &SessionId,
        epoch: Epoch,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<(), StoreError> {
        if let Some(lease) = &mut self.owned(id, epoch)?.lease {
            lease.expires_at = now.after(ttl);
        }
        Ok(())
    }

    pub(super) fn release(&mut self, id: &SessionId, epoch: Epoch) {
        if let Ok(session) = self.owned(id, epoch) {
            session.lease = None;
        }
    }

    pub(super) fn void_leases(&mut self) {
        self.0.values_mut().for_each(|session| session.lease = None);
    }

    pub(super) fn delete(&mut self, id: &SessionId, now: Timestamp) -> Result<(), StoreError> {
        if let Some(lease) = self.0.get(id).and_then(|session| session.held_at(now)) {
            return Err(held(lease));
        }
        self.0.remove(id);
        Ok(())
    }

    pub(super) fn trim(&mut self, id: &SessionId, epoch: Epoch, through: Seq) -> Result<(), StoreError> {
        let session = self.owned(id, epoch)?;
        let through = through.min(session.record.checkpoint).min(session.last().seq);
        session.trimmed = session.trimmed.max(through.get());
        Ok(())
    }

    pub(super) fn commit(&mut self, id: &SessionId, commit: &Commit) -> Result<Committed, StoreError> {
        if self.0.get(id).is_some_and(|session| session.holds(&commit.events)) {
            let is_owner = self.owned(id, commit.epoch).is_ok();
            return Ok(if is_owner { Committed::Before } else { Committed::Superseded });
        }
        let session = self.owned(id, commit.epoch)?;
        if session.last().seq != commit.after {
            return Err(StoreError::Conflict { expected: commit.after, found: session.last().seq });
        }
        session.log.extend(commit.events.iter().cloned());
        match &commit.history {
            Some(HistoryChange::Slide { append, drop_front }) => {
                session.history.extend(append.iter().cloned());
                session.history.drain(..(*drop_front).min(session.history.len()));
            }
            Some(HistoryChange::Clear) => session.history.clear(),
            None => {}
        }
        let (record, change) = (&mut session.record, commit.record.clone());
        record.last_active_at = record.last_active_at.max(change.last_active_at.unwrap_or(record.last_active_at));
        record.sandbox = change.sandbox.unwrap_or(record.sandbox.take());
        (record.state, record.checkpoint) = change.checkpoint.unwrap_or((record.state.clone(), record.checkpoint));
        record.busy = change.busy.unwrap_or(record.busy);
        Ok(Committed::Written)
    }

    pub(super) fn get(&self, id: &SessionId) -> Option<SessionRecord> {
        self.0.get(id).map(|session| session.record.clone())
    }

    pub(super) fn history(&self, id: &SessionId) -> Vec<Message> {
        self.0.get(id).map(|session| session.history.clone()).unwrap_or_default()
    }

    pub(super) fn last(&self, id: &SessionId) -> EventId {
        self.0.get(id).map(Session::last).unwrap_or_default()
    }

    pub(super) fn read(&self, id: &SessionId, after: Seq, limit: usize) -> Result<Vec<Event>, StoreError> {
        let Some(session) = self.0.get(id) else { return Ok(Vec::new()) };
        if after.get() < session.trimmed {
            return Err(StoreError::Trimmed(Seq::new(session.trimmed)));
        }
        Ok(session.log.iter().filter(|event| event.id.seq > after).take(limit).cloned().collect())
    }

    pub(super) fn abandoned(&self, now: Timestamp) -> Vec<SessionId> {
        self.ids(|session| session.record.busy && session.held_at(now).is_none())
    }

    pub(super) fn expired(&self, before: Timestamp) -> Vec<SessionId> {
        let idle = |record: &SessionRecord| record.sandbox.is_some() && !record.busy;
        self.ids(|session| idle(&session.record) && session.record.last_active_at < before)
    }

    pub(super) fn owned_by(&self, owner: &PrincipalId) -> Vec<SessionId> {
        self.ids(|session| session.record.owner == *owner)
    }

    fn ids(&self, matches: impl Fn(&Session) -> bool) -> Vec<SessionId> {
        self.0.iter().filter(|(_, session)| matches(session)).map(|(id, _)| id.clone()).collect()
    }
}
