//! Sessions that could not be looked after, and are left alone for a while.

use lockkeeper_domain::SessionId;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// The first pause, which doubles with each failure up to [`LAST`].
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_mins(5);
/// How many sessions are remembered. The store is asked for as many more, so that failures hide no other session.
const MOST: usize = 4_096;

/// Remembers which sessions failed, so that a session nobody can read neither fills the log nor hides others.
#[derive(Debug, Default)]
pub(crate) struct Setbacks {
    known: Mutex<HashMap<SessionId, Setback>>,
}

#[derive(Debug)]
struct Setback {
    pause: Duration,
    until: Instant,
}

impl Setbacks {
    /// How many sessions are remembered.
    pub(crate) fn len(&self) -> usize {
        self.known().len()
    }

    /// Whether the session may be tried now.
    pub(crate) fn may_try(&self, id: &SessionId) -> bool {
        self.known().get(id).is_none_or(|setback| setback.until <= Instant::now())
    }

    /// The session failed. Returns whether that is worth a line in the log: the first time, and at each longer pause.
    pub(crate) fn failed(&self, id: &SessionId) -> bool {
        let (now, mut known) = (Instant::now(), self.known());
        if known.len() >= MOST && !known.contains_key(id) {
            known.retain(|_, setback| setback.until > now);
            if known.len() >= MOST {
                return false;
            }
        }
        let setback = known.entry(id.clone()).or_insert(Setback { pause: Duration::ZERO, until: now });
        let before = setback.pause;
        setback.pause = (before * 2).clamp(FIRST, LAST);
        setback.until = now + setback.pause;
        before != LAST
    }

    /// The session is well.
    pub(crate) fn recovered(&self, id: &SessionId) {
        self.known().remove(id);
    }

    fn known(&self) -> MutexGuard<'_, HashMap<SessionId, Setback>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_session_that_fails_is_tried_less_and_less_often() {
        let (setbacks, id) = (Setbacks::default(), SessionId::parse("s").expect("an id"));
        assert!(setbacks.may_try(&id));
        let mut tries = 0;
        for _ in 0..3_600 {
            if setbacks.may_try(&id) {
                tries += 1;
                setbacks.failed(&id);
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!((15..25).contains(&tries), "{tries} tries in an hour");
        setbacks.recovered(&id);
        assert!(setbacks.may_try(&id) && setbacks.len() == 0);
    }
}
