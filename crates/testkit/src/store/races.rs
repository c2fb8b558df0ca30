//! What holds when many do something at once.

use super::material::{Driver, Store, TTL, at, driven, messages, opened, opened_by, owner, read_all, session_id};
use futures::future::join_all;
use lockkeeper_domain::{Epoch, Event, Seq, SessionId, SessionRecord};
use lockkeeper_ports::{Commit, HistoryChange, StoreError};
use std::collections::HashSet;
use tokio::task::JoinSet;

/// See the name.
pub async fn of_many_creates_one_makes_the_session(store: Store) {
    let id = session_id();
    let creates = (0..8).map(|_| {
        let (store, record) = (store.clone(), SessionRecord::opened(id.clone(), owner(), None, at(0)));
        async move { store.create(&record).await.map(|()| record) }
    });
    let results = join_all(creates).await;
    let mut made: Vec<_> = results.into_iter().filter_map(Result::ok).collect();
    assert_eq!(made.len(), 1);
    assert_eq!(store.get(&id).await.unwrap(), made.pop());
}

/// See the name.
pub async fn of_many_claims_one_succeeds(store: Store) {
    let record = opened(&store).await;
    for round in 0..4 {
        let now = at(round * 31);
        let claims = (0..16).map(|holder| {
            let (store, id) = (store.clone(), record.id.clone());
            async move { store.claim(&id, &format!("holder {holder}"), now, TTL).await }
        });
        let results = join_all(claims).await;
        let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(won.len(), 1);
        for result in &results {
            match result {
                Ok(_) => {}
                Err(StoreError::Held { holder, .. }) => assert_eq!(*holder, won[0].lease.holder),
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

/// Writes until it has written `writes` commits, and takes the session back each time that it was taken.
async fn contend(store: Store, id: SessionId, holder: &'static str, writes: usize) -> Vec<Event> {
    let mut acknowledged = Vec::new();
    let mut now = 0;
    let mut driver: Option<Driver> = None;
    for written in 0.. {
        if acknowledged.len() >= 2 * writes {
            break;
        }
        // It sees the other's lease as long run out, and contends even when it was left alone.
        now += 1_000_000;
        let mut current = match driver.take().filter(|_| written % 5 != 0) {
            Some(driver) => driver,
            None => match store.claim(&id, holder, at(now), TTL).await {
                Ok(claim) => {
                    Driver { store: store.clone(), id: id.clone(), epoch: claim.lease.epoch, last: claim.last.seq }
                }
                Err(StoreError::Held { .. }) => continue,
                Err(other) => panic!("{other:?}"),
            },
        };
        let step = current.step(2);
        match current.commit(&step).await {
            Ok(_) => {
                acknowledged.extend(step.events);
                driver = Some(current);
            }
            Err(StoreError::Fenced) => {}
            Err(other) => panic!("{other:?}"),
        }
        tokio::task::yield_now().await;
    }
    acknowledged
}

/// Two that each believe themselves the owner, and take the session from each other.
pub async fn two_owners_never_write_the_same_number(store: Store) {
    let record = opened(&store).await;
    let mut owners = JoinSet::new();
    for holder in ["a", "b"] {
        owners.spawn(contend(store.clone(), record.id.clone(), holder, 60));
    }
    let mut acknowledged: Vec<_> = owners.join_all().await.into_iter().flatten().collect();
    acknowledged.sort_by_key(|event| event.id.seq);
    let log = read_all(&store, &record.id).await;
    assert_eq!(log, acknowledged, "the log is what was acknowledged, each number once");
    assert!(log.windows(2).all(|pair| pair[0].id.epoch <= pair[1].id.epoch), "a stale epoch wrote after a newer one");
    let epochs: HashSet<Epoch> = log.iter().map(|event| event.id.epoch).collect();
    assert!(epochs.len() > 2, "they did take it from each other");
}

/// See the name.
pub async fn sixty_four_sessions_are_written_at_once(store: Store) {
    const SESSIONS: usize = 64;
    let mut tasks = JoinSet::new();
    for _ in 0..SESSIONS {
        let store = store.clone();
        tasks.spawn(async move {
            let mut driver = driven(&store).await;
            let mut events = Vec::new();
            for count in [1, 3, 2, 1, 4] {
                events.extend(driver.write(count).await);
            }
            (driver, events)
        });
    }
    let done = tasks.join_all().await;
    let ids: HashSet<_> = done.iter().map(|(driver, _)| driver.id.clone()).collect();
    assert_eq!(ids.len(), SESSIONS);
    for (driver, events) in done {
        assert_eq!(read_all(&store, &driver.id).await, events);
    }
}

/// What is refused beside them does no harm to commits that are written at the same time.
pub async fn refused_commits_harm_no_others(store: Store) {
    let mut tasks = JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        tasks.spawn(async move {
            let mut driver = driven(&store).await;
            let stale = Epoch::new(driver.epoch.get() + 1_000_000);
            for _ in 0..10 {
                let elsewhere = Driver { last: Seq::new(driver.last.get() + 5), ..driver.clone() };
                let fenced = Driver { epoch: stale, ..driver.clone() };
                let (good, bad, worse) = (driver.step(1), fenced.step(1), elsewhere.step(1));
                let record = SessionRecord::opened(driver.id.clone(), owner(), None, at(0));
                let (fenced, conflict, exists, written) = tokio::join!(
                    store.commit(&driver.id, &bad),
                    store.commit(&driver.id, &worse),
                    store.create(&record),
                    store.commit(&driver.id, &good),
                );
                written.unwrap();
                assert!(matches!(fenced, Err(StoreError::Fenced)), "{fenced:?}");
                assert!(matches!(conflict, Err(StoreError::Conflict { .. })), "{conflict:?}");
                assert!(matches!(exists, Err(StoreError::AlreadyExists)), "{exists:?}");
                driver.last = good.events[0].id.seq;
            }
            assert_eq!(driver.stored().await.events.len(), 10);
        });
    }
    tasks.join_all().await;
}

/// See the name.
pub async fn readers_see_whole_commits_only(store: Store) {
    const STEPS: u64 = 40;
    let mut driver = driven(&store).await;
    let (reader, id) = (store.clone(), driver.id.clone());
    let read = async move {
        loop {
            let events = read_all(&reader, &id).await.len();
            assert_eq!(events % 3, 0, "{events} events");
            let history = reader.history(&id).await.unwrap().len();
            assert_eq!(history % 3, 0, "{history} messages");
            let last = reader.last(&id).await.unwrap().seq.get();
            assert_eq!(last % 3, 0, "the log ends at {last}");
            if last == 3 * STEPS {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut readers = JoinSet::new();
    readers.spawn(read);
    for step in 0..STEPS {
        let history = HistoryChange::Slide { append: messages(3 * step..3 * step + 3), drop_front: 0 };
        let step = Commit { history: Some(history), ..driver.step(3) };
        driver.commit(&step).await.unwrap();
    }
    readers.join_all().await;
}

/// See the name.
pub async fn touches_at_once_keep_the_latest(store: Store) {
    let record = opened_by(&store, owner(), at(0)).await;
    let touches = [5, 9, 1, 7, 9, 3].map(|secs| {
        let (store, id) = (store.clone(), record.id.clone());
        async move { store.touch(&id, at(secs)).await.unwrap() }
    });
    join_all(touches).await;
    assert_eq!(store.get(&record.id).await.unwrap().unwrap().last_active_at, at(9));
}
