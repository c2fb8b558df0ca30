//! The starts of one server, counted for each tenant apart, so that a tenant holds the server back only for itself.

use crate::{
    Config,
    breaker::{Admission, Breaker},
};
use lockkeeper_domain::PrincipalId;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};

/// Whose sandbox a server runs in. `None`: one of the pool, which no tenant's code has reached yet.
pub(crate) type Tenant = Option<PrincipalId>;

/// How many rests a tenant is remembered for after its last start.
const REMEMBERED: u32 = 20;

/// The breakers of one server.
#[derive(Debug)]
pub(crate) struct Tenants {
    max_failures: u32,
    rest: Duration,
    /// How many tenants must be held back at once before one failure of another is enough to hold that one back too.
    widespread: usize,
    /// How many tenants are remembered.
    max_kept: usize,
    kept: HashMap<Tenant, Kept>,
}

#[derive(Debug)]
struct Kept {
    breaker: Breaker,
    used: Instant,
    recovery: Recovery,
}

/// How sessions of one tenant get a server back.
#[derive(Clone, Debug)]
pub(crate) struct Recovery {
    /// Changes whenever the server starts again after it was held back.
    pub(crate) recovered: watch::Sender<u64>,
    /// Held while one session tries, so that they do not all start the server at once.
    pub(crate) turn: Arc<Semaphore>,
}

impl Default for Recovery {
    fn default() -> Self {
        Self { recovered: watch::Sender::default(), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Tenants {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            max_failures: config.breaker_failures,
            rest: config.breaker(),
            widespread: config.breaker_tenants,
            max_kept: config.breaker_max_tenants,
            kept: HashMap::new(),
        }
    }

    /// Returns the permission to start the server, or how long this tenant must wait. Only failures of the tenant's own
    /// starts make it wait.
    pub(crate) fn admit(&mut self, tenant: &Tenant, now: Instant) -> Result<Admission, Duration> {
        let rest = self.rest;
        self.kept(tenant, now).breaker.admit(now, rest)
    }

    /// Counts a start that succeeded.
    pub(crate) fn succeeded(&mut self, tenant: &Tenant, now: Instant) {
        let kept = self.kept(tenant, now);
        if kept.breaker.succeeded() {
            kept.recovery.recovered.send_modify(|times| *times += 1);
        }
    }

    /// Counts a start that failed. Returns whether the tenant is held back from now on and was not before.
    pub(crate) fn failed(&mut self, tenant: &Tenant, admission: Admission, now: Instant) -> bool {
        let rest = self.rest;
        let is_widespread = self.is_widespread(tenant);
        let all = self.max_failures;
        let breaker = &mut self.kept(tenant, now).breaker;
        // A tenant for whom the server has worked gets all of its tries, whatever becomes of others.
        let max = if is_widespread && !breaker.has_succeeded() { all.min(1) } else { all };
        breaker.failed(admission, now, max, rest)
    }

    /// A start was given up before it came to a result.
    pub(crate) fn undecided(&mut self, tenant: &Tenant, admission: Admission) {
        if let Some(kept) = self.kept.get_mut(tenant) {
            kept.breaker.undecided(admission);
        }
    }

    pub(crate) fn recovery(&mut self, tenant: &Tenant, now: Instant) -> Recovery {
        self.kept(tenant, now).recovery.clone()
    }

    /// Returns how long the tenant must still wait, `None` if it need not.
    pub(crate) fn held_back(&self, tenant: &Tenant, now: Instant) -> Option<Duration> {
        self.kept.get(tenant)?.breaker.held_back(now)
    }

    /// Returns the longest time that any tenant must still wait.
    pub(crate) fn longest(&self, now: Instant) -> Option<Duration> {
        self.kept.values().filter_map(|kept| kept.breaker.held_back(now)).max()
    }

    /// Returns whether the server fails for so many others, or in sandboxes that no tenant has reached, that it is
    /// probably broken for everybody. A tenant for whom it works disproves that.
    fn is_widespread(&self, tenant: &Tenant) -> bool {
        let mut open = 0;
        for (other, kept) in &self.kept {
            if kept.breaker.is_clean() && kept.breaker.has_succeeded() {
                return false;
            }
            if other != tenant && kept.breaker.is_open() {
                open += if other.is_none() { self.widespread } else { 1 };
            }
        }
        self.widespread > 0 && open >= self.widespread
    }

    fn kept(&mut self, tenant: &Tenant, now: Instant) -> &mut Kept {
        if !self.kept.contains_key(tenant) {
            self.make_room(now);
        }
        let kept = self.kept.entry(tenant.clone()).or_insert_with(|| Kept {
            breaker: Breaker::default(),
            used: now,
            recovery: Recovery::default(),
        });
        kept.used = now;
        kept
    }

    /// Forgets tenants that have not started the server for long, and, if there are still too many, the one whose last
    /// start is longest ago. Forgetting a breaker closes it.
    fn make_room(&mut self, now: Instant) {
        let remembered = self.rest * REMEMBERED;
        if self.kept.len() < self.max_kept {
            return;
        }
        self.kept.retain(|_, kept| now.duration_since(kept.used) < remembered);
        while self.kept.len() >= self.max_kept.max(1) {
            let oldest = self.kept.iter().min_by_key(|(_, kept)| kept.used).map(|(tenant, _)| tenant.clone());
            let Some(oldest) = oldest else { return };
            self.kept.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Tenant {
        PrincipalId::parse(name).ok()
    }

    /// Fails as long as it may. Returns how many starts that took.
    fn exhaust(tenants: &mut Tenants, name: &Tenant, now: Instant) -> usize {
        let mut starts = 0;
        while let Ok(admission) = tenants.admit(name, now) {
            tenants.failed(name, admission, now);
            starts += 1;
            assert!(starts < 1000, "it is never held back");
        }
        starts
    }

    /// Covers: S2-1
    #[test]
    fn tenant_that_fails_leaves_others_unaffected() {
        let (mut tenants, now) = (Tenants::new(&Config::default()), Instant::now());
        let (alice, bob) = (tenant("alice"), tenant("bob"));
        assert_eq!(exhaust(&mut tenants, &alice, now), 5);
        assert_eq!((tenants.admit(&bob, now), tenants.held_back(&bob, now)), (Ok(Admission::Free), None));
        assert_eq!(exhaust(&mut tenants, &bob, now), 5, "bob has all of his own tries");
    }

    /// However many conspire, a start is refused only to a tenant whose own start failed before.
    /// Covers: S2-1
    #[test]
    fn conspirators_never_refuse_the_first_start_of_another() {
        let (mut tenants, now) = (Tenants::new(&Config::default()), Instant::now());
        for n in 0..500 {
            exhaust(&mut tenants, &tenant(&format!("mallory-{n}")), now);
        }
        let (bob, eve) = (tenant("bob"), tenant("eve"));
        let admission = tenants.admit(&bob, now).expect("the first start is free");
        tenants.succeeded(&bob, now);
        assert_eq!(admission, Admission::Free);
        assert_eq!(exhaust(&mut tenants, &eve, now), 5, "it works for bob, so it is not broken");
        assert_eq!(exhaust(&mut tenants, &bob, now), 5);
    }

    #[test]
    fn server_broken_for_several_is_held_back_sooner() {
        let (mut tenants, now) = (Tenants::new(&Config::default()), Instant::now());
        let starts: Vec<_> = (0..6).map(|n| exhaust(&mut tenants, &tenant(&format!("t{n}")), now)).collect();
        assert_eq!(starts, [5, 5, 5, 1, 1, 1]);
    }

    #[test]
    fn server_broken_in_the_pool_is_held_back_sooner() {
        let (mut tenants, now) = (Tenants::new(&Config::default()), Instant::now());
        assert_eq!(exhaust(&mut tenants, &None, now), 5);
        assert_eq!(exhaust(&mut tenants, &tenant("bob"), now), 1);
    }

    #[test]
    fn success_after_holding_back_tells_the_same_tenant() {
        let (mut tenants, now) = (Tenants::new(&Config::default()), Instant::now());
        let (alice, bob) = (tenant("alice"), tenant("bob"));
        exhaust(&mut tenants, &alice, now);
        let told = tenants.recovery(&alice, now).recovered.subscribe();
        tenants.succeeded(&bob, now);
        assert!(!told.has_changed().expect("kept"));
        tenants.succeeded(&alice, now);
        assert!(told.has_changed().expect("kept"));
        assert_eq!(tenants.held_back(&alice, now), None);
    }

    #[test]
    fn tenants_over_the_limit_are_forgotten_oldest_first() {
        let config = Config { breaker_max_tenants: 8, ..Config::default() };
        let (mut tenants, mut now) = (Tenants::new(&config), Instant::now());
        for n in 0..1000 {
            exhaust(&mut tenants, &tenant(&format!("t{n}")), now);
            assert!(tenants.kept.len() <= 8);
            now += Duration::from_millis(1);
        }
        assert!(tenants.held_back(&tenant("t999"), now).is_some());
        assert_eq!(tenants.held_back(&tenant("t0"), now), None);
    }
}
