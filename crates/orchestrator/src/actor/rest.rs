//! Sessions that nobody uses give way: those that nobody ever used at once, others when their place is needed.

use super::{Actor, Flow, Lost, Reply, send};
use crate::{actor::request::Rest, live::LiveSender};
use lockkeeper_domain::Seq;
use std::time::Duration;
use tokio::time::Instant;

/// Why a session that gave way has no sandbox any more.
const PLACE_NEEDED: &str = "The session was suspended because another session of yours needed its place. Its history stays, \
     and the next message starts a fresh sandbox.";

/// Since when nobody looks at a session that nobody has used.
#[derive(Debug, Default)]
pub(super) struct Unwatched {
    since: Option<Instant>,
    /// Somebody attached who does not look here: a client of another server.
    elsewhere: bool,
}

impl Unwatched {
    /// Waits until nobody has looked at the session for as long as `grace`. Cancellation safe: the time goes on.
    pub(super) async fn for_long(&mut self, live: &LiveSender, grace: Duration) {
        loop {
            match self.since {
                None => {
                    live.unwatched().await;
                    self.since = Some(Instant::now());
                }
                Some(since) => {
                    tokio::time::sleep_until(since + grace).await;
                    if live.watchers() == 0 {
                        return;
                    }
                    self.since = None;
                }
            }
        }
    }
}

impl Actor {
    /// Whether the session is given up once nobody looks at it.
    pub(super) fn may_be_unused(&self) -> bool {
        !self.is_used() && !self.unwatched.elsewhere && self.shared.config.unused_secs > 0
    }

    pub(super) fn rest(&self) -> Rest {
        Rest { busy: self.session.is_busy(), used: self.is_used(), since: self.last_active_at }
    }

    /// Whether anything was said or done in the session, or somebody gave it a name.
    fn is_used(&self) -> bool {
        self.last != Seq::default() || self.stored.titled || self.session.is_busy()
    }

    /// Somebody attached.
    pub(super) fn is_watched(&mut self) {
        self.unwatched.since = None;
        self.unwatched.elsewhere |= self.live.watchers() == 0;
    }

    /// Gives way, unless somebody used the session meanwhile.
    pub(super) async fn give_way(&mut self, known: Rest, reply: Reply<bool>) -> Result<Flow, Lost> {
        if known.busy || self.rest() != known {
            send(reply, Ok(false));
            return Ok(Flow::Continue);
        }
        if self.is_forgettable() {
            self.forget();
        } else {
            self.suspend(PLACE_NEEDED).await?;
        }
        send(reply, Ok(true));
        Ok(Flow::Exit)
    }

    /// Nobody ever used the session, and nobody looks at it.
    fn is_forgettable(&self) -> bool {
        !self.is_used() && !self.unwatched.elsewhere && self.live.watchers() == 0
    }

    /// Nothing of the session is worth keeping.
    fn forget(&mut self) {
        self.forgotten = true;
        self.mailbox.close();
    }

    /// Ends a session that nobody uses or used.
    pub(super) fn leave_unused(&mut self) -> Flow {
        if !self.is_forgettable() {
            return Flow::Continue;
        }
        tracing::debug!("a session that nobody used is given up");
        self.forget();
        Flow::Exit
    }
}
