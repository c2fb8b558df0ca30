//! `SessionRepository`: records.

use super::material::{Driver, Store, TTL, at, messages, opened, opened_by, owner, sandbox, session_id, stored};
use lockkeeper_domain::{EventId, PrincipalId, SessionRecord, SessionTitle};
use lockkeeper_ports::{Commit, HistoryChange, RecordChange, StoreError};

/// See the name.
pub async fn a_created_session_is_read_back(store: Store) {
    let owner = PrincipalId::parse("Zoë Ω 😀 \"quoted\" \\ {brace} : colon").unwrap();
    let mut record = SessionRecord::opened(session_id(), owner, Some("modèle/✓".to_owned()), at(3));
    record.sandbox = Some(sandbox("sandbox ☃"));
    record.busy = true;
    store.create(&record).await.unwrap();
    assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
}

/// See the name.
pub async fn what_was_never_created_is_not_there(store: Store) {
    let id = session_id();
    assert_eq!(store.get(&id).await.unwrap(), None);
    assert!(store.history(&id).await.unwrap().is_empty());
    assert!(stored(&store, &id).await.events.is_empty());
    assert_eq!(store.last(&id).await.unwrap(), EventId::default());
    assert!(store.owned_by(&owner(), 10).await.unwrap().is_empty());
}

/// See the name.
pub async fn a_second_create_is_refused_whoever_asks(store: Store) {
    let record = opened(&store).await;
    for owner in [record.owner.clone(), owner()] {
        let again = SessionRecord::opened(record.id.clone(), owner, Some("other".to_owned()), at(9));
        let result = store.create(&again).await;
        assert!(matches!(result, Err(StoreError::AlreadyExists)), "{result:?}");
    }
    assert_eq!(store.get(&record.id).await.unwrap(), Some(record));
}

/// See the name.
pub async fn a_second_create_disturbs_no_session_in_use(store: Store) {
    let mut driver = super::material::driven(&store).await;
    driver.write(2).await;
    let before = driver.stored().await;
    let again = SessionRecord::opened(driver.id.clone(), owner(), None, at(9));
    assert!(store.create(&again).await.is_err());
    assert_eq!(driver.stored().await, before);
    driver.write(1).await;
}

/// See the name.
pub async fn owned_sessions_come_last_used_first(store: Store) {
    let owner = owner();
    let mut ids = Vec::new();
    for secs in [2, 1, 4, 3] {
        ids.push(opened_by(&store, owner.clone(), at(secs)).await.id);
    }
    opened_by(&store, self::owner(), at(5)).await;
    let order = |records: Vec<SessionRecord>| -> Vec<usize> {
        records.iter().map(|r| ids.iter().position(|id| *id == r.id).unwrap()).collect()
    };
    assert_eq!(order(store.owned_by(&owner, 10).await.unwrap()), [2, 3, 0, 1]);
    assert_eq!(order(store.owned_by(&owner, 2).await.unwrap()), [2, 3]);
    assert!(store.owned_by(&owner, 0).await.unwrap().is_empty());

    store.touch(&ids[1], at(9)).await.unwrap();
    assert_eq!(order(store.owned_by(&owner, 10).await.unwrap()), [1, 2, 3, 0]);
    let mut driver = Driver::claim(&store, &ids[0], "h", at(0)).await;
    driver.change(RecordChange { last_active_at: Some(at(10)), ..RecordChange::default() }).await;
    assert_eq!(order(store.owned_by(&owner, 10).await.unwrap()), [0, 1, 2, 3]);
    assert_eq!(store.owned_by(&owner, 1).await.unwrap()[0].last_active_at, at(10));

    store.delete(&ids[1], at(0)).await.unwrap();
    assert_eq!(order(store.owned_by(&owner, 10).await.unwrap()), [0, 2, 3]);
}

/// An owner's name is not a pattern, and not the beginning of another's.
pub async fn owners_with_similar_names_are_apart(store: Store) {
    let name = owner();
    let longer = PrincipalId::parse(format!("{name}x")).unwrap();
    let star = PrincipalId::parse("*").unwrap();
    let own = opened_by(&store, name.clone(), at(1)).await;
    let other = opened_by(&store, longer.clone(), at(1)).await;
    assert_eq!(store.owned_by(&name, 10).await.unwrap(), [own]);
    assert_eq!(store.owned_by(&longer, 10).await.unwrap(), [other]);
    assert!(store.owned_by(&star, 10).await.unwrap().iter().all(|record| record.owner == star));
}

/// A store may hold other sessions too; this looks at its own.
pub async fn the_latest_sessions_come_first_whoever_owns_them(store: Store) {
    let mut ids = Vec::new();
    for secs in [2, 1, 4, 3] {
        ids.push(opened_by(&store, owner(), at(secs)).await.id);
    }
    let order = |records: Vec<SessionRecord>| -> Vec<usize> {
        records.iter().filter_map(|record| ids.iter().position(|id| *id == record.id)).collect()
    };
    assert_eq!(order(store.latest(1_000_000).await.unwrap()), [2, 3, 0, 1]);
    store.touch(&ids[1], at(9)).await.unwrap();
    assert_eq!(order(store.latest(1_000_000).await.unwrap()), [1, 2, 3, 0]);
    store.delete(&ids[2], at(10)).await.unwrap();
    assert_eq!(order(store.latest(1_000_000).await.unwrap()), [1, 3, 0]);
    for limit in 0..=3 {
        assert_eq!(store.latest(limit).await.unwrap().len(), limit);
    }
}

fn title(text: &str) -> SessionTitle {
    SessionTitle::parse(text).unwrap()
}

/// See the name.
pub async fn a_renamed_session_is_called_so(store: Store) {
    let record = opened(&store).await;
    for name in ["first", r#"zweiter Ω 😀 \ "quoted""#] {
        store.rename(&record.id, &title(name)).await.unwrap();
        let expected = SessionRecord { title: Some(title(name)), ..record.clone() };
        assert_eq!(store.get(&record.id).await.unwrap().as_ref(), Some(&expected));
        assert_eq!(store.owned_by(&record.owner, 10).await.unwrap(), [expected]);
    }
}

/// See the name.
pub async fn a_rename_of_nothing_is_not_found(store: Store) {
    let id = session_id();
    assert!(matches!(store.rename(&id, &title("x")).await, Err(StoreError::NotFound)));
    assert_eq!(store.get(&id).await.unwrap(), None);
}

/// See the name.
pub async fn a_step_gives_a_title_to_a_session_that_has_none(store: Store) {
    let mut driver = super::material::driven(&store).await;
    let id = driver.id.clone();
    let called = async || store.get(&id).await.unwrap().unwrap().title;
    driver.change(RecordChange { title: Some(title("one")), ..RecordChange::default() }).await;
    assert_eq!(called().await, Some(title("one")));
    driver.change(RecordChange { title: Some(title("two")), busy: Some(true), ..RecordChange::default() }).await;
    assert_eq!(called().await, Some(title("one")));
    assert!(store.get(&driver.id).await.unwrap().unwrap().busy);
    // A rename needs no lease, and fences nobody.
    store.rename(&driver.id, &title("three")).await.unwrap();
    driver.change(RecordChange { title: Some(title("four")), ..RecordChange::default() }).await;
    assert_eq!(called().await, Some(title("three")));
}

/// See the name.
pub async fn a_touch_moves_forward_only(store: Store) {
    let record = opened_by(&store, owner(), at(5)).await;
    for (touched, kept) in [(7, 7), (6, 7), (7, 7), (8, 8)] {
        store.touch(&record.id, at(touched)).await.unwrap();
        let stored = store.get(&record.id).await.unwrap().unwrap();
        assert_eq!(stored, SessionRecord { last_active_at: at(kept), ..record.clone() });
    }
}

/// See the name.
pub async fn a_touch_of_nothing_is_not_found(store: Store) {
    let id = session_id();
    assert!(matches!(store.touch(&id, at(1)).await, Err(StoreError::NotFound)));
    assert_eq!(store.get(&id).await.unwrap(), None);
}

/// See the name.
pub async fn a_deleted_session_is_gone_with_its_log_and_history(store: Store) {
    let mut driver = super::material::driven(&store).await;
    let history = Some(HistoryChange::Slide { append: messages(1..=3), drop_front: 0 });
    let record = RecordChange { sandbox: Some(Some(sandbox("s"))), ..RecordChange::default() };
    driver.commit(&Commit { history, record, ..driver.step(3) }).await.unwrap();
    let owner = store.get(&driver.id).await.unwrap().unwrap().owner;
    let neighbour = super::material::driven(&store).await.write(2).await;
    store.release(&driver.id, driver.epoch).await.unwrap();

    store.delete(&driver.id, at(1)).await.unwrap();
    let left = driver.stored().await;
    assert_eq!((left.record, left.history, left.events), (None, Vec::new(), Vec::new()));
    assert_eq!(left.last, EventId::default());
    assert!(store.owned_by(&owner, 10).await.unwrap().is_empty());
    assert!(!store.expired(at(100), 1_000_000).await.unwrap().contains(&driver.id));
    assert_eq!(neighbour.len(), 2);
    assert!(matches!(store.touch(&driver.id, at(1)).await, Err(StoreError::NotFound)));
    assert!(matches!(store.claim(&driver.id, "h", at(1), TTL).await, Err(StoreError::NotFound)));
}

/// See the name.
pub async fn a_delete_touches_no_other_session(store: Store) {
    let mut neighbour = super::material::driven(&store).await;
    neighbour.write(2).await;
    let before = neighbour.stored().await;
    let gone = opened(&store).await;
    store.delete(&gone.id, at(1)).await.unwrap();
    assert_eq!(neighbour.stored().await, before);
    neighbour.write(1).await;
}

/// See the name.
pub async fn a_delete_is_idempotent(store: Store) {
    let record = opened(&store).await;
    store.delete(&record.id, at(1)).await.unwrap();
    store.delete(&record.id, at(1)).await.unwrap();
    store.delete(&session_id(), at(1)).await.unwrap();
}

/// See the name.
pub async fn a_held_session_is_not_deleted(store: Store) {
    let mut driver = super::material::driven(&store).await;
    driver.write(1).await;
    let before = driver.stored().await;
    match store.delete(&driver.id, at(1)).await {
        Err(StoreError::Held { holder, until }) => assert_eq!((holder.as_str(), until), ("driver", at(30))),
        other => panic!("{other:?}"),
    }
    assert_eq!(driver.stored().await, before);
    store.delete(&driver.id, at(31)).await.unwrap();
    assert_eq!(driver.stored().await.record, None);
}

/// The last owner of a session that was deleted must not get into one that has its name.
pub async fn a_session_made_anew_is_empty_and_fences_the_old_owner(store: Store) {
    let mut old = super::material::driven(&store).await;
    old.tell(HistoryChange::Slide { append: messages(1..=2), drop_front: 0 }).await;
    old.write(2).await;
    store.delete(&old.id, at(31)).await.unwrap();
    let record = SessionRecord::opened(old.id.clone(), owner(), None, at(40));
    store.create(&record).await.unwrap();
    let left = old.stored().await;
    assert_eq!((left.history.len(), left.events.len(), left.last), (0, 0, EventId::default()));

    let mut new = Driver::claim(&store, &old.id, "new", at(40)).await;
    assert!(new.epoch > old.epoch, "{} after {}", new.epoch, old.epoch);
    old.last = new.last;
    super::material::assert_fenced(&store.commit(&old.id, &old.step(1)).await);
    new.write(1).await;
}

/// See the name.
pub async fn a_store_that_works_says_so(store: Store) {
    store.check().await.unwrap();
    store.check().await.unwrap();
}
