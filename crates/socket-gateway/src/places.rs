//! How many connections: of an address, of a principal, and in all.

use crate::{Config, rates::Rates};
use lockkeeper_domain::{Code, PrincipalId};
use lockkeeper_orchestrator::network;
use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// The connections that there are, and their limits.
#[derive(Clone, Debug)]
pub(crate) struct Connections {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    limits: Config,
    /// How fast connections come from each address.
    arrivals: Rates<IpAddr>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    addresses: HashMap<IpAddr, usize>,
    principals: HashMap<PrincipalId, usize>,
}

/// Why there is no place.
pub(crate) type NoPlace = (Code, &'static str);

impl Connections {
    pub(crate) fn new(limits: Config) -> Self {
        let arrivals = Rates::new(limits.connection_burst, limits.connections_per_sec);
        Self { shared: Arc::new(Shared { limits, arrivals, counts: Mutex::default() }) }
    }

    /// A place for a connection from `address`. It is free again when it is dropped.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Arc<Place>, NoPlace> {
        let limits = &self.shared.limits;
        let address = network(address);
        if !self.shared.arrivals.take(&address) {
            return Err((Code::RateLimited, "Too many new connections from this address; wait a moment."));
        }
        let mut counts = self.shared.counts();
        let open = counts.addresses.get(&address).copied().unwrap_or_default();
        if open >= limits.max_connections_per_address {
            return Err((Code::RateLimited, "This address has as many connections as are allowed."));
        }
        if counts.all >= limits.max_connections {
            return Err((Code::Busy, "The server has as many connections as are allowed."));
        }
        counts.addresses.insert(address, open + 1);
        counts.all += 1;
        Ok(Arc::new(self.place(Of::Address(address))))
    }

    /// A place among the connections of `principal`. It is free again when it is dropped.
    pub(crate) fn seat(&self, principal: &PrincipalId) -> Result<Place, NoPlace> {
        let mut counts = self.shared.counts();
        let open = counts.principals.entry(principal.clone()).or_default();
        if *open >= self.shared.limits.max_connections_per_principal {
            return Err((Code::RateLimited, "You have as many connections as are allowed; close one of them."));
        }
        *open += 1;
        Ok(self.place(Of::Principal(principal.clone())))
    }

    fn place(&self, of: Of) -> Place {
        Place {
            shared: Arc::clone(&self.shared),
            of,
            greeted: AtomicBool::new(false),
            released: AtomicBool::new(false),
        }
    }

    /// How many connections there are, and how many of them belong to principals.
    pub(crate) fn open(&self) -> (usize, usize) {
        let counts = self.shared.counts();
        (counts.all, counts.principals.values().sum())
    }
}

impl Shared {
    /// The counts stay right even when a panic passed by: nothing between a lock and its release can panic half-way.
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
    of: Of,
    greeted: AtomicBool,
    released: AtomicBool,
}

#[derive(Debug)]
enum Of {
    Address(IpAddr),
    Principal(PrincipalId),
}

impl Place {
    /// Whether this is the first handshake of the connection. A connection that was disconnected stays open for as long as
    /// its client likes, so that handshakes over it would pass every limit of connections by.
    pub(crate) fn greets_first(&self) -> bool {
        !self.greeted.swap(true, Ordering::Relaxed)
    }

    /// Frees the place before it is dropped: its connection has ended, and its transport is being closed.
    pub(crate) fn release(&self) {
        if self.released.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut counts = self.shared.counts();
        match &self.of {
            Of::Address(address) => {
                counts.all -= 1;
                leave(&mut counts.addresses, address);
            }
            Of::Principal(principal) => leave(&mut counts.principals, principal),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.release();
    }
}

fn leave<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::advance;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn limits() -> Config {
        Config {
            max_connections: 3,
            max_connections_per_address: 2,
            max_connections_per_principal: 1,
            ..Config::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_limited_per_address_and_in_all() {
        let connections = Connections::new(limits());
        let (a, b) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = connections.admit(a).expect("room");
        let _second = connections.admit(a).expect("room");
        assert_eq!(connections.admit(a).map_err(|(code, _)| code).err(), Some(Code::RateLimited));
        let _third = connections.admit(b).expect("room");
        assert_eq!(connections.admit(b).map_err(|(code, _)| code).err(), Some(Code::Busy));
        drop(first);
        let _fourth = connections.admit(b).expect("room again");
        assert_eq!(connections.open(), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_of_connections_from_one_address_is_slowed_down_and_others_are_not() {
        let generous = Config { max_connections: 9_999, max_connections_per_address: 9_999, ..Config::default() };
        let connections = Connections::new(generous);
        let storm = (0..500).filter(|_| connections.admit(address("192.0.2.1")).is_ok()).count();
        assert_eq!(storm, 50);
        assert!(connections.admit(address("192.0.2.2")).is_ok());
        advance(Duration::from_secs(1)).await;
        let later = (0..500).filter(|_| connections.admit(address("192.0.2.1")).is_ok()).count();
        assert_eq!(later, 10);
        assert_eq!(connections.open(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_has_one_handshake() {
        let place = Connections::new(limits()).admit(address("192.0.2.1")).expect("room");
        assert_eq!([place.greets_first(), place.greets_first(), place.greets_first()], [true, false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_principal_has_only_so_many_connections() {
        let connections = Connections::new(limits());
        let (alice, bob) = ("alice", "bob");
        let id = |name| PrincipalId::parse(name).expect("valid");
        let seat = connections.seat(&id(alice)).expect("room");
        assert!(connections.seat(&id(alice)).is_err());
        let _bob = connections.seat(&id(bob)).expect("room");
        drop(seat);
        let _again = connections.seat(&id(alice)).expect("room again");
        assert_eq!(connections.open(), (0, 2));
    }

    #[test]
    fn hosts_of_one_ipv6_network_are_one_address() {
        assert_eq!(network(address("2001:db8:1:2::1")), network(address("2001:db8:1:2:ffff::9")));
        assert_ne!(network(address("2001:db8:1:2::1")), network(address("2001:db8:1:3::1")));
        assert_eq!(network(address("::ffff:192.0.2.1")), address("192.0.2.1"));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_addresses_are_forgotten() {
        let connections = Connections::new(Config::default());
        for host in 0..3_000_u32 {
            drop(connections.admit(IpAddr::V4((0x0a00_0000 + host).into())));
            advance(Duration::from_millis(200)).await;
        }
        assert_eq!(connections.shared.counts().addresses.len(), 0);
        assert!(connections.shared.arrivals.known() <= 1_100);
    }
}
