//! `SessionStore`: the bytes that sessions occupy, and trimming by them.

use super::material::{Driver, Store, at, driven, note, opened, opened_by, owner, session_id};
use lockkeeper_domain::{Message, Seq, SessionState, TurnId, UserMessage};
use lockkeeper_ports::{Commit, HistoryChange, Occupied, OwnerOccupied, RecordChange, StoreError};

const LARGE: usize = 64 << 10;

/// Writes `count` events of 64 KiB each, with a checkpoint at `checkpoint`.
async fn large(store: &Store, count: u64, checkpoint: u64) -> Driver {
    let mut driver = driven(store).await;
    for seq in 1..=count {
        let events = vec![note(driver.epoch, seq, &"x".repeat(LARGE))];
        let step = Commit { events, ..driver.step(0) };
        driver.commit(&step).await.unwrap();
    }
    let checkpoint = Some((SessionState::default(), Seq::new(checkpoint)));
    driver.change(RecordChange { checkpoint, ..RecordChange::default() }).await;
    driver
}

/// See the name.
pub async fn sizes_grow_and_shrink_with_what_is_stored(store: Store) {
    assert_eq!(store.occupied(&session_id()).await.unwrap(), Occupied::default());
    let mut driver = large(&store, 8, 8).await;
    // Redis counts what its allocator gives out, which is up to a quarter more.
    let (least, most) = (8 * LARGE as u64, 11 * LARGE as u64);
    let size = store.occupied(&driver.id).await.unwrap();
    assert!((least..most).contains(&size.log), "{size:?}");
    assert!(store.occupied_in_all().await.unwrap() >= least);

    let text = "y".repeat(2 * LARGE);
    let message = UserMessage { text, attachments: Vec::new(), client_message_id: None, by: owner() };
    let append = vec![Message::User { turn: TurnId::new(1), at: at(1), message }];
    let history = Some(HistoryChange::Slide { append, drop_front: 0 });
    driver.commit(&Commit { history, ..driver.step(1) }).await.unwrap();
    let with_history = store.occupied(&driver.id).await.unwrap();
    assert!(with_history.rest >= size.rest + 2 * LARGE as u64, "{with_history:?}");
    driver.commit(&Commit { history: Some(HistoryChange::Clear), ..driver.step(1) }).await.unwrap();
    assert!(store.occupied(&driver.id).await.unwrap().rest < size.rest + LARGE as u64);

    store.trim(&driver.id, driver.epoch, Seq::new(4)).await.unwrap();
    let trimmed = store.occupied(&driver.id).await.unwrap();
    assert!((least / 2..least * 3 / 4).contains(&trimmed.log), "{trimmed:?}");
    store.release(&driver.id, driver.epoch).await.unwrap();
    store.delete(&driver.id, at(1)).await.unwrap();
    assert_eq!(store.occupied(&driver.id).await.unwrap(), Occupied::default());
}

/// See the name.
pub async fn sizes_of_an_owner_are_a_sum_of_its_own(store: Store) {
    let (ann, bob) = (owner(), owner());
    assert_eq!(store.occupied_by(&ann).await.unwrap(), OwnerOccupied::default());
    let first = opened_by(&store, ann.clone(), at(0)).await;
    opened_by(&store, ann.clone(), at(1)).await;
    opened_by(&store, bob.clone(), at(1)).await;
    let two = store.occupied_by(&ann).await.unwrap();
    assert_eq!((two.sessions, store.occupied_by(&bob).await.unwrap().sessions), (2, 1));
    store.delete(&first.id, at(2)).await.unwrap();
    let one = store.occupied_by(&ann).await.unwrap();
    assert_eq!(one.sessions, 1);
    assert!(one.bytes > 0 && one.bytes < two.bytes, "{one:?} {two:?}");
}

/// See the name.
pub async fn a_trim_to_a_size_keeps_the_newest_events(store: Store) {
    let driver = large(&store, 16, 16).await;
    let most = 8 * LARGE as u64;
    let through = store.trim_to(&driver.id, driver.epoch, most).await.unwrap();
    assert!(store.occupied(&driver.id).await.unwrap().log <= most);
    assert!((8..=12).contains(&through.get()), "{through}");
    let kept = store.read(&driver.id, through, 100).await.unwrap();
    assert_eq!(kept.len() as u64, 16 - through.get());
    let trimmed = store.read(&driver.id, Seq::default(), 1).await;
    assert!(matches!(trimmed, Err(StoreError::Trimmed(found)) if found == through));
    // It fits: nothing more goes.
    assert_eq!(store.trim_to(&driver.id, driver.epoch, most).await.unwrap(), through);
}

/// See the name.
pub async fn a_trim_to_a_size_keeps_what_no_checkpoint_covers(store: Store) {
    let driver = large(&store, 8, 3).await;
    assert_eq!(store.trim_to(&driver.id, driver.epoch, 1).await.unwrap(), Seq::new(3));
    assert_eq!(store.read(&driver.id, Seq::new(3), 100).await.unwrap().len(), 5);
}

/// See the name.
pub async fn a_trim_to_a_size_by_a_stale_owner_is_fenced(store: Store) {
    let driver = driven(&store).await;
    Driver::claim(&store, &driver.id, "other", at(31)).await;
    let trimmed = store.trim_to(&driver.id, driver.epoch, 1).await;
    assert!(matches!(trimmed, Err(StoreError::Fenced)), "{trimmed:?}");
    let free = opened(&store).await;
    let trimmed = store.trim_to(&free.id, driver.epoch, 1).await;
    assert!(matches!(trimmed, Err(StoreError::Fenced)), "{trimmed:?}");
}
