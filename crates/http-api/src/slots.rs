//! The connections that speak HTTP: how many there are, of each address and in all, and which one has to go.
//!
//! A connection that waits for its peer (for a head, for a body, for a response to be read) can be closed in favour of a
//! new one; a connection whose request is being handled cannot. So slow peers cost themselves, and not those who come later.

use crate::Config;
use lockkeeper_orchestrator::network;
use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio_util::sync::CancellationToken;

/// All connections. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    limits: Limits,
    table: Arc<Mutex<Table>>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    all: usize,
    of_address: usize,
    reserved: usize,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    taken: HashMap<u64, Taken>,
    addresses: HashMap<IpAddr, usize>,
    ordinary: usize,
    reserved: usize,
}

#[derive(Debug)]
struct Taken {
    address: IpAddr,
    reserved: bool,
    counted: bool,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    busy: AtomicBool,
    evicted: CancellationToken,
}

/// The slot of a connection, which is free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    id: u64,
    reserved: bool,
    table: Arc<Mutex<Table>>,
    activity: Activity,
}

/// Whether a connection's request is being handled. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Arc<State>);

impl Activity {
    /// The server works on the request now: its connection is not closed for others.
    pub(crate) fn works(&self) {
        self.0.busy.store(true, Ordering::Relaxed);
    }

    /// The connection waits for its peer.
    pub(crate) fn waits(&self) {
        self.0.busy.store(false, Ordering::Relaxed);
    }
}

impl Slots {
    pub(crate) fn new(config: &Config) -> Self {
        let limits = Limits {
            all: config.max_connections,
            of_address: config.max_connections_per_address,
            reserved: config.reserved_connections,
        };
        Self { limits, table: Arc::default() }
    }

    /// Returns a slot for a connection from `address`. Where there is no room, the oldest connection that waits for its peer
    /// is closed: of the same address if that has its share, else of any. If all are busy, the slot is one of the reserve.
    /// `shared`: the address is a proxy's, which has no share of its own.
    pub(crate) fn take(&self, address: IpAddr, shared: bool) -> Slot {
        let (limits, address, mut table) = (self.limits, network(address), lock(&self.table));
        let has_share = !shared && table.addresses.get(&address).is_some_and(|count| *count >= limits.of_address);
        let of_same = |taken: &Taken| taken.counted && taken.address == address;
        let fits = if has_share {
            table.evict(of_same)
        } else {
            table.ordinary < limits.all || table.evict(|taken: &Taken| !taken.reserved)
        };
        let reserved = !fits;
        if reserved && table.reserved >= limits.reserved && !table.evict(|taken| taken.reserved) {
            table.evict_oldest_reserved();
        }
        let (id, state) = (table.next, Arc::new(State::default()));
        table.next += 1;
        let counted = !reserved && !shared;
        if counted {
            *table.addresses.entry(address).or_default() += 1;
        }
        if reserved {
            table.reserved += 1;
        } else {
            table.ordinary += 1;
        }
        table.taken.insert(id, Taken { address, reserved, counted, state: Arc::clone(&state) });
        Slot { id, reserved, table: Arc::clone(&self.table), activity: Activity(state) }
    }
}

impl Table {
    /// Closes the oldest connection that `may` go and waits for its peer. Returns whether there was one.
    fn evict(&mut self, may: impl Fn(&Taken) -> bool) -> bool {
        let idle = |taken: &Taken| !taken.state.busy.load(Ordering::Relaxed);
        let found = self.taken.iter().filter(|(_, taken)| may(taken) && idle(taken)).map(|(id, _)| *id).min();
        found.is_some_and(|id| self.close(id))
    }

    fn evict_oldest_reserved(&mut self) {
        if let Some(id) = self.taken.iter().filter(|(_, taken)| taken.reserved).map(|(id, _)| *id).min() {
            self.close(id);
        }
    }

    fn close(&mut self, id: u64) -> bool {
        let Some(taken) = self.taken.remove(&id) else { return false };
        taken.state.evicted.cancel();
        if taken.reserved {
            self.reserved -= 1;
        } else {
            self.ordinary -= 1;
        }
        if taken.counted
            && let Some(count) = self.addresses.get_mut(&taken.address)
        {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&taken.address);
            }
        }
        true
    }
}

impl Slot {
    /// Whether only health checks are answered here.
    pub(crate) fn is_reserved(&self) -> bool {
        self.reserved
    }

    pub(crate) fn activity(&self) -> Activity {
        self.activity.clone()
    }

    /// Is cancelled when the connection has to go.
    pub(crate) fn evicted(&self) -> CancellationToken {
        self.activity.0.evicted.clone()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.table).close(self.id);
    }
}

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> Slots {
        let config =
            Config { max_connections: 4, max_connections_per_address: 2, reserved_connections: 1, ..Config::default() };
        Slots::new(&config)
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    /// Covers: S1-4
    #[test]
    fn address_at_its_limit_loses_its_oldest_idle_one() {
        let slots = slots();
        let (other, first, second) =
            (slots.take(address(2), false), slots.take(address(1), false), slots.take(address(1), false));
        first.activity().works();
        let third = slots.take(address(1), false);
        assert!(!third.is_reserved());
        let evicted = [&other, &first, &second, &third].map(|slot| slot.evicted().is_cancelled());
        assert_eq!(evicted, [false, false, true, false]);
        first.activity().waits();
        let _fourth = slots.take(address(1), false);
        assert!(first.evicted().is_cancelled());
    }

    /// Covers: S1-4
    #[test]
    fn full_server_keeps_a_reserve_for_health_checks() {
        let slots = slots();
        let taken: Vec<_> = (0..4).map(|last| slots.take(address(last), false)).collect();
        for slot in &taken {
            slot.activity().works();
        }
        let probe = slots.take(address(9), false);
        assert!(probe.is_reserved() && !probe.evicted().is_cancelled());
        probe.activity().works();
        let next = slots.take(address(10), false);
        assert!(next.is_reserved() && probe.evicted().is_cancelled());
        assert!(taken.iter().all(|slot| !slot.evicted().is_cancelled()));
        drop((probe, taken));
        assert!(!slots.take(address(9), false).is_reserved());
    }

    #[test]
    fn proxy_has_no_share_of_its_own_and_counts_in_all() {
        let slots = slots();
        let taken: Vec<_> = (0..4).map(|_| slots.take(address(1), true)).collect();
        assert!(taken.iter().all(|slot| !slot.is_reserved() && !slot.evicted().is_cancelled()));
        let _more = slots.take(address(1), true);
        assert_eq!(taken.iter().filter(|slot| slot.evicted().is_cancelled()).count(), 1);
        drop(taken);
        assert_eq!(lock(&slots.table).ordinary, 1);
    }
}
