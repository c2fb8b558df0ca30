use crate::{SessionManager, actor::Request};
use lockkeeper_domain::{Event, EventBody, EventId, SessionId, Timestamp};
use lockkeeper_ports::{Commit, RecordChange, SandboxError, SandboxId, SandboxSummary, StoreError};
use std::{sync::Arc, time::Duration};
use tokio::{sync::oneshot, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Removes what nobody needs any more: the sandboxes of idle sessions, and sandboxes that belong to no session. Takes over turns
/// that a dead process left open. Histories are never its business.
pub struct Janitor {
    manager: Arc<SessionManager>,
}

/// What a round of the janitor did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Idle sessions whose sandbox was removed.
    pub expired: usize,
    /// Sandboxes without a session that were removed.
    pub orphans: usize,
    /// Open turns that were taken over.
    pub resumed: usize,
}

/// What people are told of a session that expired.
pub(crate) const IDLE_TOO_LONG: &str =
    "The session was idle for too long; its sandbox was removed. Its history is kept.";
/// How many sessions are looked at in a round.
const AT_ONCE: usize = 64;

impl Janitor {
    /// A janitor for this manager's sessions.
    pub fn new(manager: Arc<SessionManager>) -> Self {
        Self { manager }
    }

    /// Sweeps now, and then in each period, until `stop`. Sessions that nobody drives any more, though they have something to do,
    /// are taken over meanwhile: at once when their server says that it lets them go, else within `takeover_poll_ms` after
    /// its lease has run out.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::join!(self.sweep_periodically(stop.clone()), self.manager.take_over(stop));
    }

    async fn sweep_periodically(&self, stop: CancellationToken) {
        let mut period = tokio::time::interval(Duration::from_secs(self.manager.shared().config.janitor_period_secs));
        period.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = period.tick() => {}
            }
            let swept = self.sweep().await;
            if swept != Swept::default() {
                tracing::info!(swept.expired, swept.orphans, swept.resumed, "the janitor has swept");
            }
        }
    }

    /// One round. What fails is logged, and is there again in the next one.
    pub async fn sweep(&self) -> Swept {
        let resumed = self.manager.resume_abandoned().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "open turns could not be looked for");
            0
        });
        let expired = self.expire_idle().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "idle sessions could not be looked for");
            0
        });
        let orphans = self.remove_orphans().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "sandboxes could not be listed");
            0
        });
        Swept { expired, orphans, resumed }
    }

    async fn expire_idle(&self) -> Result<usize, StoreError> {
        let shared = self.manager.shared();
        let before = shared.now().before(Duration::from_secs(shared.config.idle_secs));
        let (mut expired, setbacks) = (0, self.manager.setbacks());
        let mut idle = shared.ports.store.expired(before, AT_ONCE + setbacks.len()).await?;
        idle.retain(|id| setbacks.may_try(id));
        for id in idle {
            let gone = match self.manager.live_actor(&id).await {
                Some(actor) => {
                    let (reply, answer) = oneshot::channel();
                    let asked = actor.mailbox.try_send(Request::ExpireIfIdle(before, reply)).is_ok();
                    asked && matches!(answer.await, Ok(Ok(Ok(true))))
                }
                None => self.try_expire(&id, before).await,
            };
            expired += usize::from(gone);
        }
        Ok(expired)
    }

    /// Expires a session that no actor drives, and remembers if that failed: it must not keep others from expiring.
    async fn try_expire(&self, id: &SessionId, before: Timestamp) -> bool {
        let setbacks = self.manager.setbacks();
        match self.expire_left_behind(id, before).await {
            Ok(gone) => {
                setbacks.recovered(id);
                gone
            }
            Err(error) => {
                if setbacks.failed(id) {
                    tracing::warn!(session.id = %id, %error, "an idle session could not be expired");
                }
                false
            }
        }
    }

    /// Expires a session that no actor drives: that of a process that died. The lease keeps two janitors, and a client that
    /// comes back at this moment, apart.
    async fn expire_left_behind(&self, id: &SessionId, before: Timestamp) -> Result<bool, StoreError> {
        let shared = self.manager.shared();
        let (store, now) = (&shared.ports.store, shared.now());
        // Read first: a record that this version cannot read is left to those that can, and is not claimed from them.
        if store.get(id).await?.is_none_or(|record| record.busy || record.last_active_at >= before) {
            return Ok(false);
        }
        let claim = match shared.claim(id, &format!("{}/janitor", shared.ports.peers.name())).await {
            Ok(claim) => claim,
            Err(StoreError::Held { .. } | StoreError::NotFound) => return Ok(false),
            Err(error) => return Err(error),
        };
        let epoch = claim.lease.epoch;
        let idle = !claim.record.busy && claim.record.last_active_at < before;
        if let Some(sandbox) = claim.record.sandbox.filter(|_| idle) {
            shared.starter.remove(&SandboxId::new(sandbox.id)).await;
            let event = Event {
                id: EventId { epoch, seq: claim.last.seq.next() },
                turn: None,
                at: now,
                body: EventBody::SessionExpired { reason: IDLE_TOO_LONG.to_owned() },
                link: None,
                request: None,
            };
            let record = RecordChange { sandbox: Some(None), ..RecordChange::default() };
            let commit = Commit { epoch, after: claim.last.seq, events: vec![event], history: None, record };
            store.commit(id, &commit).await?;
        }
        store.release(id, epoch).await?;
        Ok(idle)
    }

    async fn remove_orphans(&self) -> Result<usize, SandboxError> {
        let shared = self.manager.shared();
        let old = shared.now().before(Duration::from_secs(shared.config.orphan_grace_secs));
        let mut removed = 0;
        for sandbox in shared.ports.sandboxes.list().await? {
            if sandbox.created_at <= old && self.is_orphan(&sandbox).await {
                shared.starter.remove(&sandbox.id).await;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// A sandbox is an orphan if no session's record names it. When the store does not say, it is not one.
    async fn is_orphan(&self, sandbox: &SandboxSummary) -> bool {
        match self.manager.shared().ports.store.get(&sandbox.session).await {
            Ok(None) => true,
            Ok(Some(record)) => record.sandbox.is_none_or(|named| named.id != sandbox.id.as_str()),
            Err(_) => false,
        }
    }
}
