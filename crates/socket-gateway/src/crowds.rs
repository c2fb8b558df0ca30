//! Notices proxies that are not configured: many principals that share one address, whose requests have forwarding headers.

use http::HeaderMap;
use lockkeeper_domain::PrincipalId;
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

/// The crowds that were noticed. Clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowds(Arc<Mutex<HashMap<IpAddr, HashSet<PrincipalId>>>>);

impl Crowds {
    /// How many principals of one address are a crowd.
    const CROWD: usize = 5;
    /// How many addresses are watched.
    const MAX_ADDRESSES: usize = 64;
    const HEADERS: [&str; 2] = ["forwarded", "x-forwarded-for"];

    /// Notes that `principal` came from `address` with these headers. What was believed of them has been removed.
    pub(crate) fn note(&self, address: IpAddr, headers: &HeaderMap, principal: &PrincipalId) {
        if !Self::HEADERS.iter().any(|name| headers.contains_key(*name)) {
            return;
        }
        let mut addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= Self::MAX_ADDRESSES && !addresses.contains_key(&address) {
            return;
        }
        let principals = addresses.entry(address).or_default();
        // The insertion that makes it a crowd is logged, and no other: once for each address.
        if principals.len() < Self::CROWD && principals.insert(principal.clone()) && principals.len() == Self::CROWD {
            tracing::warn!(%address, "{}", Self::ADVICE);
        }
    }

    const ADVICE: &str = "many users share one address that sends forwarding headers; \
        if it is a proxy, add it to server.trusted_proxies, or its users share the limits of one address";

    /// Returns a warning for each crowd.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let crowds = addresses.iter().filter(|(_, principals)| principals.len() >= Self::CROWD);
        crowds.map(|(address, _)| format!("{address}: {}", Self::ADVICE)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers: S1-3
    #[test]
    fn crowd_behind_an_unlisted_proxy_is_a_warning() {
        let crowds = Crowds::default();
        let proxy = IpAddr::from([192, 0, 2, 1]);
        let forwarded =
            HeaderMap::from_iter([(http::HeaderName::from_static("x-forwarded-for"), "a".parse().expect("a value"))]);
        let id = |number| PrincipalId::parse(format!("user-{number}")).expect("an id");
        for number in 0..9 {
            crowds.note(IpAddr::from([192, 0, 2, 2]), &HeaderMap::new(), &id(number));
            crowds.note(IpAddr::from([192, 0, 2, 3]), &forwarded, &id(1));
        }
        assert_eq!(crowds.warnings(), Vec::<String>::new());
        (0..9).for_each(|number| crowds.note(proxy, &forwarded, &id(number)));
        let warnings = crowds.warnings();
        assert!(warnings.len() == 1 && warnings.iter().all(|text| text.starts_with("192.0.2.1: ")), "{warnings:?}");
    }
}
