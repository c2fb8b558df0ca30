use crate::{Config, actor::ActorHandle};
use lockkeeper_domain::{Code, Failure, PrincipalId, SessionId};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Where a session's actor is kept. Locked while one is being started, so that two clients start one actor.
pub(super) type Slot = Arc<tokio::sync::Mutex<Option<ActorHandle>>>;

/// The sessions that have, or are about to have, an actor in this process.
#[derive(Default)]
pub(super) struct Registry {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    slots: HashMap<SessionId, Slot>,
    /// Actors that run, by owner.
    running: HashMap<PrincipalId, usize>,
}

impl Inner {
    fn running(&self) -> usize {
        self.running.values().sum()
    }
}

impl Registry {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    pub(super) fn slot(&self, id: &SessionId) -> Slot {
        Arc::clone(self.inner().slots.entry(id.clone()).or_default())
    }

    pub(super) async fn get(&self, id: &SessionId) -> Option<ActorHandle> {
        let slot = self.inner().slots.get(id).cloned()?;
        let handle = slot.lock().await.clone();
        handle.filter(|handle| !handle.mailbox.is_closed())
    }

    pub(super) fn live(&self) -> usize {
        self.inner().running()
    }

    /// Whether one more session fits.
    pub(super) fn room_for(&self, owner: &PrincipalId, config: &Config) -> Result<(), Failure> {
        let inner = self.inner();
        let refuse = |message: String| {
            Err(Failure::new(Code::RateLimited, message).with_hint("End a session that is not needed any more."))
        };
        let own = inner.running.get(owner).copied().unwrap_or_default();
        if own >= config.max_sessions_per_principal {
            return refuse(format!("You have {own} sessions running, as many as are allowed."));
        }
        let all = inner.running();
        if all >= config.max_sessions {
            return refuse(format!("The server has {all} sessions running, as many as are allowed."));
        }
        Ok(())
    }

    /// Counts an actor until the place is dropped.
    pub(super) fn enter(&self, id: SessionId, owner: PrincipalId) -> Place {
        *self.inner().running.entry(owner.clone()).or_default() += 1;
        Place { inner: Arc::clone(&self.inner), id, owner }
    }
}

/// A running actor's place in the registry.
pub(super) struct Place {
    inner: Arc<Mutex<Inner>>,
    id: SessionId,
    owner: PrincipalId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        if let Some(count) = inner.running.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                inner.running.remove(&self.owner);
            }
        }
        // A slot that somebody holds is about to get the next actor.
        if inner.slots.get(&self.id).is_some_and(|slot| Arc::strong_count(slot) == 1) {
            inner.slots.remove(&self.id);
        }
    }
}

/// The counts stay right even when a panic passed by: each change is one statement.
fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}
