//! Followers: a cursor each, which reads a page, hands it out, and looks again when somebody says so, or after a while.
//!
//! A message between servers is a wake-up and no more: what is given comes from the log, in its order. A follower takes note
//! of the wake-up before it looks, and is woken when its subscription stands, so nothing falls between. What it holds is one
//! page, however slow its consumer is. After an error a stream ends, and may be followed anew from the last event that it gave.
//!
//! The stream of a session that is deleted ends. It does so too if a session by the same id is made at once: its log is
//! another one. Where a failover has lost the end of a log that was given out, the stream ends with a `Conflict`: those events
//! are no more, and others will have their numbers.

use crate::{RedisStore, hub::Subscription, keys::SessionKeys, log::Page, store::Shared};
use futures::{StreamExt as _, stream};
use lockkeeper_domain::{Event, Seq, SessionId};
use lockkeeper_ports::{EventStream, StoreError};
use std::{sync::Arc, time::Duration, vec};

/// How far a follower reads ahead, and how often it looks by itself.
#[derive(Clone, Copy)]
pub(crate) struct ReadAhead {
    pub(crate) events: usize,
    pub(crate) bytes: usize,
    pub(crate) poll: Duration,
}

struct Cursor {
    shared: Arc<Shared>,
    subscription: Subscription,
    id: SessionId,
    read_ahead: ReadAhead,
    after: Seq,
    /// Whether the event `after` was seen in the log, and not just named by whoever follows.
    has_given: bool,
    /// Which log is followed, once there was one.
    born: Option<String>,
    ready: vec::IntoIter<Event>,
    /// Where the log ended when it was looked at.
    end: Seq,
    ended: bool,
}

impl RedisStore {
    pub(crate) fn follow_log(&self, id: &SessionId, after: Seq) -> EventStream {
        let cursor = Cursor {
            shared: Arc::clone(&self.shared),
            subscription: self.hub.subscribe(SessionKeys::of(id).log),
            id: id.clone(),
            read_ahead: self.read_ahead,
            after,
            has_given: false,
            born: None,
            ready: Vec::new().into_iter(),
            end: Seq::default(),
            ended: false,
        };
        stream::unfold(cursor, |mut cursor| async move { Some((cursor.next().await?, cursor)) }).fuse().boxed()
    }
}

impl Cursor {
    async fn next(&mut self) -> Option<Result<Event, StoreError>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(event) = self.ready.next() {
                self.after = event.id.seq;
                self.has_given = true;
                return Some(Ok(event));
            }
            self.subscription.wake.mark_unchanged();
            if let Err(error) = self.look().await {
                self.ended = true;
                return Some(Err(error));
            }
            if self.ready.len() == 0 && !self.ended {
                tokio::select! {
                    changed = self.subscription.wake.changed() => if changed.is_err() {
                        // The store is closed.
                        self.ended = true;
                    },
                    () = tokio::time::sleep(self.read_ahead.poll) => {}
                }
            }
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let ReadAhead { events, bytes, .. } = self.read_ahead;
        match self.shared.page(&self.id, self.after, events, bytes).await {
            Ok(Page::Nothing) => self.ended = self.born.is_some(),
            Ok(Page::Trimmed(through)) => return Err(StoreError::Trimmed(through)),
            Ok(Page::Events { born, .. }) if self.born.as_ref().is_some_and(|known| *known != born) => {
                self.ended = true;
            }
            Ok(Page::Events { last, .. }) if self.has_given && last < self.after => {
                return Err(StoreError::Conflict { expected: self.after, found: last });
            }
            Ok(Page::Events { born, last, events }) => {
                self.born = Some(born);
                self.end = last;
                self.ready = events.into_iter();
            }
            // The log is there again in a while, and nothing of it is lost.
            Err(StoreError::Unavailable(error)) => {
                tracing::debug!(error, "a log that is followed cannot be read now");
                tokio::time::sleep(self.read_ahead.poll).await;
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
