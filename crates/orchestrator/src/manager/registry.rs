use crate::{Config, actor::ActorHandle, live::LiveSender};
use lockkeeper_domain::{Code, Failure, PrincipalId, SessionId};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio_util::task::AbortOnDropHandle;

/// A session's place: its actor while it has one, and its live news, which views keep while actors come and go.
pub(crate) struct Slot {
    pub(super) live: LiveSender,
    /// Locked while an actor is being started, so that two clients start one actor.
    pub(super) actor: tokio::sync::Mutex<Option<ActorHandle>>,
    /// Passes on what the session's owner on another server tells, once somebody looks.
    pub(super) relay: tokio::sync::Mutex<Option<AbortOnDropHandle<()>>>,
}

/// A hold on a slot. The slot goes when nobody holds it any more.
pub(crate) struct Visit {
    inner: Arc<Mutex<Inner>>,
    id: SessionId,
    slot: Arc<Slot>,
}

impl std::ops::Deref for Visit {
    type Target = Slot;

    fn deref(&self) -> &Slot {
        &self.slot
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Visit").field(&self.id).finish()
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut inner = lock(&self.inner);
        // The map holds one and this visit the other.
        if inner.slots.get(&self.id).is_some_and(|slot| Arc::strong_count(slot) <= 2) {
            inner.slots.remove(&self.id);
        }
    }
}

/// The sessions that have, or are about to have, an actor in this process.
#[derive(Default)]
pub(super) struct Registry {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    slots: HashMap<SessionId, Arc<Slot>>,
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

    pub(super) fn slot(&self, id: &SessionId) -> Visit {
        let empty = || {
            let (actor, relay) = (tokio::sync::Mutex::default(), tokio::sync::Mutex::default());
            Arc::new(Slot { live: LiveSender::new(), actor, relay })
        };
        let slot = Arc::clone(self.inner().slots.entry(id.clone()).or_insert_with(empty));
        Visit { inner: Arc::clone(&self.inner), id: id.clone(), slot }
    }

    pub(super) async fn get(&self, id: &SessionId) -> Option<ActorHandle> {
        let slot = self.inner().slots.get(id).cloned()?;
        let handle = slot.actor.lock().await.clone();
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

    /// Counts an actor, and keeps its slot, until the place is dropped.
    pub(super) fn enter(&self, id: &SessionId, owner: PrincipalId) -> Place {
        let slot = self.slot(id);
        *self.inner().running.entry(owner.clone()).or_default() += 1;
        Place { slot, owner }
    }
}

/// A running actor's place in the registry.
pub(super) struct Place {
    slot: Visit,
    owner: PrincipalId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inner = lock(&self.slot.inner);
        if let Some(count) = inner.running.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                inner.running.remove(&self.owner);
            }
        }
    }
}

/// The counts stay right even when a panic passed by: each change is one statement.
fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}
