//! `SessionRepository`: leases.

use super::material::{Driver, Store, TTL, assert_fenced, at, driven, opened, session_id};
use lockkeeper_domain::{Lease, Timestamp};
use lockkeeper_ports::{Claim, StoreError};
use std::time::Duration;

fn millis(secs: i64, millis: i64) -> Timestamp {
    Timestamp::from_millis(at(secs).as_millis() + millis)
}

#[track_caller]
fn assert_held(result: &Result<Claim, StoreError>, by: &str, end: Timestamp) {
    match result {
        Err(StoreError::Held { holder, until }) => assert_eq!((holder.as_str(), *until), (by, end)),
        other => panic!("{other:?}"),
    }
}

/// See the name.
pub async fn a_claim_gives_lease_record_and_end_of_log(store: Store) {
    let record = opened(&store).await;
    let claim = store.claim(&record.id, "ä-1", at(5), TTL).await.unwrap();
    let Lease { holder, epoch, expires_at } = claim.lease.clone();
    assert_eq!((holder.as_str(), expires_at), ("ä-1", at(35)));
    assert!(epoch.get() > 0);
    assert_eq!(claim.record, record);
    assert_eq!(claim.last.seq.get(), 0);

    let mut driver = Driver { store: store.clone(), id: record.id.clone(), epoch, last: claim.last.seq };
    let events = driver.write(3).await;
    let again = store.claim(&record.id, "b", at(40), TTL).await.unwrap();
    assert_eq!(again.last, events[2].id);
    assert_eq!(again.record, record);
}

/// See the name.
pub async fn a_claim_of_nothing_is_not_found(store: Store) {
    assert!(matches!(store.claim(&session_id(), "a", at(0), TTL).await, Err(StoreError::NotFound)));
}

/// See the name.
pub async fn a_held_lease_is_refused_to_others(store: Store) {
    let mut driver = driven(&store).await;
    for now in [at(0), at(1), millis(30, -1)] {
        assert_held(&store.claim(&driver.id, "other", now, TTL).await, "driver", at(30));
    }
    driver.write(1).await;
}

/// See the name.
pub async fn a_lease_that_ran_out_can_be_claimed(store: Store) {
    let mut old = driven(&store).await;
    old.write(2).await;
    let mut new = Driver::claim(&store, &old.id, "other", millis(30, 1)).await;
    assert!(new.epoch > old.epoch);
    assert_fenced(&store.commit(&old.id, &old.step(1)).await);
    new.write(1).await;
}

/// See the name.
pub async fn the_same_holder_claims_again_with_a_new_epoch(store: Store) {
    let first = driven(&store).await;
    let claim = store.claim(&first.id, "driver", at(10), TTL).await.unwrap();
    assert!(claim.lease.epoch > first.epoch);
    assert_eq!(claim.lease.expires_at, at(40));
    assert_fenced(&store.commit(&first.id, &first.step(1)).await);
    assert_held(&store.claim(&first.id, "other", at(39), TTL).await, "driver", at(40));
}

/// See the name.
pub async fn epochs_only_rise(store: Store) {
    let record = opened(&store).await;
    let mut highest = 0;
    for round in 0..8 {
        let holder = format!("holder {}", round % 3);
        let claim = store.claim(&record.id, &holder, at(round * 31), TTL).await.unwrap();
        assert!(claim.lease.epoch.get() > highest);
        highest = claim.lease.epoch.get();
        if round % 2 == 0 {
            store.release(&record.id, claim.lease.epoch).await.unwrap();
        }
    }
}

/// See the name.
pub async fn a_renewed_lease_lasts_from_then(store: Store) {
    let mut driver = driven(&store).await;
    store.renew(&driver.id, driver.epoch, at(20), TTL).await.unwrap();
    assert_held(&store.claim(&driver.id, "other", at(45), TTL).await, "driver", at(50));
    // A renewal says when the lease ends, and that may be sooner.
    store.renew(&driver.id, driver.epoch, at(21), Duration::from_secs(2)).await.unwrap();
    assert_held(&store.claim(&driver.id, "other", at(22), TTL).await, "driver", at(23));
    driver.write(1).await;
    store.claim(&driver.id, "other", at(24), TTL).await.unwrap();
}

/// See the name.
pub async fn a_lease_that_ran_out_unclaimed_still_works(store: Store) {
    let mut driver = driven(&store).await;
    // Somebody looks at a later time, but nobody claims.
    store.abandoned(at(100), 10).await.unwrap();
    driver.write(1).await;
    store.renew(&driver.id, driver.epoch, at(100), TTL).await.unwrap();
    assert_held(&store.claim(&driver.id, "other", at(129), TTL).await, "driver", at(130));
    driver.write(1).await;
}

/// See the name.
pub async fn a_stale_epoch_cannot_renew(store: Store) {
    let old = driven(&store).await;
    let mut new = Driver::claim(&store, &old.id, "other", at(31)).await;
    assert_fenced(&store.renew(&old.id, old.epoch, at(31), TTL).await);
    assert_fenced(&store.renew(&old.id, old.epoch, at(1_000), TTL).await);
    assert_fenced(&store.renew(&session_id(), old.epoch, at(31), TTL).await);
    new.write(1).await;
}

/// See the name.
pub async fn a_released_lease_is_free_at_once(store: Store) {
    let mut old = driven(&store).await;
    old.write(1).await;
    store.release(&old.id, old.epoch).await.unwrap();
    let mut new = Driver::claim(&store, &old.id, "other", at(1)).await;
    assert!(new.epoch > old.epoch);
    new.write(1).await;
}

/// See the name.
pub async fn a_release_is_idempotent(store: Store) {
    let driver = driven(&store).await;
    for _ in 0..2 {
        store.release(&driver.id, driver.epoch).await.unwrap();
    }
    store.release(&session_id(), driver.epoch).await.unwrap();
}

/// See the name.
pub async fn a_stale_release_changes_nothing(store: Store) {
    let old = driven(&store).await;
    let mut new = Driver::claim(&store, &old.id, "other", at(31)).await;
    store.release(&old.id, old.epoch).await.unwrap();
    assert_held(&store.claim(&old.id, "third", at(32), TTL).await, "other", at(61));
    new.write(1).await;
}

/// See the name.
pub async fn leases_of_sessions_are_apart(store: Store) {
    let (mut a, b) = (driven(&store).await, driven(&store).await);
    store.release(&b.id, b.epoch).await.unwrap();
    a.write(1).await;
    assert_held(&store.claim(&a.id, "other", at(1), TTL).await, "driver", at(30));
}
