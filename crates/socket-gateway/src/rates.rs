//! How fast: so many at once, then so many per second. The counting is `governor`'s, by tokio's time.

use crate::Config;
use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed, keyed::HashMapStateStore},
};
use lockkeeper_domain::{Code, PrincipalId};
use lockkeeper_orchestrator::network;
use std::{
    fmt,
    hash::Hash,
    net::IpAddr,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};
use tokio::time::Instant;

/// Why something is too much at the moment.
pub(crate) type TooMuch = (Code, &'static str);

/// Tokio's time, which tests can pause; `governor` counts from where it starts.
#[derive(Clone, Debug)]
struct TokioTime(Instant);

impl Clock for TokioTime {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Limiter<K, S> = RateLimiter<K, S, TokioTime, NoOpMiddleware<Duration>>;

fn quota(burst: u32, per_sec: u32) -> Quota {
    let at_least_one = |n: u32| NonZeroU32::new(n).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(at_least_one(per_sec)).allow_burst(at_least_one(burst))
}

/// The rate of one thing.
pub(crate) struct Rate(Limiter<NotKeyed, InMemoryState>);

impl Rate {
    /// So many at once, then so many per second.
    pub(crate) fn new(burst: u32, per_sec: u32) -> Self {
        Self(RateLimiter::new(quota(burst, per_sec), InMemoryState::default(), TokioTime(Instant::now())))
    }

    /// Takes one, if there is one left.
    pub(crate) fn take(&self) -> bool {
        self.0.check().is_ok()
    }
}

/// The same rate for each of many.
pub(crate) struct Rates<K: Hash + Eq + Clone> {
    limiter: Limiter<K, HashMapStateStore<K>>,
    taken: AtomicU32,
}

impl<K: Hash + Eq + Clone> Rates<K> {
    /// How often those who have been quiet for long enough are forgotten: once in so many takings.
    const SWEEP: u32 = 1_024;

    pub(crate) fn new(burst: u32, per_sec: u32) -> Self {
        let limiter = RateLimiter::new(quota(burst, per_sec), HashMapStateStore::default(), TokioTime(Instant::now()));
        Self { limiter, taken: AtomicU32::new(0) }
    }

    /// Takes one of this one's, if there is one left.
    pub(crate) fn take(&self, whose: &K) -> bool {
        if self.taken.fetch_add(1, Ordering::Relaxed) % Self::SWEEP == Self::SWEEP - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(whose).is_ok()
    }

    #[cfg(test)]
    pub(crate) fn known(&self) -> usize {
        self.limiter.len()
    }
}

impl fmt::Debug for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rate")
    }
}

impl<K: Hash + Eq + Clone> fmt::Debug for Rates<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rates")
    }
}

/// How many events connections may send that share something: their principal, their address, the server.
#[derive(Debug)]
pub(crate) struct EventRates {
    principals: Rates<PrincipalId>,
    addresses: Rates<IpAddr>,
    all: Rate,
}

impl EventRates {
    pub(crate) fn new(limits: &Config) -> Self {
        Self {
            principals: Rates::new(limits.event_burst_per_principal, limits.events_per_sec_per_principal),
            addresses: Rates::new(limits.event_burst_per_address, limits.events_per_sec_per_address),
            all: Rate::new(limits.event_burst_in_all, limits.events_per_sec_in_all),
        }
    }

    /// Takes an event of a connection from `address`, by whom as far as that is known.
    pub(crate) fn take(&self, address: IpAddr, principal: Option<&PrincipalId>) -> Result<(), TooMuch> {
        // Who sends too much is told first, and takes nothing from the others.
        if !principal.is_none_or(|principal| self.principals.take(principal)) {
            return Err((Code::RateLimited, "Too many events over all of your connections; wait a moment."));
        }
        if !self.addresses.take(&network(address)) {
            return Err((Code::RateLimited, "Too many events from this address; wait a moment."));
        }
        if !self.all.take() {
            return Err((Code::Busy, "The server has more events than it takes at once; wait a moment."));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn a_rate_gives_its_burst_and_then_so_many_per_second() {
        let rate = Rate::new(3, 2);
        let taken = |n: usize| (0..n).filter(|_| rate.take()).count();
        assert_eq!(taken(10), 3);
        advance(Duration::from_secs(1)).await;
        assert_eq!(taken(10), 2);
        advance(Duration::from_hours(1)).await;
        assert_eq!(taken(10), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn each_has_a_rate_of_its_own_and_who_is_quiet_is_forgotten() {
        let rates = Rates::new(2, 1);
        assert!(rates.take(&0) && rates.take(&0) && !rates.take(&0));
        assert!(rates.take(&1));
        for n in 0..50_000_u32 {
            rates.take(&n);
            advance(Duration::from_millis(100)).await;
        }
        assert!(rates.known() <= 1_100, "{} are remembered", rates.known());
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_limited_per_principal_per_address_and_in_all() {
        let limits = Config {
            event_burst_per_principal: 2,
            event_burst_per_address: 3,
            event_burst_in_all: 5,
            ..Config::default()
        };
        let rates = EventRates::new(&limits);
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let [ann, bob, eve] = ["ann", "bob", "eve"].map(|name| PrincipalId::parse(name).expect("an id"));
        let code = |taken: Result<(), TooMuch>| taken.err().map(|(code, _)| code);
        let (limited, busy) = (Some(Code::RateLimited), Some(Code::Busy));
        assert_eq!([(); 3].map(|()| code(rates.take(address(1), Some(&ann)))), [None, None, limited]);
        assert_eq!(code(rates.take(address(2), Some(&ann))), limited, "wherever she is");
        assert_eq!(code(rates.take(address(1), Some(&bob))), None);
        assert_eq!(code(rates.take(address(1), Some(&bob))), limited, "the address has sent enough");
        // Of five in all three are taken, and two more are.
        assert_eq!([(); 3].map(|()| code(rates.take(address(3), None))), [None, None, busy]);
        advance(Duration::from_secs(1)).await;
        assert_eq!(code(rates.take(address(4), Some(&eve))), None);
    }
}
