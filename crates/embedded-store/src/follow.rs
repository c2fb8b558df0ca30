//! Followers: a cursor each, which reads a batch, hands it out, and goes on when the writer says so.
//!
//! With its word the writer hands over what it has just written. Who has seen all before takes it from there; who has not, looks.
//! A follower takes note of the writer's word before it looks, so a commit between the look and the wait is not missed.
//! What it holds is one batch, however slow its consumer is. After an error a stream ends, and may be followed anew from
//! the last event that it gave.
//!
//! The stream of a session that is deleted ends, without what it had not yet read. It does so too if a session
//! by the same id is made at once: its log is another one.

#[cfg(test)]
mod tests;

use crate::{
    database::Shared,
    failure::{Failure, Halt},
    query, schema,
};
use futures::{StreamExt, stream};
use lockkeeper_domain::{Event, Seq, SessionId};
use lockkeeper_ports::{EventStream, StoreError};
use redb::ReadTransaction;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    vec,
};
use tokio::sync::watch;

/// The sessions that are followed.
#[derive(Default)]
pub(crate) struct Followers(Mutex<Watches>);

#[derive(Default)]
struct Watches {
    sessions: HashMap<SessionId, watch::Sender<Option<Tail>>>,
    audit: Option<watch::Sender<()>>,
    closed: bool,
}

/// What a commit has added to a log.
#[derive(Clone)]
pub(crate) struct Tail {
    /// Which log it is.
    pub(crate) born: u64,
    /// The last event before.
    pub(crate) after: Seq,
    /// The events, as they are stored.
    pub(crate) events: Arc<[Vec<u8>]>,
}

/// What is larger is not handed over: it would be kept until the session's next event.
const LARGEST_TAIL: usize = 64 << 10;

/// How far a follower reads ahead.
#[derive(Clone, Copy)]
pub(crate) struct ReadAhead {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
}

impl Followers {
    /// Tells the followers of these sessions that their logs are not what they were.
    pub(crate) fn wake(&self, sessions: HashMap<SessionId, Option<Tail>>) {
        if sessions.is_empty() {
            return;
        }
        let watches = self.lock();
        for (id, grown) in sessions {
            if let Some(watch) = watches.sessions.get(&id) {
                watch.send_replace(grown.filter(Tail::is_small));
            }
        }
    }

    /// Tells the followers of the audit trail that it has grown.
    pub(crate) fn wake_audit(&self) {
        if let Some(audit) = &self.lock().audit {
            audit.send_replace(());
        }
    }

    pub(crate) fn subscribe_audit(&self) -> watch::Receiver<()> {
        let mut watches = self.lock();
        if watches.closed {
            return watch::channel(()).1;
        }
        watches.audit.get_or_insert_with(|| watch::channel(()).0).subscribe()
    }

    /// Ends all waiting, now and later.
    pub(crate) fn close(&self) {
        let mut watches = self.lock();
        watches.closed = true;
        watches.sessions.clear();
        watches.audit = None;
    }

    fn subscribe(self: &Arc<Self>, id: &SessionId) -> Subscription {
        let mut watches = self.lock();
        let changed = if watches.closed {
            watch::channel(None).1
        } else {
            watches.sessions.entry(id.clone()).or_insert_with(|| watch::channel(None).0).subscribe()
        };
        Subscription { followers: Arc::clone(self), id: id.clone(), changed }
    }

    fn lock(&self) -> MutexGuard<'_, Watches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn followed_sessions(&self) -> usize {
        self.lock().sessions.len()
    }
}

impl Tail {
    fn is_small(&self) -> bool {
        self.events.iter().map(Vec::len).sum::<usize>() <= LARGEST_TAIL
    }

    fn decode(&self) -> Result<Vec<Event>, StoreError> {
        let events = self.events.iter().map(|event| schema::decode_event(event)).collect::<Result<_, _>>();
        events.map_err(StoreError::from)
    }
}

/// A place among the followers of a session. The last one that goes takes the session's entry with it.
struct Subscription {
    followers: Arc<Followers>,
    id: SessionId,
    changed: watch::Receiver<Option<Tail>>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut watches = self.followers.lock();
        // This one's receiver still counts, and no other can come while the lock is held.
        if watches.sessions.get(&self.id).is_some_and(|watch| watch.receiver_count() <= 1) {
            watches.sessions.remove(&self.id);
        }
    }
}

struct Cursor {
    shared: Arc<Shared>,
    subscription: Subscription,
    read_ahead: ReadAhead,
    after: Seq,
    /// Which log is followed, once there was one.
    born: Option<u64>,
    ready: vec::IntoIter<Event>,
    /// Whether the log may hold more than was seen.
    behind: bool,
    ended: bool,
}

/// What a look at the log finds.
enum Found {
    /// No session by this id yet.
    Nothing,
    /// The log that is followed is gone.
    Gone,
    /// Events, perhaps none, of the log that was born then.
    Events { born: u64, events: Vec<Event> },
}

pub(crate) fn follow(shared: &Arc<Shared>, id: &SessionId, after: Seq, read_ahead: ReadAhead) -> EventStream {
    let cursor = Cursor {
        shared: Arc::clone(shared),
        subscription: shared.followers.subscribe(id),
        read_ahead,
        after,
        born: None,
        ready: Vec::new().into_iter(),
        behind: true,
        ended: false,
    };
    stream::unfold(cursor, |mut cursor| async move { Some((cursor.next().await?, cursor)) }).fuse().boxed()
}

impl Cursor {
    async fn next(&mut self) -> Option<Result<Event, StoreError>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(event) = self.ready.next() {
                self.after = event.id.seq;
                return Some(Ok(event));
            }
            let step = if self.behind { self.read_on().await } else { self.wait().await };
            if let Err(error) = step {
                return Some(self.end_with(error));
            }
        }
    }

    async fn read_on(&mut self) -> Result<(), StoreError> {
        self.subscription.changed.mark_unchanged();
        match self.look().await? {
            Found::Events { born, events } => {
                self.born = Some(born);
                self.behind = !events.is_empty();
                self.ready = events.into_iter();
            }
            Found::Nothing => self.behind = false,
            Found::Gone => self.ended = true,
        }
        Ok(())
    }

    /// Waits until the log has changed, and takes what the writer hands over if it goes on from here.
    async fn wait(&mut self) -> Result<(), StoreError> {
        let closed = |_| StoreError::from(Failure::told("the store is closed"));
        self.subscription.changed.changed().await.map_err(closed)?;
        let grown = self.subscription.changed.borrow_and_update().clone();
        match grown.filter(|tail| Some(tail.born) == self.born && tail.after == self.after) {
            Some(tail) => self.ready = tail.decode()?.into_iter(),
            None => self.behind = true,
        }
        Ok(())
    }

    fn end_with(&mut self, error: StoreError) -> Result<Event, StoreError> {
        self.ended = true;
        Err(error)
    }

    async fn look(&self) -> Result<Found, StoreError> {
        let (id, after, born, ahead) = (self.subscription.id.clone(), self.after, self.born, self.read_ahead);
        self.shared.read_much(move |txn| look(txn, &id, after, born, ahead)).await
    }
}

fn look(
    txn: &ReadTransaction,
    id: &SessionId,
    after: Seq,
    known: Option<u64>,
    ahead: ReadAhead,
) -> Result<Found, Halt> {
    match (query::log(txn, id)?, known) {
        (None, None) => Ok(Found::Nothing),
        (None, Some(_)) => Ok(Found::Gone),
        (Some(log), Some(known)) if log.born != known => Ok(Found::Gone),
        (Some(log), _) => {
            let events = query::events(txn, id, after, ahead.events, ahead.bytes)?;
            Ok(Found::Events { born: log.born, events })
        }
    }
}
