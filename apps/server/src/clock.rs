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
/// How often it is looked whether the machine was suspended.
const TICK: Duration = Duration::from_secs(1);
/// Up to here a difference is the way's, and not a clock's.
const TOLERANCE: Duration = Duration::from_millis(500);

impl StoreClock {
    /// A clock that shows `told` now.
    pub(crate) fn start(told: Timestamp) -> Self {
        Self { told: Mutex::new((told, Instant::now())) }
    }

    /// Asks the store again and again. `machine` only tells that the machine was suspended: then the store is asked at once.
    pub(crate) async fn follow<F: Future<Output = Result<Timestamp, StoreError>>>(
        &self,
        ask: impl Fn() -> F,
        machine: &impl Clock,
    ) {
        loop {
            until_due(machine).await;
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

/// Waits for a period, or until the machine's clock and the one that stands while it is suspended have come apart.
async fn until_due(machine: &impl Clock) {
    let (began, shown) = (Instant::now(), machine.now());
    while began.elapsed() < PERIOD {
        sleep(TICK).await;
        let counted = shown.after(began.elapsed());
        let now = machine.now();
        if now.since(counted).max(counted.since(now)) > TOLERANCE {
            return;
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
        let machine = Machine::started();
        tokio::select! {
            () = clock.follow(ask, &machine) => {}
            () = check => {}
        }
    }

    /// A machine's clock, and how many milliseconds the machine was suspended.
    #[derive(Debug)]
    struct Machine(Instant, AtomicI64);

    impl Machine {
        fn started() -> Self {
            Self(Instant::now(), AtomicI64::new(0))
        }

        fn suspended(&self) -> Duration {
            Duration::from_millis(self.1.load(Ordering::SeqCst).unsigned_abs())
        }
    }

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0).after(self.0.elapsed() + self.suspended())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn store_is_asked_soon_after_the_machine_was_suspended() {
        let start = Timestamp::from_millis(0);
        let (clock, machine, began) = (StoreClock::start(start), Machine::started(), Instant::now());
        let ask = || std::future::ready(Ok(start.after(began.elapsed() + machine.suspended())));
        let check = async {
            sleep(Duration::from_secs(5)).await;
            machine.1.store(3_600_000, Ordering::SeqCst);
            sleep(TICK * 2).await;
            assert_eq!(clock.now(), start.after(began.elapsed() + machine.suspended()));
        };
        tokio::select! {
            () = clock.follow(ask, &machine) => {}
            () = check => {}
        }
    }
}
