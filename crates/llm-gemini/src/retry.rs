//! When a request is sent again.

use std::time::Duration;

/// How often, and after how long, a request is sent again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retry {
    pub(crate) max_retries: u32,
    pub(crate) base: Duration,
    pub(crate) cap: Duration,
    pub(crate) max_hint: Duration,
}

impl Retry {
    /// The pause before attempt `attempt + 1`, the first one being 0; none when no further attempt is allowed.
    /// Full jitter, so that clients that failed together do not come back together; on top of the vendor's `hint`
    /// where it gave one, because it means "not before".
    pub(crate) fn pause(&self, attempt: u32, hint: Option<Duration>) -> Option<Duration> {
        // Without randomness the retries only bunch up.
        self.pause_with(attempt, hint, getrandom::u32().unwrap_or(u32::MAX))
    }

    fn pause_with(&self, attempt: u32, hint: Option<Duration>, random: u32) -> Option<Duration> {
        if attempt >= self.max_retries || hint.is_some_and(|hint| hint > self.max_hint) {
            return None;
        }
        let ceiling = self.base.saturating_mul(2_u32.saturating_pow(attempt)).min(self.cap);
        let jitter = ceiling.mul_f64(f64::from(random) / f64::from(u32::MAX));
        Some(hint.unwrap_or_default() + jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETRY: Retry = Retry {
        max_retries: 5,
        base: Duration::from_millis(500),
        cap: Duration::from_secs(3),
        max_hint: Duration::from_mins(1),
    };

    #[test]
    fn the_pause_is_drawn_below_a_ceiling_that_doubles() {
        let longest = |attempt| RETRY.pause_with(attempt, None, u32::MAX).map(|d| d.as_millis());
        assert_eq!([0, 1, 2, 3, 4].map(longest), [Some(500), Some(1_000), Some(2_000), Some(3_000), Some(3_000)]);
        assert_eq!(RETRY.pause_with(3, None, 0), Some(Duration::ZERO));
        assert!(RETRY.pause(2, None).expect("an attempt is left") <= Duration::from_secs(2));
    }

    #[test]
    fn the_vendors_hint_is_the_least_pause() {
        let hint = Some(Duration::from_secs(7));
        assert_eq!(RETRY.pause_with(0, hint, 0), hint);
        assert_eq!(RETRY.pause_with(0, hint, u32::MAX), Some(Duration::from_millis(7_500)));
    }

    #[test]
    fn attempts_end_and_nobody_waits_longer_than_allowed() {
        assert_eq!(RETRY.pause_with(5, None, 0), None);
        assert_eq!(RETRY.pause_with(0, Some(Duration::from_secs(61)), 0), None);
        let many = Retry { max_retries: u32::MAX, ..RETRY };
        assert_eq!(many.pause_with(u32::MAX - 1, None, u32::MAX), Some(RETRY.cap));
    }
}
