//! Tells a store that was away from owners that are dead: a lease that ran out while nobody could renew it says nothing.

use lockkeeper_domain::Timestamp;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Remembers when the store last answered.
///
/// Owners renew their leases when the store comes back, each at its own pace. Until one full lease after that, the leases
/// of other servers are judged as of the store's last answer before it went away.
#[derive(Debug)]
pub(crate) struct Outage {
    lease: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The last answer, by this process's clock and by the store's. `None` until something asks regularly.
    answered: Option<(Instant, Timestamp)>,
    /// Until when leases are judged as of an earlier time, and which.
    quiet: Option<(Instant, Timestamp)>,
}

impl Outage {
    /// None has been seen yet.
    pub(crate) fn new(lease: Duration) -> Self {
        Self { lease, state: Mutex::default() }
    }

    /// The store answered a regular question. Returns whether it had been away, or this process stood still.
    pub(crate) fn answered(&self, now: Timestamp) -> bool {
        let at = Instant::now();
        let mut state = self.state();
        let before = state.answered.replace((at, now));
        let was_away = before.filter(|(before, _)| self.is_long(at - *before));
        if let Some((_, last)) = was_away {
            let since = state.quiet.filter(|(until, _)| at < *until).map_or(last, |(_, since)| since.min(last));
            state.quiet = Some((at + self.lease, since));
        }
        was_away.is_some()
    }

    /// The time as of which the leases of other servers are judged. It is `now` unless the store is or was just away.
    pub(crate) fn judged(&self, now: Timestamp) -> Timestamp {
        let (at, state) = (Instant::now(), self.state());
        let quiet = state.quiet.filter(|(until, _)| at < *until);
        let away = state.answered.filter(|(answered, _)| self.is_long(at - *answered));
        quiet.or(away).map_or(now, |(_, since)| since.min(now))
    }

    /// A renewal comes after a third of a lease: in half of one, no lease runs out that was renewed in time.
    fn is_long(&self, silence: Duration) -> bool {
        silence > self.lease / 2
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1_000)
    }

    async fn advance(secs: u64) {
        tokio::time::advance(Duration::from_secs(secs)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn leases_are_judged_as_of_the_last_answer_for_a_lease() {
        let outage = Outage::new(LEASE);
        assert_eq!(outage.judged(at(7)), at(7), "nobody asks regularly");
        assert!(!outage.answered(at(0)));
        advance(5).await;
        assert_eq!(outage.judged(at(5)), at(5));
        advance(1).await;
        assert_eq!(outage.judged(at(6)), at(0), "it may be away");
        advance(14).await;
        assert!(outage.answered(at(20)), "it was");
        for second in 20..30 {
            assert_eq!(outage.judged(at(second)), at(0));
            advance(1).await;
            assert!(!outage.answered(at(second + 1)));
        }
        assert_eq!(outage.judged(at(30)), at(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_outage_within_the_lease_extends_the_first() {
        let outage = Outage::new(LEASE);
        outage.answered(at(0));
        advance(20).await;
        outage.answered(at(20));
        advance(8).await;
        assert!(outage.answered(at(28)));
        advance(9).await;
        assert_eq!(outage.judged(at(37)), at(0));
    }
}
