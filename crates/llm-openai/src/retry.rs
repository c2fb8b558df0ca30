//! When a request is tried again.

use crate::config::Config;
use std::time::Duration;

/// The pauses between tries: full jitter, as AWS describes it, and never less than what the server asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    base: Duration,
    max: Duration,
    attempts: u32,
}

impl Backoff {
    pub(crate) fn new(config: &Config) -> Self {
        let (base, max) = (Duration::from_millis(config.retry_base_ms), Duration::from_millis(config.retry_max_ms));
        Self { base, max, attempts: config.max_attempts }
    }

    /// The pause after the `failed`-th try, from 1; none when there is to be no other. `chance` is between 0 and 1.
    pub(crate) fn pause(&self, failed: u32, hint: Option<Duration>, chance: f64) -> Option<Duration> {
        if failed >= self.attempts || hint.is_some_and(|hint| hint > self.max) {
            return None;
        }
        let doubled = self.base.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
        let jitter = |upper: Duration| upper.mul_f64(chance.clamp(0.0, 1.0));
        Some(match hint {
            // Everybody got the same hint.
            Some(hint) => hint + jitter(self.base.min(self.max)),
            None => jitter(doubled.min(self.max)),
        })
    }
}

/// A number between 0 and 1; the middle where the system has no randomness to give.
pub(crate) fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(failed: u32, hint_ms: Option<u64>, expected_ms: Option<u64>) {
        let backoff = Backoff::new(&Config::default());
        let pause = backoff.pause(failed, hint_ms.map(Duration::from_millis), 1.0);
        assert_eq!(pause, expected_ms.map(Duration::from_millis), "after {failed} with {hint_ms:?}");
    }

    #[test]
    fn the_upper_end_of_the_pause_doubles() {
        check(1, None, Some(500));
        check(2, None, Some(1_000));
        check(3, None, None);
        let patient = Backoff::new(&Config { max_attempts: u32::MAX, ..Config::default() });
        assert_eq!(patient.pause(1_000, None, 1.0), Some(Duration::from_secs(30)));
        assert_eq!(patient.pause(1_000, None, 0.0), Some(Duration::ZERO));
    }

    #[test]
    fn a_hint_is_waited_for_or_there_is_no_other_try() {
        check(1, Some(4_000), Some(4_500));
        check(1, Some(30_000), Some(30_500));
        check(1, Some(30_001), None);
        check(3, Some(1), None);
    }

    #[test]
    fn chance_stays_between_its_ends() {
        assert!((0..1_000).map(|_| chance()).all(|chance| (0.0..=1.0).contains(&chance)));
    }
}
