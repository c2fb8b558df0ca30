//! `expired`, `busy` and `abandoned`. A store may hold other sessions too; these tests look at their own.

use super::material::{Driver, Store, TTL, at, driven, opened_by, owner, sandbox, session_id};
use lockkeeper_domain::{SessionId, SessionRecord, Timestamp};
use lockkeeper_ports::RecordChange;

const ALL: usize = 1_000_000;

async fn expired(store: &Store, before: Timestamp, own: &[&SessionId]) -> Vec<SessionId> {
    let found = store.expired(before, ALL).await.unwrap();
    found.into_iter().filter(|id| own.contains(&id)).collect()
}

async fn is_expired(store: &Store, driver: &Driver, before: i64) -> bool {
    !expired(store, at(before), &[&driver.id]).await.is_empty()
}

async fn is_abandoned(store: &Store, driver: &Driver, now: i64) -> bool {
    store.abandoned(at(now), ALL).await.unwrap().contains(&driver.id)
}

fn busy(busy: bool) -> RecordChange {
    RecordChange { busy: Some(busy), ..RecordChange::default() }
}

fn with_sandbox() -> RecordChange {
    RecordChange { sandbox: Some(Some(sandbox("s"))), ..RecordChange::default() }
}

/// See the name.
pub async fn only_idle_sessions_with_a_sandbox_expire(store: Store) {
    let mut driver = driven(&store).await;
    assert!(!is_expired(&store, &driver, 100).await);
    driver.change(with_sandbox()).await;
    assert!(is_expired(&store, &driver, 100).await);
    driver.change(busy(true)).await;
    assert!(!is_expired(&store, &driver, 100).await);
    driver.change(busy(false)).await;
    assert!(is_expired(&store, &driver, 100).await);
    // Another sandbox is a sandbox.
    driver.change(RecordChange { sandbox: Some(Some(sandbox("other"))), ..RecordChange::default() }).await;
    assert!(is_expired(&store, &driver, 100).await);
    driver.change(RecordChange { sandbox: Some(None), ..RecordChange::default() }).await;
    assert!(!is_expired(&store, &driver, 100).await);
    driver.change(RecordChange { busy: Some(true), ..with_sandbox() }).await;
    assert!(!is_expired(&store, &driver, 100).await);
    driver.change(RecordChange { sandbox: Some(None), ..busy(false) }).await;
    assert!(!is_expired(&store, &driver, 100).await);
}

/// See the name.
pub async fn expiry_goes_by_the_last_use(store: Store) {
    let mut driver = driven(&store).await;
    driver.change(with_sandbox()).await;
    assert!(!is_expired(&store, &driver, 0).await, "last active at that time, not before it");
    assert!(is_expired(&store, &driver, 1).await);
    store.touch(&driver.id, at(10)).await.unwrap();
    assert!(!is_expired(&store, &driver, 10).await);
    assert!(is_expired(&store, &driver, 11).await);
    driver.change(RecordChange { last_active_at: Some(at(20)), ..RecordChange::default() }).await;
    assert!(!is_expired(&store, &driver, 20).await);
    assert!(is_expired(&store, &driver, 21).await);
    // A touch while it is busy counts when it is idle again.
    driver.change(busy(true)).await;
    store.touch(&driver.id, at(30)).await.unwrap();
    driver.change(busy(false)).await;
    assert!(!is_expired(&store, &driver, 30).await);
    assert!(is_expired(&store, &driver, 31).await);
}

/// A session expires whether or not somebody holds a lease on it.
pub async fn a_lease_does_not_keep_a_session_from_expiring(store: Store) {
    let mut driver = driven(&store).await;
    driver.change(with_sandbox()).await;
    assert!(is_expired(&store, &driver, 1).await);
    store.release(&driver.id, driver.epoch).await.unwrap();
    assert!(is_expired(&store, &driver, 1).await);
}

/// See the name.
pub async fn the_longest_idle_come_first(store: Store) {
    let mut drivers = Vec::new();
    for secs in [30, 10, 40, 20] {
        let record = opened_by(&store, owner(), at(secs)).await;
        let mut driver = Driver::claim(&store, &record.id, "d", at(0)).await;
        driver.change(with_sandbox()).await;
        drivers.push(driver);
    }
    let own: Vec<&SessionId> = drivers.iter().map(|driver| &driver.id).collect();
    let order = |found: Vec<SessionId>| -> Vec<usize> {
        found.iter().map(|id| own.iter().position(|own| *own == id).unwrap()).collect()
    };
    assert_eq!(order(expired(&store, at(100), &own).await), [1, 3, 0, 2]);
    assert_eq!(order(expired(&store, at(30), &own).await), [1, 3]);
    store.touch(&drivers[1].id, at(50)).await.unwrap();
    assert_eq!(order(expired(&store, at(100), &own).await), [3, 0, 2, 1]);
}

/// See the name.
pub async fn a_limit_holds_for_expired_sessions(store: Store) {
    for _ in 0..4 {
        driven(&store).await.change(with_sandbox()).await;
    }
    for limit in 0..=4 {
        assert_eq!(store.expired(at(100), limit).await.unwrap().len(), limit);
    }
}

/// See the name.
pub async fn busy_sessions_that_nobody_holds_are_abandoned(store: Store) {
    let mut driver = driven(&store).await;
    assert!(!is_abandoned(&store, &driver, 100).await, "it is not busy");
    driver.change(busy(true)).await;
    assert!(!is_abandoned(&store, &driver, 29).await, "it is held");
    assert!(is_abandoned(&store, &driver, 31).await);
    store.renew(&driver.id, driver.epoch, at(31), TTL).await.unwrap();
    assert!(!is_abandoned(&store, &driver, 60).await);
    assert!(is_abandoned(&store, &driver, 62).await);

    let mut next = Driver::claim(&store, &driver.id, "next", at(62)).await;
    assert!(!is_abandoned(&store, &driver, 91).await);
    assert!(is_abandoned(&store, &driver, 93).await);
    // A release by somebody who has nothing to release changes nothing.
    store.release(&driver.id, driver.epoch).await.unwrap();
    assert!(!is_abandoned(&store, &driver, 63).await);
    store.release(&driver.id, next.epoch).await.unwrap();
    assert!(is_abandoned(&store, &driver, 63).await);

    next = Driver::claim(&store, &driver.id, "next", at(63)).await;
    assert!(!is_abandoned(&store, &driver, 64).await);
    next.change(busy(false)).await;
    store.release(&driver.id, next.epoch).await.unwrap();
    assert!(!is_abandoned(&store, &driver, 1_000).await);
}

/// See the name.
pub async fn a_session_may_be_abandoned_from_its_first_moment(store: Store) {
    let mut record = SessionRecord::opened(session_id(), owner(), None, at(0));
    record.busy = true;
    record.sandbox = Some(sandbox("s"));
    store.create(&record).await.unwrap();
    assert!(store.abandoned(at(0), ALL).await.unwrap().contains(&record.id));
    assert!(!store.expired(at(100), ALL).await.unwrap().contains(&record.id));
    store.delete(&record.id, at(0)).await.unwrap();
    assert!(!store.abandoned(at(0), ALL).await.unwrap().contains(&record.id));
}

/// See the name.
pub async fn a_limit_holds_for_abandoned_sessions(store: Store) {
    for _ in 0..4 {
        driven(&store).await.change(busy(true)).await;
    }
    for limit in 0..=4 {
        assert_eq!(store.abandoned(at(31), limit).await.unwrap().len(), limit);
    }
}

/// See the name.
pub async fn busy_sessions_are_found_whoever_holds_them(store: Store) {
    let is_found = async |id: &SessionId| store.busy(ALL).await.unwrap().contains(id);
    let mut driver = driven(&store).await;
    assert!(!is_found(&driver.id).await);
    driver.change(busy(true)).await;
    assert!(is_found(&driver.id).await, "it is held");
    store.release(&driver.id, driver.epoch).await.unwrap();
    assert!(is_found(&driver.id).await, "nobody holds it");
    for limit in 0..=1 {
        assert_eq!(store.busy(limit).await.unwrap().len(), limit);
    }
    let mut driver = Driver::claim(&store, &driver.id, "next", at(40)).await;
    driver.change(busy(false)).await;
    assert!(!is_found(&driver.id).await);
}
