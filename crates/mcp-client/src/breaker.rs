use crate::Config;
use std::time::Duration;
use tokio::time::Instant;

/// Holds a server back that does not start, so that not every new session waits for it in vain.
#[derive(Debug)]
pub(crate) struct Breaker {
    max: u32,
    rest: Duration,
    /// Starts that failed since the last one that did not.
    failures: u32,
    /// Until when no start is tried.
    open_until: Option<Instant>,
}

impl Breaker {
    pub(crate) fn new(config: &Config) -> Self {
        Self { max: config.breaker_failures, rest: config.breaker(), failures: 0, open_until: None }
    }

    /// Whether a start may be tried now; else how long it is still held back. Once the time is over it is one start at a time
    /// that is tried: whoever asks while that one is under way is held back as if it had failed.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.open_until {
            Some(until) if now < until => Err(until - now),
            Some(_) => {
                self.open_until = Some(now + self.rest);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// How long the server is still held back.
    pub(crate) fn held_back(&self, now: Instant) -> Option<Duration> {
        self.open_until.and_then(|until| until.checked_duration_since(now)).filter(|rest| !rest.is_zero())
    }

    /// A start succeeded.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
        self.open_until = None;
    }

    /// A start failed. Says whether the server is held back from now on and was not before.
    pub(crate) fn failed(&mut self, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.max == 0 || self.failures < self.max {
            return false;
        }
        self.open_until.replace(now + self.rest).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_hold_a_server_back_and_one_start_at_a_time_is_tried_again() {
        let mut breaker = Breaker::new(&Config::default());
        let start = Instant::now();
        for _ in 0..4 {
            assert!(!breaker.failed(start));
        }
        assert_eq!(breaker.admit(start), Ok(()));
        assert!(breaker.failed(start), "the fifth holds it back");
        assert_eq!(breaker.admit(start), Err(Duration::from_secs(30)));
        let later = start + Duration::from_secs(30);
        assert_eq!((breaker.held_back(later), breaker.admit(later)), (None, Ok(())));
        assert!(breaker.admit(later).is_err(), "the trial is under way");
        assert!(!breaker.failed(later), "it was held back before");
        assert_eq!(breaker.held_back(later), Some(Duration::from_secs(30)));
        breaker.succeeded();
        assert_eq!((breaker.held_back(later), breaker.admit(later)), (None, Ok(())));
        assert!(!breaker.failed(later), "it counts from nothing again");
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed_and_zero_never_opens_it() {
        let (now, config) = (Instant::now(), Config { breaker_failures: 2, ..Config::default() });
        let mut breaker = Breaker::new(&config);
        for _ in 0..10 {
            assert!(!breaker.failed(now));
            breaker.succeeded();
        }
        let mut never = Breaker::new(&Config { breaker_failures: 0, ..config });
        assert!((0..100).all(|_| !never.failed(now)));
        assert_eq!(never.admit(now), Ok(()));
    }
}
