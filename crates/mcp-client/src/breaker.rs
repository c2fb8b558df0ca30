//! Decides whether one tenant may start one server now. The board keeps one breaker for each tenant.

use std::time::Duration;
use tokio::time::Instant;

/// Holds a server back that fails to start in one tenant's sandboxes.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// Starts that failed since the last one that succeeded.
    failures: u32,
    /// Whether a start succeeded while this breaker was kept.
    has_succeeded: bool,
    /// Until when no start is tried.
    open_until: Option<Instant>,
    /// Whether the one start that is tried after that time is under way.
    is_on_trial: bool,
}

/// The permission to start a server once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The breaker is closed.
    Free,
    /// The breaker is open and this start is its only trial.
    Trial,
}

impl Breaker {
    /// Returns the permission to start, or how long to wait before asking again. An open breaker admits one start at a time
    /// once its time is over; `rest` is what others are told to wait meanwhile.
    pub(crate) fn admit(&mut self, now: Instant, rest: Duration) -> Result<Admission, Duration> {
        match self.open_until {
            None => Ok(Admission::Free),
            Some(until) if now < until => Err(until - now),
            Some(_) if self.is_on_trial => Err(rest),
            Some(_) => {
                self.is_on_trial = true;
                Ok(Admission::Trial)
            }
        }
    }

    /// Returns how long the server is still held back, `None` if it is not.
    pub(crate) fn held_back(&self, now: Instant) -> Option<Duration> {
        self.open_until.and_then(|until| until.checked_duration_since(now)).filter(|rest| !rest.is_zero())
    }

    /// Returns whether failures have opened the breaker and no start has succeeded since.
    pub(crate) fn is_open(&self) -> bool {
        self.open_until.is_some()
    }

    /// Returns whether forgetting this breaker would change nothing but the record of past successes.
    pub(crate) fn is_clean(&self) -> bool {
        self.failures == 0 && self.open_until.is_none()
    }

    pub(crate) fn has_succeeded(&self) -> bool {
        self.has_succeeded
    }

    /// Closes the breaker. Returns whether it was open.
    pub(crate) fn succeeded(&mut self) -> bool {
        let was_open = self.is_open();
        *self = Self { has_succeeded: true, ..Self::default() };
        was_open
    }

    /// Counts a failed start; from the `max`-th in a row on the server is held back for `rest`. Returns whether that opened
    /// the breaker. 0 never opens it.
    pub(crate) fn failed(&mut self, admission: Admission, now: Instant, max: u32, rest: Duration) -> bool {
        self.undecided(admission);
        self.failures = self.failures.saturating_add(1);
        if max == 0 || self.failures < max {
            return false;
        }
        self.open_until.replace(now + rest).is_none()
    }

    /// A start was given up before it came to a result. A trial goes to whoever asks next.
    pub(crate) fn undecided(&mut self, admission: Admission) {
        if admission == Admission::Trial {
            self.is_on_trial = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(30);

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for failure in 1..=5 {
            assert_eq!(breaker.failed(Admission::Free, now, 5, REST), failure == 5, "the fifth opens it");
        }
        breaker
    }

    #[test]
    fn breaker_open_admits_one_trial_at_a_time() {
        let start = Instant::now();
        let mut breaker = opened(start);
        assert_eq!(breaker.admit(start, REST), Err(REST));
        let later = start + REST;
        assert_eq!((breaker.held_back(later), breaker.admit(later, REST)), (None, Ok(Admission::Trial)));
        assert!(breaker.admit(later, REST).is_err(), "the trial is under way");
        assert!(!breaker.failed(Admission::Trial, later, 5, REST), "it was open before");
        assert_eq!(breaker.held_back(later), Some(REST));
        assert!(breaker.succeeded());
        assert_eq!(breaker.admit(later, REST), Ok(Admission::Free));
        assert!(!breaker.failed(Admission::Free, later, 5, REST), "it counts from zero again");
    }

    #[test]
    fn breaker_trial_given_up_goes_to_the_next() {
        let start = Instant::now();
        let mut breaker = opened(start);
        let later = start + REST;
        assert_eq!(breaker.admit(later, REST), Ok(Admission::Trial));
        breaker.undecided(Admission::Free);
        assert!(breaker.admit(later, REST).is_err(), "a start from before it opened does not end the trial");
        breaker.undecided(Admission::Trial);
        assert_eq!(breaker.admit(later, REST), Ok(Admission::Trial));
    }

    #[test]
    fn breaker_success_between_failures_keeps_it_closed() {
        let (now, mut breaker) = (Instant::now(), Breaker::default());
        for _ in 0..10 {
            assert!(!breaker.failed(Admission::Free, now, 2, REST));
            assert!(!breaker.succeeded());
        }
    }

    #[test]
    fn breaker_with_limit_zero_never_opens() {
        let (now, mut never) = (Instant::now(), Breaker::default());
        assert!((0..100).all(|_| !never.failed(Admission::Free, now, 0, REST)));
        assert_eq!(never.admit(now, REST), Ok(Admission::Free));
    }
}
