//! `Fenced`: what an owner that lost its lease can no longer do.

use super::commits::full_step;
use super::material::{Driver, Store, TTL, assert_fenced, at, driven, session_id};
use lockkeeper_domain::{Epoch, Seq, SessionState};
use lockkeeper_ports::RecordChange;

/// Nothing that `old` may try does anything.
async fn assert_powerless(store: &Store, old: &Driver) {
    let before = old.stored().await;
    let mut old = old.clone();
    assert_fenced(&store.commit(&old.id, &full_step(&old)).await);
    // Not with the right number either, nor without events.
    old.last = before.last.seq;
    assert_fenced(&store.commit(&old.id, &full_step(&old)).await);
    assert_fenced(&store.commit(&old.id, &old.step(0)).await);
    assert_fenced(&store.renew(&old.id, old.epoch, at(1), TTL).await);
    assert_fenced(&store.trim(&old.id, old.epoch, Seq::new(1)).await);
    store.release(&old.id, old.epoch).await.unwrap();
    assert_eq!(old.stored().await, before);
}

/// An owner with two events, which its checkpoint accounts for, so that a trim would do something.
async fn with_checkpoint(store: &Store) -> Driver {
    let mut driver = driven(store).await;
    driver.write(2).await;
    let checkpoint = Some((SessionState::default(), Seq::new(2)));
    driver.change(RecordChange { checkpoint, ..RecordChange::default() }).await;
    driver
}

/// See the name.
pub async fn an_owner_is_fenced_by_the_next_claim(store: Store) {
    let old = with_checkpoint(&store).await;
    let mut new = Driver::claim(&store, &old.id, "other", at(31)).await;
    assert_powerless(&store, &old).await;
    new.write(2).await;
    assert_powerless(&store, &old).await;
}

/// See the name.
pub async fn an_owner_is_fenced_by_its_own_next_claim(store: Store) {
    let old = with_checkpoint(&store).await;
    let mut new = Driver::claim(&store, &old.id, "driver", at(1)).await;
    assert_powerless(&store, &old).await;
    new.write(2).await;
}

/// See the name.
pub async fn an_owner_is_fenced_by_its_release(store: Store) {
    let old = with_checkpoint(&store).await;
    store.release(&old.id, old.epoch).await.unwrap();
    assert_powerless(&store, &old).await;
    let mut new = Driver::claim(&store, &old.id, "other", at(1)).await;
    assert_powerless(&store, &old).await;
    store.release(&new.id, new.epoch).await.unwrap();
    assert_powerless(&store, &old).await;
    assert_powerless(&store, &new).await;
    new = Driver::claim(&store, &old.id, "driver", at(2)).await;
    new.write(1).await;
}

/// See the name.
pub async fn an_epoch_that_was_never_given_is_fenced(store: Store) {
    let mut driver = with_checkpoint(&store).await;
    for epoch in [0, driver.epoch.get() - 1, driver.epoch.get() + 1, u64::MAX].map(Epoch::new) {
        assert_powerless(&store, &Driver { epoch, ..driver.clone() }).await;
    }
    driver.write(1).await;
}

/// See the name.
pub async fn the_epoch_of_another_session_is_fenced(store: Store) {
    let (a, b) = (with_checkpoint(&store).await, with_checkpoint(&store).await);
    if a.epoch != b.epoch {
        assert_powerless(&store, &Driver { epoch: b.epoch, ..a.clone() }).await;
    }
    // Where there is no session there is no lease of this epoch.
    let nowhere = Driver { id: session_id(), last: Seq::new(0), ..a };
    assert_powerless(&store, &nowhere).await;
}

/// See the name.
pub async fn a_session_that_was_deleted_fences_its_owner(store: Store) {
    let mut old = with_checkpoint(&store).await;
    store.delete(&old.id, at(31)).await.unwrap();
    old.last = Seq::new(0);
    assert_powerless(&store, &old).await;
}
