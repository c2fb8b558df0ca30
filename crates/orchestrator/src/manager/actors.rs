//! Finds or starts the actor of a session.

use super::{SessionManager, checks};
use crate::actor::{Actor, ActorHandle, Shared, Taken, store_failure};
use lockkeeper_domain::{Event, Failure, PrincipalId, SessionId, Timestamp};
use lockkeeper_ports::{Claim, Principal, StoreError};
use std::sync::Arc;
use tokio::time::Instant;

/// Who drives a session.
pub(super) enum Owner {
    /// This server.
    Here(ActorHandle),
    /// Another one, until then if it does not renew its lease.
    There { holder: String, until: Timestamp },
}

impl SessionManager {
    /// The session's owner; claims the session and starts an actor where nobody drives it.
    pub(super) async fn owner(&self, id: &SessionId, by: &Principal) -> Result<Owner, Failure> {
        let slot = self.registry.slot(id);
        let mut actor = slot.actor.lock().await;
        if let Some(handle) = actor.as_ref().filter(|handle| !handle.mailbox.is_closed()) {
            return if handle.owner == by.id { Ok(Owner::Here(handle.clone())) } else { Err(checks::not_yours()) };
        }
        self.refuse_when_draining()?;
        self.owned(id, by).await?;
        let ports = &self.shared.ports;
        let claimed_at = Instant::now();
        let claim = self.shared.claim(id, ports.peers.name()).await;
        let claim = match claim {
            Ok(claim) => claim,
            Err(StoreError::Held { holder, until }) => return Ok(Owner::There { holder, until }),
            Err(error) => return Err(store_failure(&error)),
        };
        let epoch = claim.lease.epoch;
        // Only now is it known that the session is to be driven here.
        let taken = match self.make_room(&by.id).await {
            Ok(()) => self.taken(id, claim, claimed_at).await,
            Err(full) => Err(full),
        };
        let taken = match taken {
            Ok(taken) => taken,
            Err(failure) => {
                // Another server may be able to.
                if let Err(error) = ports.store.release(id, epoch).await {
                    tracing::warn!(%error, "the lease could not be let go; it will run out");
                }
                return Err(failure);
            }
        };
        let live = slot.live.everywhere(id.clone(), self.elsewhere.clone());
        let (driver, handle) = Actor::new(Arc::clone(&self.shared), taken, live);
        let place = self.registry.enter(id, handle.clone());
        let (shared, unused) = (Arc::clone(&self.shared), id.clone());
        self.shared.tasks.spawn(async move {
            if Box::pin(driver.run()).await {
                forget(&shared, &unused).await;
            }
            drop(place);
        });
        *actor = Some(handle.clone());
        Ok(Owner::Here(handle))
    }

    /// Has idle sessions give way until there is room for one more of this owner's.
    async fn make_room(&self, owner: &PrincipalId) -> Result<(), Failure> {
        while let Err(full) = self.registry.room_for(owner, &self.shared.config) {
            let mut made = false;
            for candidate in self.registry.candidates(owner, &full).await {
                made = self.registry.dismiss(candidate).await;
                if made {
                    break;
                }
            }
            if !made {
                return Err(full.into());
            }
        }
        Ok(())
    }

    /// What the actor of a session that was claimed needs.
    async fn taken(&self, id: &SessionId, claim: Claim, claimed_at: Instant) -> Result<Taken, Failure> {
        const BATCH: usize = 512;
        let store = &self.shared.ports.store;
        let history = store.history(id).await.map_err(|e| store_failure(&e))?;
        let mut events: Vec<Event> = Vec::new();
        let mut after = claim.record.checkpoint;
        while after < claim.last.seq {
            let batch = store.read(id, after, BATCH).await.map_err(|e| store_failure(&e))?;
            let Some(last) = batch.last() else { break };
            after = last.id.seq;
            events.extend(batch);
        }
        Ok(Taken { claim, claimed_at, history, events })
    }
}

/// Removes the record of a session that nobody used, unless somebody has it again or has given it a name.
async fn forget(shared: &Shared, id: &SessionId) {
    let store = &shared.ports.store;
    let outcome = match store.get(id).await {
        Ok(Some(record)) if record.title.is_none() && !record.busy => store.delete(id, shared.now()).await,
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        tracing::debug!(session.id = %id, %error, "a session that nobody used keeps its record");
    }
}
