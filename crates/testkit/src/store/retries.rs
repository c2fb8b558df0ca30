//! `SessionStore::commit`: the same one again.

use super::commits::full_step;
use super::material::{Driver, Store, at, driven};
use lockkeeper_domain::{Seq, SessionState};
use lockkeeper_ports::{Commit, Committed, RecordChange, StoreError};

/// See the name.
pub async fn a_commit_that_was_written_is_known(store: Store) {
    let mut driver = driven(&store).await;
    let step = full_step(&driver);
    assert_eq!(driver.commit(&step).await.unwrap(), Committed::Written);
    let before = driver.stored().await;
    for _ in 0..3 {
        assert_eq!(store.commit(&driver.id, &step).await.unwrap(), Committed::Before);
        assert_eq!(driver.stored().await, before);
    }
    driver.write(1).await;
}

/// See the name.
pub async fn it_is_known_after_later_ones(store: Store) {
    let mut driver = driven(&store).await;
    let first = full_step(&driver);
    driver.commit(&first).await.unwrap();
    let second = full_step(&driver);
    driver.commit(&second).await.unwrap();
    driver.change(RecordChange { busy: Some(false), ..RecordChange::default() }).await;
    let before = driver.stored().await;
    assert_eq!(store.commit(&driver.id, &first).await.unwrap(), Committed::Before);
    assert_eq!(store.commit(&driver.id, &second).await.unwrap(), Committed::Before);
    assert_eq!(driver.stored().await, before);
}

/// See the name.
pub async fn it_is_known_after_its_lease_ran_out(store: Store) {
    let mut driver = driven(&store).await;
    let step = full_step(&driver);
    driver.commit(&step).await.unwrap();
    store.abandoned(at(1_000), 10).await.unwrap();
    assert_eq!(store.commit(&driver.id, &step).await.unwrap(), Committed::Before);
}

/// A fenced owner must not act on what it wrote: its successor has read that.
pub async fn after_a_takeover_it_changes_nothing(store: Store) {
    let mut old = driven(&store).await;
    let step = full_step(&old);
    old.commit(&step).await.unwrap();
    let mut new = Driver::claim(&store, &old.id, "other", at(31)).await;
    new.write(1).await;
    let before = old.stored().await;
    let result = store.commit(&old.id, &step).await;
    assert!(matches!(result, Ok(Committed::Superseded)), "{result:?}");
    assert_eq!(old.stored().await, before);
    store.release(&new.id, new.epoch).await.unwrap();
    let result = store.commit(&old.id, &step).await;
    assert!(matches!(result, Ok(Committed::Superseded)), "{result:?}");
}

/// The next owner's events are not the first one's, though all else is equal.
pub async fn the_same_events_of_another_epoch_are_others(store: Store) {
    let mut old = driven(&store).await;
    let start = old.last;
    old.write(2).await;
    let new = Driver { last: start, ..Driver::claim(&store, &old.id, "other", at(31)).await };
    let before = new.stored().await;
    let result = store.commit(&new.id, &new.step(2)).await;
    assert!(matches!(result, Err(StoreError::Conflict { .. })), "{result:?}");
    assert_eq!(new.stored().await, before);
}

/// See the name.
pub async fn other_events_under_the_same_numbers_conflict(store: Store) {
    let mut driver = driven(&store).await;
    let step = full_step(&driver);
    driver.commit(&step).await.unwrap();
    let before = driver.stored().await;
    for changed in 0..3 {
        let mut other = step.clone();
        other.events[changed].at = at(55);
        match store.commit(&driver.id, &other).await {
            Err(StoreError::Conflict { expected, found }) => assert_eq!((expected.get(), found.get()), (0, 3)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(driver.stored().await, before);
}

/// See the name.
pub async fn a_commit_that_the_log_holds_in_part_conflicts(store: Store) {
    let mut driver = driven(&store).await;
    let longer = full_step(&driver);
    let shorter = Commit { events: longer.events[..2].to_vec(), ..longer.clone() };
    driver.commit(&shorter).await.unwrap();
    let before = driver.stored().await;
    let result = store.commit(&driver.id, &longer).await;
    assert!(matches!(result, Err(StoreError::Conflict { .. })), "{result:?}");
    assert_eq!(driver.stored().await, before);
    // The other way round, the log holds them all.
    let first = Commit { events: longer.events[..1].to_vec(), ..longer };
    assert_eq!(store.commit(&driver.id, &first).await.unwrap(), Committed::Before);
}

/// See the name.
pub async fn many_attempts_at_once_write_once(store: Store) {
    let mut driver = driven(&store).await;
    for _ in 0..8 {
        let step = full_step(&driver);
        let attempts = (0..8).map(|_| {
            let (store, id, step) = (store.clone(), driver.id.clone(), step.clone());
            async move { store.commit(&id, &step).await.unwrap() }
        });
        let results = futures::future::join_all(attempts).await;
        assert_eq!(results.iter().filter(|result| **result == Committed::Written).count(), 1, "{results:?}");
        driver.last = step.events[2].id.seq;
    }
    assert_eq!(store.last(&driver.id).await.unwrap().seq, Seq::new(24));
}

/// A trimmed event cannot be compared, so the retry of its commit may be a conflict, but it is never written.
pub async fn a_trimmed_commit_is_not_written_again(store: Store) {
    let mut driver = driven(&store).await;
    let step = full_step(&driver);
    driver.commit(&step).await.unwrap();
    let checkpoint = Some((SessionState::default(), Seq::new(3)));
    driver.change(RecordChange { checkpoint, ..RecordChange::default() }).await;
    store.trim(&driver.id, driver.epoch, Seq::new(2)).await.unwrap();
    let history = store.history(&driver.id).await.unwrap();
    let result = store.commit(&driver.id, &step).await;
    assert!(matches!(result, Ok(Committed::Before) | Err(StoreError::Conflict { .. })), "{result:?}");
    assert_eq!(store.last(&driver.id).await.unwrap().seq, Seq::new(3));
    assert_eq!(store.history(&driver.id).await.unwrap(), history);
}
