//! `EventLog::follow`.

use super::material::{Driver, Store, assert_silent, at, driven, next, opened, owner, read_all, seqs, session_id};
use futures::future::join_all;
use lockkeeper_domain::{Seq, SessionRecord};

/// See the name.
pub async fn a_follower_gets_what_was_and_what_comes(store: Store) {
    let mut driver = driven(&store).await;
    let old = driver.write(3).await;
    let mut stream = store.follow(&driver.id, Seq::new(0)).await.unwrap();
    assert_eq!(next(&mut stream, 3).await, old);
    for count in [1, 2, 1] {
        let new = driver.write(count).await;
        assert_eq!(next(&mut stream, new.len()).await, new);
    }
    assert_silent(&mut stream).await;
}

/// See the name.
pub async fn a_follower_starts_where_it_says(store: Store) {
    let mut driver = driven(&store).await;
    let old = driver.write(5).await;
    let mut middle = store.follow(&driver.id, Seq::new(3)).await.unwrap();
    let mut end = store.follow(&driver.id, Seq::new(5)).await.unwrap();
    assert_eq!(next(&mut middle, 2).await, old[3..]);
    assert_silent(&mut end).await;
    let new = driver.write(1).await;
    assert_eq!(next(&mut middle, 1).await, new);
    assert_eq!(next(&mut end, 1).await, new);
}

/// A client may know a number that the log has not reached.
pub async fn a_follower_may_wait_beyond_the_end(store: Store) {
    let mut driver = driven(&store).await;
    driver.write(1).await;
    let mut stream = store.follow(&driver.id, Seq::new(3)).await.unwrap();
    assert_silent(&mut stream).await;
    driver.write(2).await;
    assert_silent(&mut stream).await;
    driver.write(2).await;
    assert_eq!(seqs(&next(&mut stream, 2).await), [4, 5]);
}

/// See the name.
pub async fn a_follower_may_come_before_the_first_event(store: Store) {
    let record = opened(&store).await;
    let mut stream = store.follow(&record.id, Seq::new(0)).await.unwrap();
    assert_silent(&mut stream).await;
    let mut driver = Driver::claim(&store, &record.id, "d", at(0)).await;
    let events = driver.write(2).await;
    assert_eq!(next(&mut stream, 2).await, events);
}

/// See the name.
pub async fn a_follower_may_come_before_the_session(store: Store) {
    let id = session_id();
    let mut stream = store.follow(&id, Seq::new(0)).await.unwrap();
    assert_silent(&mut stream).await;
    store.create(&SessionRecord::opened(id.clone(), owner(), None, at(0))).await.unwrap();
    let mut driver = Driver::claim(&store, &id, "d", at(0)).await;
    let events = driver.write(2).await;
    assert_eq!(next(&mut stream, 2).await, events);
}

/// See the name.
pub async fn a_follower_follows_across_a_takeover(store: Store) {
    let mut old = driven(&store).await;
    let mut stream = store.follow(&old.id, Seq::new(0)).await.unwrap();
    let first = old.write(2).await;
    assert_eq!(next(&mut stream, 2).await, first);
    let mut new = Driver::claim(&store, &old.id, "other", at(31)).await;
    assert!(store.commit(&old.id, &old.step(1)).await.is_err());
    let second = new.write(2).await;
    assert_eq!(next(&mut stream, 2).await, second);
    assert_silent(&mut stream).await;
}

/// See the name.
pub async fn a_follower_sees_its_session_only(store: Store) {
    let (mut a, mut b) = (driven(&store).await, driven(&store).await);
    let mut stream = store.follow(&a.id, Seq::new(0)).await.unwrap();
    b.write(3).await;
    assert_silent(&mut stream).await;
    let events = a.write(1).await;
    b.write(1).await;
    assert_eq!(next(&mut stream, 1).await, events);
    assert_silent(&mut stream).await;
}

/// See the name.
pub async fn refused_and_repeated_commits_are_not_followed(store: Store) {
    let mut driver = driven(&store).await;
    let mut stream = store.follow(&driver.id, Seq::new(0)).await.unwrap();
    let step = driver.step(2);
    driver.commit(&step).await.unwrap();
    driver.commit(&step).await.unwrap();
    let elsewhere = Driver { last: Seq::new(7), ..driver.clone() };
    assert!(store.commit(&driver.id, &elsewhere.step(1)).await.is_err());
    store.commit(&driver.id, &driver.step(0)).await.unwrap();
    assert_eq!(next(&mut stream, 2).await, step.events);
    assert_silent(&mut stream).await;
}

/// See the name.
pub async fn a_slow_follower_misses_nothing(store: Store) {
    let mut driver = driven(&store).await;
    let mut stream = store.follow(&driver.id, Seq::new(0)).await.unwrap();
    let mut events = driver.write(1).await;
    assert_eq!(next(&mut stream, 1).await, events);
    for _ in 0..40 {
        events.extend(driver.write(25).await);
    }
    let rest = next(&mut stream, 1_000).await;
    assert_eq!(rest, events[1..]);
    assert_silent(&mut stream).await;
}

/// See the name.
pub async fn large_events_are_followed(store: Store) {
    let mut driver = driven(&store).await;
    let mut stream = store.follow(&driver.id, Seq::new(0)).await.unwrap();
    let mut step = driver.step(4);
    for event in &mut step.events {
        *event = super::material::note(driver.epoch, event.id.seq.get(), &"x".repeat(1 << 20));
    }
    driver.commit(&step).await.unwrap();
    assert_eq!(next(&mut stream, 4).await, step.events);
    let new = driver.write(1).await;
    assert_eq!(next(&mut stream, 1).await, new);
}

/// Followers that come at any moment of a busy log see all of it: no gap between what was and what comes.
pub async fn followers_of_a_busy_log_miss_nothing(store: Store) {
    const EVENTS: usize = 300;
    let mut driver = driven(&store).await;
    let id = driver.id.clone();
    let writer = async {
        for count in [1, 2, 3].into_iter().cycle().take(EVENTS / 2) {
            driver.write(count).await;
        }
    };
    let followers = (0..8).map(|late| {
        let (store, id) = (store.clone(), id.clone());
        async move {
            let mut trigger = store.follow(&id, Seq::new(0)).await.unwrap();
            next(&mut trigger, late * 10).await;
            let mut tail = store.follow(&id, Seq::new(late as u64 * 10)).await.unwrap();
            let mut all = store.follow(&id, Seq::new(0)).await.unwrap();
            let (tail, all) = tokio::join!(next(&mut tail, EVENTS - late * 10), next(&mut all, EVENTS));
            assert_eq!(tail, all[late * 10..]);
            all
        }
    });
    let ((), seen) = tokio::join!(writer, join_all(followers));
    let log = read_all(&store, &id).await;
    for events in seen {
        assert_eq!(events, log[..EVENTS]);
    }
}

/// See the name.
pub async fn a_follower_that_went_is_missed_by_nobody(store: Store) {
    let mut driver = driven(&store).await;
    let mut stays = store.follow(&driver.id, Seq::new(0)).await.unwrap();
    let mut goes = store.follow(&driver.id, Seq::new(0)).await.unwrap();
    let first = driver.write(1).await;
    assert_eq!(next(&mut goes, 1).await, first);
    drop(goes);
    let second = driver.write(1).await;
    assert_eq!(next(&mut stays, 2).await, [first, second].concat());
    drop(stays);
    driver.write(1).await;
    let mut again = store.follow(&driver.id, Seq::new(0)).await.unwrap();
    assert_eq!(seqs(&next(&mut again, 3).await), [1, 2, 3]);
}
