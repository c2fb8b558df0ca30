use crate::{
    Config,
    actor::{ActorHandle, Request, Rest},
    live::LiveSender,
};
use futures::{StreamExt as _, stream};
use lockkeeper_domain::{Code, Failure, PrincipalId, SessionId};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

/// How long a session may take to say whether it gives way, and how many are asked at once.
const PATIENCE: Duration = Duration::from_secs(2);
const AT_ONCE: usize = 64;

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
        let Some((_, visits)) = inner.slots.get_mut(&self.id) else { return };
        *visits -= 1;
        if *visits == 0 {
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
    /// Each with how many visits hold it: counted here, since references of visits fall only after their `drop`.
    slots: HashMap<SessionId, (Arc<Slot>, usize)>,
    /// Actors that run, by the numbers of their places.
    running: HashMap<u64, Running>,
    /// How many places there were.
    places: u64,
}

struct Running {
    id: SessionId,
    actor: ActorHandle,
    /// It gives its place to another one, and goes.
    leaving: bool,
}

/// An actor that may give way.
pub(super) struct Candidate {
    place: u64,
    actor: ActorHandle,
    rest: Rest,
    watched: bool,
}

/// Why there is no room for one more session.
#[derive(Debug)]
pub(super) enum Full {
    /// Its owner has as many as one may have.
    Own(usize),
    /// The server has as many as there may be.
    All(usize),
}

impl From<Full> for Failure {
    fn from(full: Full) -> Self {
        let message = match full {
            Full::Own(own) => format!("You have {own} sessions with open turns, as many as are allowed."),
            Full::All(all) => format!("The server has {all} sessions running, as many as are allowed."),
        };
        Self::new(Code::RateLimited, message)
            .with_hint("End or delete a session that is not needed any more: DELETE /api/sessions/ID does it without a connection.")
    }
}

impl Registry {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    pub(super) fn slot(&self, id: &SessionId) -> Visit {
        let empty = || {
            let (actor, relay) = (tokio::sync::Mutex::default(), tokio::sync::Mutex::default());
            (Arc::new(Slot { live: LiveSender::new(), actor, relay }), 0)
        };
        let mut inner = self.inner();
        let (slot, visits) = inner.slots.entry(id.clone()).or_insert_with(empty);
        *visits += 1;
        Visit { inner: Arc::clone(&self.inner), id: id.clone(), slot: Arc::clone(slot) }
    }

    /// The slot, if anybody holds it.
    fn known(&self, id: &SessionId) -> Option<Visit> {
        let mut inner = self.inner();
        let (slot, visits) = inner.slots.get_mut(id)?;
        *visits += 1;
        Some(Visit { inner: Arc::clone(&self.inner), id: id.clone(), slot: Arc::clone(slot) })
    }

    pub(super) async fn get(&self, id: &SessionId) -> Option<ActorHandle> {
        let slot = self.known(id)?;
        let handle = slot.actor.lock().await.clone();
        handle.filter(|handle| !handle.mailbox.is_closed())
    }

    pub(super) fn live(&self) -> usize {
        self.inner().running.len()
    }

    /// Whether one more session fits.
    pub(super) fn room_for(&self, owner: &PrincipalId, config: &Config) -> Result<(), Full> {
        let inner = self.inner();
        let staying = || inner.running.values().filter(|running| !running.leaving);
        let own = staying().filter(|running| running.actor.owner == *owner).count();
        if own >= config.max_sessions_per_principal {
            return Err(Full::Own(own));
        }
        let all = staying().count();
        if all >= config.max_sessions { Err(Full::All(all)) } else { Ok(()) }
    }

    /// The sessions that may give way to one more of this owner's, the first to go first: those that nobody used or looks at,
    /// then those that nobody looks at, then the others, and among them the longest idle.
    pub(super) async fn candidates(&self, owner: &PrincipalId, full: &Full) -> Vec<Candidate> {
        let asked: Vec<_> = {
            let inner = self.inner();
            let may =
                |running: &Running| !running.leaving && (running.actor.owner == *owner || matches!(full, Full::All(_)));
            let watched = |id: &SessionId| inner.slots.get(id).is_some_and(|(slot, _)| slot.live.watchers() > 0);
            let running = inner.running.iter().filter(|(_, running)| may(running));
            running.map(|(place, running)| (*place, running.actor.clone(), watched(&running.id))).collect()
        };
        let answers = stream::iter(asked).map(|(place, actor, watched)| async move {
            let rest = timeout(PATIENCE, actor.put(Request::Rest)).await.ok()?.ok()?;
            Some(Candidate { place, actor, rest, watched })
        });
        let mut all: Vec<_> = answers.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
        // Of another user's sessions only those that nobody would miss.
        all.retain(|each| !each.rest.busy && (each.actor.owner == *owner || (!each.rest.used && !each.watched)));
        all.sort_by_key(|each| (each.watched, each.rest.used, each.rest.since, each.place));
        all
    }

    /// Has a session give way. Returns whether it does; from then on it takes no place.
    pub(super) async fn dismiss(&self, candidate: Candidate) -> bool {
        let Candidate { place, actor, rest, .. } = candidate;
        let went = timeout(PATIENCE, actor.put(|reply| Request::GiveWay(rest, reply))).await;
        let went = matches!(went, Ok(Ok(true)));
        if went && let Some(running) = self.inner().running.get_mut(&place) {
            running.leaving = true;
        }
        went
    }

    /// Counts an actor, and keeps its slot, until the place is dropped.
    pub(super) fn enter(&self, id: &SessionId, actor: ActorHandle) -> Place {
        let slot = self.slot(id);
        let mut inner = self.inner();
        inner.places += 1;
        let number = inner.places;
        inner.running.insert(number, Running { id: id.clone(), actor, leaving: false });
        Place { slot, number }
    }
}

/// A running actor's place in the registry.
pub(super) struct Place {
    slot: Visit,
    number: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.slot.inner).running.remove(&self.number);
    }
}

/// The counts stay right even when a panic passed by: each change is one statement.
fn lock(inner: &Mutex<Inner>) -> MutexGuard<'_, Inner> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Covers: F11
    #[test]
    fn slot_whose_visits_end_at_once_is_gone() {
        let registry = Registry::default();
        let id = SessionId::parse("s").expect("an id");
        for _ in 0..2_000 {
            let visits = [registry.slot(&id), registry.slot(&id), registry.known(&id).expect("it is held")];
            thread::scope(|scope| {
                for visit in visits {
                    scope.spawn(move || drop(visit));
                }
            });
            assert!(registry.inner().slots.is_empty());
        }
    }
}
