//! How often an address may do what costs something, or try what it should know.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};
use tokio::time::Instant;

/// A bucket for each address: so many questions or attempts at once, then so many per minute. The addresses that are told apart
/// are bounded.
#[derive(Debug)]
pub struct Budget {
    burst: f64,
    per_min: f64,
    left: HashMap<IpAddr, (f64, Instant)>,
}

impl Budget {
    /// The most addresses that are told apart at a time. Those beyond wait until one has been quiet.
    const ADDRESSES: usize = 4_096;

    /// `burst` at once, `per_min` per minute after that.
    pub fn new(burst: u32, per_min: u32) -> Self {
        Self { burst: burst.into(), per_min: per_min.into(), left: HashMap::new() }
    }

    /// Takes a question of `caller`'s, if there is one left.
    pub fn take(&mut self, caller: IpAddr) -> bool {
        let (caller, now) = (network(caller), Instant::now());
        let (burst, per_min) = (self.burst, self.per_min);
        let refilled =
            |(level, at): (f64, Instant)| (level + now.duration_since(at).as_secs_f64() * per_min / 60.0).min(burst);
        if self.left.len() >= Self::ADDRESSES {
            self.left.retain(|_, bucket| refilled(*bucket) < burst);
        }
        if self.left.len() >= Self::ADDRESSES && !self.left.contains_key(&caller) {
            return false;
        }
        let level = self.left.get(&caller).map_or(burst, |bucket| refilled(*bucket));
        let enough = level >= 1.0;
        self.left.insert(caller, (if enough { level - 1.0 } else { level }, now));
        enough
    }

    /// Gives back what was taken last: it was well spent.
    pub fn give_back(&mut self, caller: IpAddr) {
        if let Some((level, _)) = self.left.get_mut(&network(caller)) {
            *level = (*level + 1.0).min(self.burst);
        }
    }
}

/// Returns what counts as one address: a host of IPv4, a /64 network of IPv6, which is the least that a host gets there.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_a_burst_and_then_so_many_per_minute() {
        let mut budget = Budget::new(2, 30);
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        assert!(budget.take(one) && budget.take(one) && !budget.take(one));
        assert!(budget.take(other), "another address has its own");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(budget.take(one) && !budget.take(one));
        budget.give_back(one);
        assert!(budget.take(one) && !budget.take(one));
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_ipv6_is_one_caller() {
        let mut budget = Budget::new(1, 1);
        assert!(budget.take(address("2001:db8::1")));
        assert!(!budget.take(address("2001:db8::ffff")));
        assert!(budget.take(address("2001:db8:0:1::1")));
    }

    #[tokio::test(start_paused = true)]
    async fn callers_who_were_quiet_are_forgotten_and_the_others_bounded() {
        let mut budget = Budget::new(1, 60);
        for n in 0..u32::try_from(Budget::ADDRESSES).expect("small") {
            assert!(budget.take(IpAddr::V4(n.into())));
        }
        assert!(!budget.take(address("192.0.2.1")), "all places are taken");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(budget.take(address("192.0.2.1")));
        assert_eq!(budget.left.len(), 1);
    }
}
