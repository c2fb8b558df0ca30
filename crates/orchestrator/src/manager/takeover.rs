//! Takes over what other servers left, and hands over what this one leaves.

use super::{Drained, SessionManager, actors::Owner};
use crate::{actor::store_failure, order::News};
use futures::{StreamExt, future, stream, stream::BoxStream};
use lockkeeper_domain::{Code, Failure, SessionId};
use lockkeeper_ports::{Principal, StoreError, Topic};
use std::{future::pending, sync::Arc, time::Duration};
use tokio::{task::JoinSet, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How many sessions are taken over at once.
const SIDE_BY_SIDE: usize = 16;

impl SessionManager {
    /// Takes over sessions whose turns another process left open. Returns how many. Fails only where the store cannot list
    /// them: a session that cannot be taken over is logged, left alone for a while, and hides no other.
    pub async fn resume_abandoned(&self) -> Result<usize, StoreError> {
        const AT_ONCE: usize = 64;
        if self.shared.soft.is_cancelled() {
            return Ok(0);
        }
        let asked = self.shared.now();
        let limit = AT_ONCE + self.setbacks.len();
        let mut abandoned = self.shared.ports.store.abandoned(self.shared.outage.judged(asked), limit).await?;
        if self.shared.outage.answered(self.shared.now()) {
            tracing::warn!("the store was away, or this server stood still; leases of other servers get a full lease");
            return Ok(0);
        }
        abandoned.retain(|id| self.setbacks.may_try(id));
        let resumed = stream::iter(abandoned).map(async |id| self.try_resume(&id).await).buffer_unordered(SIDE_BY_SIDE);
        Ok(resumed.filter(|resumed| future::ready(*resumed)).count().await)
    }

    /// Takes over a session, and remembers if that failed.
    async fn try_resume(&self, id: &SessionId) -> bool {
        match self.resume(id).await {
            Ok(resumed) => {
                self.setbacks.recovered(id);
                resumed
            }
            Err(failure) => {
                if self.setbacks.failed(id) {
                    let (code, error) = (failure.code, failure.message);
                    tracing::warn!(session.id = %id, %code, error, "a session with an open turn could not be taken over");
                }
                false
            }
        }
    }

    /// Takes over what others leave, until `stop`.
    pub(crate) async fn take_over(self: &Arc<Self>, stop: CancellationToken) {
        let mut look = tokio::time::interval(Duration::from_millis(self.shared.config.takeover_poll_ms));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut let_go, mut running) = (None, JoinSet::new());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = look.tick() => {
                    if let_go.is_none() {
                        let_go = self.listen_to_servers().await;
                    }
                    if let Err(error) = self.resume_abandoned().await {
                        // The janitor's round says it louder.
                        tracing::debug!(%error, "open turns could not be looked for");
                    }
                }
                id = next_let_go(&mut let_go), if running.len() < SIDE_BY_SIDE => {
                    let manager = Arc::clone(self);
                    running.spawn(async move { manager.try_resume(&id).await });
                }
                Some(_) = running.join_next() => {}
            }
        }
    }

    async fn listen_to_servers(&self) -> Option<BoxStream<'static, Vec<u8>>> {
        let news = self.shared.ports.peers.listen(&Topic::Servers).await;
        news.inspect_err(|error| tracing::warn!(%error, "it is not heard when other servers let sessions go")).ok()
    }

    /// Takes over a session whose turn is open, if nobody drives it. Returns whether it did.
    async fn resume(&self, id: &SessionId) -> Result<bool, Failure> {
        // An actor that is late with its renewal is not a dead one.
        if self.shared.soft.is_cancelled() || self.live_actor(id).await.is_some() {
            return Ok(false);
        }
        let found = self.shared.ports.store.get(id).await.map_err(|e| store_failure(&e))?;
        let Some(record) = found.filter(|record| record.busy) else {
            return Ok(false);
        };
        let owner = Principal::known(record.owner);
        // Before the claim, which would only be given back: another server may have room.
        self.registry.room_for(&owner.id, &self.shared.config).map_err(Failure::from)?;
        match self.owner(id, &owner).await {
            Ok(Owner::Here(_)) => Ok(true),
            Ok(Owner::There { .. }) => Ok(false),
            Err(failure) if failure.code == Code::Draining => Ok(false),
            Err(failure) => Err(failure),
        }
    }

    /// Ends all actors: those that work get `within` to come to a rest. Nothing that was acknowledged is lost; what is open is
    /// taken up by another server, or by the next process.
    pub async fn drain(&self, within: Duration) -> Drained {
        let before = self.registry.live();
        self.shared.soft.cancel();
        self.shared.tasks.close();
        let rested = tokio::time::timeout(within, self.shared.tasks.wait()).await.is_ok();
        let cut = if rested { 0 } else { self.registry.live() };
        self.shared.hard.cancel();
        self.shared.tasks.wait().await;
        self.closed.cancel();
        Drained { finished: before.saturating_sub(cut), cut }
    }
}

async fn next_let_go(news: &mut Option<BoxStream<'static, Vec<u8>>>) -> SessionId {
    while let Some(told) = news {
        match told.next().await.map(|told| serde_json::from_slice(&told)) {
            Some(Ok(News::LetGo(id))) => return id,
            Some(_) => {}
            None => *news = None,
        }
    }
    pending().await
}
