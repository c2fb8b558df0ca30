//! A small working store for use-case tests: it never leaves the task that calls it, so that paused time stays paused,
//! and it fails when a test says so.

use async_trait::async_trait;
use futures::stream;
use lockkeeper_domain::{Epoch, Event, EventId, Lease, Message, PrincipalId, Seq, SessionId, SessionRecord, Timestamp};
use lockkeeper_ports::{
    Claim, Commit, Committed, ConversationRepository, EventLog, EventStream, HistoryChange, SessionRepository,
    SessionStore, StoreError,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// All store ports over a map.
#[derive(Clone, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<SessionId, Stored>,
    failures: usize,
    commits: usize,
}

struct Stored {
    record: SessionRecord,
    lease: Option<Lease>,
    epoch: Epoch,
    events: Vec<Event>,
    trimmed: Seq,
    history: Vec<Message>,
    head: watch::Sender<Seq>,
}

impl Stored {
    fn last(&self) -> EventId {
        self.events.last().map(|event| event.id).unwrap_or_default()
    }

    fn fence(&self, epoch: Epoch) -> Result<(), StoreError> {
        match &self.lease {
            Some(lease) if lease.epoch == epoch => Ok(()),
            _ => Err(StoreError::Fenced),
        }
    }

    fn after(&self, after: Seq, limit: usize) -> Result<Vec<Event>, StoreError> {
        if after < self.trimmed {
            return Err(StoreError::Trimmed(self.trimmed));
        }
        Ok(self.events.iter().filter(|event| event.id.seq > after).take(limit).cloned().collect())
    }

    fn commit(&mut self, commit: &Commit) -> Result<Committed, StoreError> {
        self.fence(commit.epoch)?;
        let found = self.last().seq;
        let newest = commit.events.last().map(|event| event.id);
        if newest.is_some_and(|newest| self.events.iter().any(|event| event.id == newest)) {
            return Ok(Committed::Before);
        }
        if found != commit.after {
            return Err(StoreError::Conflict { expected: commit.after, found });
        }
        self.events.extend(commit.events.iter().cloned());
        match &commit.history {
            Some(HistoryChange::Clear) => self.history.clear(),
            Some(HistoryChange::Slide { append, drop_front }) => {
                self.history.extend(append.iter().cloned());
                self.history.drain(..*drop_front);
            }
            None => {}
        }
        let change = &commit.record;
        let record = &mut self.record;
        record.last_active_at = change.last_active_at.unwrap_or(record.last_active_at).max(record.last_active_at);
        if let Some(sandbox) = &change.sandbox {
            record.sandbox.clone_from(sandbox);
        }
        if let Some((state, seq)) = &change.checkpoint {
            (record.state, record.checkpoint) = (state.clone(), *seq);
        }
        record.busy = change.busy.unwrap_or(record.busy);
        self.head.send_replace(self.last().seq);
        Ok(Committed::Written)
    }
}

impl MemoryStore {
    /// The next `count` commits fail as unavailable, before anything is written.
    pub fn fail_commits(&self, count: usize) {
        self.lock().failures = count;
    }

    /// How many commits were written.
    pub fn commits(&self) -> usize {
        self.lock().commits
    }

    /// The whole log of a session.
    pub fn log(&self, id: &SessionId) -> Vec<Event> {
        self.lock().sessions.get(id).map(|stored| stored.events.clone()).unwrap_or_default()
    }

    /// Another process takes the session over.
    pub fn steal(&self, id: &SessionId) {
        let mut inner = self.lock();
        let stored = inner.sessions.get_mut(id).expect("a session");
        stored.epoch = stored.epoch.next();
        let expires_at = Timestamp::from_millis(i64::MAX);
        stored.lease = Some(Lease { holder: "thief".to_owned(), epoch: stored.epoch, expires_at });
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(
        &self,
        id: &SessionId,
        then: impl FnOnce(&mut Stored) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.lock().sessions.get_mut(id).ok_or(StoreError::NotFound).and_then(then)
    }

    fn ids(&self, mut pick: impl FnMut(&Stored) -> bool, limit: usize) -> Vec<SessionId> {
        let inner = self.lock();
        let mut found: Vec<_> = inner.sessions.values().filter(|stored| pick(stored)).collect();
        found.sort_by_key(|stored| stored.record.last_active_at);
        found.into_iter().take(limit).map(|stored| stored.record.id.clone()).collect()
    }
}

#[async_trait]
impl SessionRepository for MemoryStore {
    async fn create(&self, record: &SessionRecord) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.sessions.contains_key(&record.id) {
            return Err(StoreError::AlreadyExists);
        }
        let stored = Stored {
            record: record.clone(),
            lease: None,
            epoch: Epoch::default(),
            events: Vec::new(),
            trimmed: Seq::default(),
            history: Vec::new(),
            head: watch::Sender::default(),
        };
        inner.sessions.insert(record.id.clone(), stored);
        Ok(())
    }

    async fn get(&self, id: &SessionId) -> Result<Option<SessionRecord>, StoreError> {
        Ok(self.lock().sessions.get(id).map(|stored| stored.record.clone()))
    }

    async fn owned_by(&self, owner: &PrincipalId, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        let inner = self.lock();
        let mut found: Vec<_> =
            inner.sessions.values().map(|s| s.record.clone()).filter(|r| r.owner == *owner).collect();
        found.sort_by_key(|record| std::cmp::Reverse(record.last_active_at));
        found.truncate(limit);
        Ok(found)
    }

    async fn touch(&self, id: &SessionId, at: Timestamp) -> Result<(), StoreError> {
        self.with(id, |stored| {
            stored.record.last_active_at = stored.record.last_active_at.max(at);
            Ok(())
        })
    }

    async fn claim(&self, id: &SessionId, holder: &str, now: Timestamp, ttl: Duration) -> Result<Claim, StoreError> {
        self.with(id, |stored| {
            if let Some(lease) = stored.lease.as_ref().filter(|l| l.expires_at > now && l.holder != holder) {
                return Err(StoreError::Held { holder: lease.holder.clone(), until: lease.expires_at });
            }
            stored.epoch = stored.epoch.next();
            let lease = Lease { holder: holder.to_owned(), epoch: stored.epoch, expires_at: now.after(ttl) };
            stored.lease = Some(lease.clone());
            Ok(Claim { lease, record: stored.record.clone(), last: stored.last() })
        })
    }

    async fn renew(&self, id: &SessionId, epoch: Epoch, now: Timestamp, ttl: Duration) -> Result<(), StoreError> {
        self.with(id, |stored| {
            stored.fence(epoch)?;
            if let Some(lease) = &mut stored.lease {
                lease.expires_at = now.after(ttl);
            }
            Ok(())
        })
    }

    async fn release(&self, id: &SessionId, epoch: Epoch) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if let Some(stored) = inner.sessions.get_mut(id) {
            stored.lease.take_if(|lease| lease.epoch == epoch);
        }
        Ok(())
    }

    async fn expired(&self, before: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        let idle = |r: &SessionRecord| r.sandbox.is_some() && !r.busy && r.last_active_at < before;
        Ok(self.ids(|stored| idle(&stored.record), limit))
    }

    async fn abandoned(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        let held = |stored: &Stored| stored.lease.as_ref().is_some_and(|lease| lease.expires_at > now);
        Ok(self.ids(|stored| stored.record.busy && !held(stored), limit))
    }

    async fn delete(&self, id: &SessionId, now: Timestamp) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let lease = inner.sessions.get(id).and_then(|stored| stored.lease.as_ref());
        if let Some(lease) = lease.filter(|lease| lease.expires_at > now) {
            return Err(StoreError::Held { holder: lease.holder.clone(), until: lease.expires_at });
        }
        inner.sessions.remove(id);
        Ok(())
    }
}

#[async_trait]
impl ConversationRepository for MemoryStore {
    async fn history(&self, id: &SessionId) -> Result<Vec<Message>, StoreError> {
        Ok(self.lock().sessions.get(id).map(|stored| stored.history.clone()).unwrap_or_default())
    }
}

#[async_trait]
impl EventLog for MemoryStore {
    async fn read(&self, id: &SessionId, after: Seq, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.lock().sessions.get(id).map_or(Ok(Vec::new()), |stored| stored.after(after, limit))
    }

    async fn follow(&self, id: &SessionId, after: Seq) -> Result<EventStream, StoreError> {
        let head = self.with(id, |stored| Ok(stored.head.subscribe()))?;
        let cursor = (self.clone(), id.clone(), head, after);
        Ok(Box::pin(stream::unfold(cursor, |(store, id, mut head, after)| async move {
            loop {
                head.borrow_and_update();
                match store.with(&id, |stored| stored.after(after, 1)) {
                    Ok(mut events) => {
                        if let Some(event) = events.pop() {
                            let after = event.id.seq;
                            return Some((Ok(event), (store, id, head, after)));
                        }
                    }
                    Err(error) => return Some((Err(error), (store, id, head, after))),
                }
                head.changed().await.ok()?;
            }
        })))
    }

    async fn last(&self, id: &SessionId) -> Result<EventId, StoreError> {
        Ok(self.lock().sessions.get(id).map(Stored::last).unwrap_or_default())
    }

    async fn trim(&self, id: &SessionId, epoch: Epoch, through: Seq) -> Result<(), StoreError> {
        self.with(id, |stored| {
            stored.fence(epoch)?;
            let through = through.min(stored.record.checkpoint);
            // The last event stays, so that the log's end is known.
            let last = stored.last().seq;
            stored.events.retain(|event| event.id.seq > through || event.id.seq == last);
            stored.trimmed = stored.trimmed.max(through);
            Ok(())
        })
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn commit(&self, id: &SessionId, commit: &Commit) -> Result<Committed, StoreError> {
        let mut inner = self.lock();
        if inner.failures > 0 {
            inner.failures -= 1;
            return Err(StoreError::Unavailable("a test says so".into()));
        }
        let stored = inner.sessions.get_mut(id).ok_or(StoreError::NotFound)?;
        let committed = stored.commit(commit)?;
        inner.commits += 1;
        Ok(committed)
    }

    async fn check(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
