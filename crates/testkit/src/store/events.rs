//! `EventLog`: reading and trimming.

use super::material::{Driver, Store, at, driven, next, next_item, opened, read_all, seqs, session_id};
use lockkeeper_domain::{Event, EventId, Seq, SessionState};
use lockkeeper_ports::{RecordChange, StoreError};

/// See the name.
pub async fn a_read_gives_what_follows_a_number(store: Store) {
    let mut driver = driven(&store).await;
    let events = driver.write(6).await;
    for (after, limit, expected) in [
        (0, 100, &events[..]),
        (0, 6, &events[..]),
        (0, 2, &events[..2]),
        (2, 3, &events[2..5]),
        (5, 1, &events[5..]),
        (6, 10, &[][..]),
        (7, 10, &[][..]),
        (u64::MAX, 10, &[][..]),
        (0, 0, &[][..]),
        (3, usize::MAX, &events[3..]),
    ] {
        let read = store.read(&driver.id, Seq::new(after), limit).await.unwrap();
        assert_eq!(read, expected, "after {after}, at most {limit}");
    }
}

/// See the name.
pub async fn a_log_without_events_is_empty(store: Store) {
    for id in [opened(&store).await.id, session_id()] {
        assert!(read_all(&store, &id).await.is_empty());
        assert!(store.read(&id, Seq::new(5), 10).await.unwrap().is_empty());
        assert_eq!(store.last(&id).await.unwrap(), EventId::default());
    }
}

/// See the name.
pub async fn the_last_event_names_its_writer(store: Store) {
    let mut driver = driven(&store).await;
    let first = driver.write(2).await;
    assert_eq!(store.last(&driver.id).await.unwrap(), first[1].id);
    let mut next = Driver::claim(&store, &driver.id, "other", at(31)).await;
    // A claim is no event.
    assert_eq!(store.last(&driver.id).await.unwrap(), first[1].id);
    let second = next.write(1).await;
    assert_eq!(store.last(&driver.id).await.unwrap(), second[0].id);
    assert_eq!(second[0].id, EventId { epoch: next.epoch, seq: Seq::new(3) });
    assert_eq!(read_all(&store, &driver.id).await, [first, second].concat());
}

/// Six events, and a checkpoint.
async fn six(store: &Store, checkpoint: u64) -> (Driver, Vec<Event>) {
    let mut driver = driven(store).await;
    let events = driver.write(6).await;
    let checkpoint = Some((SessionState::default(), Seq::new(checkpoint)));
    driver.change(RecordChange { checkpoint, ..RecordChange::default() }).await;
    (driver, events)
}

/// Nothing up to `through` is kept, and all after it is.
async fn assert_trimmed(store: &Store, driver: &Driver, through: u64, events: &[Event]) {
    for after in 0..through {
        for limit in [1, 100] {
            match store.read(&driver.id, Seq::new(after), limit).await {
                Err(StoreError::Trimmed(trimmed)) => assert_eq!(trimmed.get(), through),
                other => panic!("after {after}: {other:?}"),
            }
        }
    }
    let kept: Vec<Event> = events.iter().filter(|event| event.id.seq.get() > through).cloned().collect();
    assert_eq!(store.read(&driver.id, Seq::new(through), 100).await.unwrap(), kept);
    assert_eq!(store.last(&driver.id).await.unwrap(), events.last().unwrap().id);
}

/// See the name.
pub async fn a_trim_drops_the_front_and_keeps_the_numbers(store: Store) {
    let (mut driver, mut events) = six(&store, 6).await;
    store.trim(&driver.id, driver.epoch, Seq::new(2)).await.unwrap();
    assert_trimmed(&store, &driver, 2, &events).await;
    events.extend(driver.write(2).await);
    assert_trimmed(&store, &driver, 2, &events).await;
    assert_eq!(seqs(&store.read(&driver.id, Seq::new(5), 100).await.unwrap()), [6, 7, 8]);
}

/// See the name.
pub async fn a_trim_is_idempotent_and_never_undone(store: Store) {
    let (driver, events) = six(&store, 6).await;
    for through in [3, 3, 1, 0] {
        store.trim(&driver.id, driver.epoch, Seq::new(through)).await.unwrap();
        assert_trimmed(&store, &driver, 3, &events).await;
    }
    store.trim(&driver.id, driver.epoch, Seq::new(4)).await.unwrap();
    assert_trimmed(&store, &driver, 4, &events).await;
}

/// See the name.
pub async fn a_trim_keeps_what_the_checkpoint_does_not_account_for(store: Store) {
    let (mut driver, events) = six(&store, 4).await;
    for through in [5, 6, 100, u64::MAX] {
        store.trim(&driver.id, driver.epoch, Seq::new(through)).await.unwrap();
        assert_trimmed(&store, &driver, 4, &events).await;
    }
    let checkpoint = Some((SessionState::default(), Seq::new(5)));
    driver.change(RecordChange { checkpoint, ..RecordChange::default() }).await;
    store.trim(&driver.id, driver.epoch, Seq::new(6)).await.unwrap();
    assert_trimmed(&store, &driver, 5, &events).await;
}

/// See the name.
pub async fn without_a_checkpoint_nothing_is_trimmed(store: Store) {
    let (driver, events) = six(&store, 0).await;
    store.trim(&driver.id, driver.epoch, Seq::new(6)).await.unwrap();
    assert_eq!(read_all(&store, &driver.id).await, events);
}

/// See the name.
pub async fn a_log_that_was_trimmed_to_its_end_goes_on(store: Store) {
    let (mut driver, mut events) = six(&store, 6).await;
    store.trim(&driver.id, driver.epoch, Seq::new(6)).await.unwrap();
    assert_trimmed(&store, &driver, 6, &events).await;
    let claim = store.claim(&driver.id, "driver", at(1), super::material::TTL).await.unwrap();
    assert_eq!(claim.last, events[5].id);
    driver.epoch = claim.lease.epoch;
    events.extend(driver.write(2).await);
    assert_trimmed(&store, &driver, 6, &events).await;
}

/// See the name.
pub async fn a_follower_is_told_that_its_place_was_trimmed(store: Store) {
    let (mut driver, events) = six(&store, 6).await;
    store.trim(&driver.id, driver.epoch, Seq::new(3)).await.unwrap();
    for after in [0, 2] {
        let mut stream = store.follow(&driver.id, Seq::new(after)).await.unwrap();
        match next_item(&mut stream).await {
            Some(Err(StoreError::Trimmed(through))) => assert_eq!(through.get(), 3),
            other => panic!("{other:?}"),
        }
        assert!(next_item(&mut stream).await.is_none());
    }
    let mut stream = store.follow(&driver.id, Seq::new(3)).await.unwrap();
    assert_eq!(next(&mut stream, 3).await, events[3..]);
    let more = driver.write(1).await;
    assert_eq!(next(&mut stream, 1).await, more);
}

/// See the name.
pub async fn a_trim_does_not_disturb_who_is_past_it(store: Store) {
    let (mut driver, events) = six(&store, 6).await;
    let mut stream = store.follow(&driver.id, Seq::new(0)).await.unwrap();
    assert_eq!(next(&mut stream, 6).await, events);
    store.trim(&driver.id, driver.epoch, Seq::new(6)).await.unwrap();
    let more = driver.write(2).await;
    assert_eq!(next(&mut stream, 2).await, more);
}
