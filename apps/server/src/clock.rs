//! The time of day.

use lockkeeper_domain::Timestamp;
use lockkeeper_ports::{Clock, StoreError};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(jiff::Timestamp::now().as_millisecond())
    }
}

/// The time of a store that servers share: asked for now and then, and counted on from there. The machine's clock has no say, so
/// that it may jump, and that no two servers disagree about when a lease ends.
#[derive(Debug)]
pub(crate) struct StoreClock {
    /// What the store said, and when.
    told: Mutex<(Timestamp, Instant)>,
}

/// How often the store is asked.
const PERIOD: Duration = Duration::from_secs(30);
/// Up to here a difference is the way's, and not a clock's.
const TOLERANCE: Duration = Duration::from_millis(500);

impl StoreClock {
    /// A clock that shows `told` now.
    pub(crate) fn start(told: Timestamp) -> Self {
        Self { told: Mutex::new((told, Instant::now())) }
    }

    /// Asks the store again and again.
    pub(crate) async fn follow<F: Future<Output = Result<Timestamp, StoreError>>>(&self, ask: impl Fn() -> F) {
        loop {
            sleep(PERIOD).await;
            match ask().await {
                Ok(told) => self.correct(told),
                Err(error) => tracing::debug!(%error, "the store does not say what time it is"),
            }
        }
    }

    fn correct(&self, told: Timestamp) {
        let shown = self.now();
        let off = told.since(shown).max(shown.since(told));
        if off > TOLERANCE {
            tracing::warn!(?off, "the store's clock jumped, or this process stood still; its time is taken over");
            *self.told.lock().unwrap_or_else(PoisonError::into_inner) = (told, Instant::now());
        }
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        let (told, at) = *self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.after(at.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    #[tokio::test(start_paused = true)]
    async fn s6_the_time_is_the_stores_and_a_jump_of_it_is_followed() {
        const HOUR: i64 = 3_600_000;
        let told = AtomicI64::new(10 * HOUR);
        let clock = StoreClock::start(Timestamp::from_millis(told.load(Ordering::SeqCst)));
        let began = Instant::now();
        let ask = || {
            let passed = i64::try_from(began.elapsed().as_millis()).expect("a short test");
            std::future::ready(Ok(Timestamp::from_millis(told.load(Ordering::SeqCst) + passed)))
        };
        let check = async {
            sleep(Duration::from_secs(20)).await;
            assert_eq!(clock.now(), Timestamp::from_millis(10 * HOUR + 20_000));
            // A round trip more or less changes nothing; an hour does, either way.
            for (told_now, shown) in [(10 * HOUR + 300, 10 * HOUR), (11 * HOUR, 11 * HOUR), (9 * HOUR, 9 * HOUR)] {
                told.store(told_now, Ordering::SeqCst);
                sleep(PERIOD).await;
                let passed = i64::try_from(began.elapsed().as_millis()).expect("a short test");
                assert_eq!(clock.now(), Timestamp::from_millis(shown + passed));
            }
        };
        tokio::select! {
            () = clock.follow(ask) => {}
            () = check => {}
        }
    }
}
