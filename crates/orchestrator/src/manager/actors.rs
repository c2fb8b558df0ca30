//! Finds or starts the actor of a session, and asks it.

use super::{SessionManager, checks, gone};
use crate::actor::{Actor, ActorHandle, Reply, Request, Taken, Unhandled, store_failure};
use lockkeeper_domain::{Code, Event, Failure, SessionId};
use lockkeeper_ports::{Principal, StoreError};
use std::sync::Arc;
use tokio::sync::{mpsc::error::TrySendError, oneshot};

impl SessionManager {
    /// Asks the session's actor. An actor that ended before it looked has a successor, which is asked instead.
    pub(super) async fn ask<T>(
        &self,
        id: &SessionId,
        by: &Principal,
        request: impl Fn(Reply<T>) -> Request,
    ) -> Result<T, Failure> {
        const ACTORS: usize = 3;
        for _ in 0..ACTORS {
            let handle = self.actor(id, by).await?;
            let (reply, answer) = oneshot::channel();
            match handle.mailbox.try_send(request(reply)) {
                Ok(()) => match answer.await {
                    Ok(Ok(answer)) => return answer,
                    Ok(Err(Unhandled)) => {}
                    Err(_) => return Err(gone()),
                },
                Err(TrySendError::Full(_)) => {
                    return Err(Failure::new(Code::Busy, "Too much is waiting for this session already."));
                }
                Err(TrySendError::Closed(_)) => {}
            }
        }
        Err(gone())
    }

    /// The session's actor; claims the session and starts one where none runs.
    pub(super) async fn actor(&self, id: &SessionId, by: &Principal) -> Result<ActorHandle, Failure> {
        let slot = self.registry.slot(id);
        let mut actor = slot.actor.lock().await;
        if let Some(handle) = actor.as_ref().filter(|handle| !handle.mailbox.is_closed()) {
            return if handle.owner == by.id { Ok(handle.clone()) } else { Err(checks::not_yours()) };
        }
        self.refuse_when_draining()?;
        self.record_of(id, by).await?;
        self.registry.room_for(&by.id, &self.shared.config)?;
        let taken = self.take(id).await?;
        let (driver, handle) = Actor::new(Arc::clone(&self.shared), taken, slot.live.clone());
        let place = self.registry.enter(id, handle.owner.clone());
        self.shared.tasks.spawn(async move {
            driver.run().await;
            drop(place);
        });
        *actor = Some(handle.clone());
        Ok(handle)
    }

    /// Claims the session and reads what its actor needs.
    async fn take(&self, id: &SessionId) -> Result<Taken, Failure> {
        const BATCH: usize = 512;
        let ports = &self.shared.ports;
        let lease = self.shared.config.lease();
        let claim = ports.store.claim(id, &ports.instance, self.shared.now(), lease).await;
        let claim = claim.map_err(|error| match error {
            StoreError::Held { .. } => Failure::new(Code::OwnedElsewhere, "Another server drives this session.")
                .with_hint("Connect again in a moment."),
            error => store_failure(&error),
        })?;
        let history = ports.store.history(id).await.map_err(|e| store_failure(&e))?;
        let mut events: Vec<Event> = Vec::new();
        let mut after = claim.record.checkpoint;
        while after < claim.last.seq {
            let batch = ports.store.read(id, after, BATCH).await.map_err(|e| store_failure(&e))?;
            let Some(last) = batch.last() else { break };
            after = last.id.seq;
            events.extend(batch);
        }
        Ok(Taken { claim, history, events })
    }
}
