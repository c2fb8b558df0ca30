//! `SessionStore::commit`: what it writes, and what it refuses.

use super::material::{Driver, Store, at, driven, messages, note, opened, read_all, said, sandbox, seqs, stored};
use lockkeeper_domain::{CallId, EventBody, Seq, SessionState, SessionTitle, ToolResult, ToolSettled, WorkspaceId};
use lockkeeper_ports::{Commit, Committed, HistoryChange, RecordChange, StoreError};
use serde_json::json;

/// A commit that changes everything that a commit can.
pub(super) fn full_step(driver: &Driver) -> Commit {
    let state: SessionState = serde_json::from_value(json!({"turns": 7})).expect("a state has turns");
    Commit {
        history: Some(HistoryChange::Slide { append: messages(1..=2), drop_front: 1 }),
        record: RecordChange {
            last_active_at: Some(at(9)),
            sandbox: Some(Some(sandbox("box"))),
            workspace: Some(WorkspaceId::parse("space-1").unwrap()),
            checkpoint: Some((state, Seq::new(driver.last.get() + 2))),
            busy: Some(true),
            model: Some("modèle/other".to_owned()),
            own_key: Some(true),
            title: Some(SessionTitle::parse("a title").unwrap()),
        },
        ..driver.step(3)
    }
}

/// See the name.
pub async fn a_commit_writes_events_history_and_record(store: Store) {
    let mut driver = driven(&store).await;
    let before = store.get(&driver.id).await.unwrap().unwrap();
    let step = full_step(&driver);
    assert_eq!(driver.commit(&step).await.unwrap(), Committed::Written);

    let stored = driver.stored().await;
    assert_eq!(stored.events, step.events);
    assert_eq!(stored.last, step.events[2].id);
    assert_eq!(stored.history, messages(2..=2));
    let record = stored.record.unwrap();
    assert_eq!(record.last_active_at, at(9));
    assert_eq!(record.sandbox, Some(sandbox("box")));
    assert_eq!(record.workspace.as_ref().map(WorkspaceId::as_str), Some("space-1"));
    assert_eq!((record.state.clone(), record.checkpoint), step.record.checkpoint.unwrap());
    assert!(record.busy && record.own_key);
    assert_eq!(record.model.as_deref(), Some("modèle/other"));
    assert_eq!(record.title.as_ref().map(SessionTitle::as_str), Some("a title"));
    assert_eq!((record.owner, record.created_at, record.version), (before.owner, before.created_at, before.version));
}

/// See the name.
pub async fn what_a_commit_does_not_name_stays(store: Store) {
    let mut driver = driven(&store).await;
    let full = full_step(&driver);
    driver.commit(&full).await.unwrap();
    let before = driver.stored().await;
    let events = driver.write(1).await;
    let after = driver.stored().await;
    assert_eq!(after.record, before.record);
    assert_eq!(after.history, before.history);
    assert_eq!(after.events, [before.events, events].concat());
}

/// See the name.
pub async fn each_field_of_the_record_changes_alone(store: Store) {
    let mut driver = driven(&store).await;
    let full = full_step(&driver);
    driver.commit(&full).await.unwrap();
    let mut expected = store.get(&driver.id).await.unwrap().unwrap();

    driver.change(RecordChange { sandbox: Some(None), ..RecordChange::default() }).await;
    expected.sandbox = None;
    assert_eq!(store.get(&driver.id).await.unwrap().as_ref(), Some(&expected));
    let workspace = Some(WorkspaceId::parse("space-2").unwrap());
    driver.change(RecordChange { workspace: workspace.clone(), ..RecordChange::default() }).await;
    expected.workspace = workspace;
    assert_eq!(store.get(&driver.id).await.unwrap().as_ref(), Some(&expected));
    driver.change(RecordChange { busy: Some(false), ..RecordChange::default() }).await;
    expected.busy = false;
    assert_eq!(store.get(&driver.id).await.unwrap().as_ref(), Some(&expected));
    driver.change(RecordChange { last_active_at: Some(at(50)), ..RecordChange::default() }).await;
    expected.last_active_at = at(50);
    assert_eq!(store.get(&driver.id).await.unwrap().as_ref(), Some(&expected));
    driver.change(RecordChange { model: Some("third".to_owned()), ..RecordChange::default() }).await;
    expected.model = Some("third".to_owned());
    assert_eq!(store.get(&driver.id).await.unwrap().as_ref(), Some(&expected));
    driver.change(RecordChange { own_key: Some(false), ..RecordChange::default() }).await;
    expected.own_key = false;
    assert_eq!(store.get(&driver.id).await.unwrap().as_ref(), Some(&expected));
    let checkpoint = Some((SessionState::default(), Seq::new(3)));
    driver.change(RecordChange { checkpoint, ..RecordChange::default() }).await;
    (expected.state, expected.checkpoint) = (SessionState::default(), Seq::new(3));
    assert_eq!(store.get(&driver.id).await.unwrap(), Some(expected));
}

/// See the name.
pub async fn a_commit_elsewhere_than_at_the_end_conflicts(store: Store) {
    let mut driver = driven(&store).await;
    driver.write(3).await;
    let before = driver.stored().await;
    for after in [0, 2, 4, 9] {
        let elsewhere = Driver { last: Seq::new(after), ..driver.clone() };
        let mut step = full_step(&elsewhere);
        step.events.iter_mut().for_each(|event| event.at = at(77));
        for events in [step.events.clone(), Vec::new()] {
            match store.commit(&driver.id, &Commit { events, ..step.clone() }).await {
                Err(StoreError::Conflict { expected, found }) => {
                    assert_eq!((expected.get(), found.get()), (after, 3));
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(driver.stored().await, before);
    driver.write(1).await;
}

/// See the name.
pub async fn numbers_that_are_not_dense_are_refused(store: Store) {
    let mut driver = driven(&store).await;
    driver.write(3).await;
    let before = driver.stored().await;
    for numbers in [vec![5], vec![4, 6], vec![4, 4], vec![5, 4], vec![3, 4], vec![0], vec![4, 5, 5]] {
        let mut step = full_step(&driver);
        step.events = numbers.iter().map(|seq| note(driver.epoch, *seq, "x")).collect();
        let result = store.commit(&driver.id, &step).await;
        assert!(matches!(result, Err(StoreError::Conflict { .. })), "{numbers:?}: {result:?}");
    }
    assert_eq!(driver.stored().await, before);
    driver.write(1).await;
}

/// The epoch in an event's id is that of its writer.
pub async fn events_of_another_epoch_are_refused(store: Store) {
    let driver = driven(&store).await;
    let before = driver.stored().await;
    let mut step = full_step(&driver);
    step.events[1].id.epoch = driver.epoch.next();
    assert!(store.commit(&driver.id, &step).await.is_err());
    assert_eq!(driver.stored().await, before);
}

/// See the name.
pub async fn a_commit_without_events_is_written_each_time(store: Store) {
    let mut driver = driven(&store).await;
    driver.write(2).await;
    for round in 1..=3 {
        let history = Some(HistoryChange::Slide { append: messages(round..=round), drop_front: 0 });
        let step = Commit { history, ..driver.step(0) };
        assert_eq!(driver.commit(&step).await.unwrap(), Committed::Written);
        assert_eq!(store.history(&driver.id).await.unwrap(), messages(1..=round));
    }
    // The same one twice, too.
    let history = Some(HistoryChange::Slide { append: messages(9..=9), drop_front: 0 });
    let step = Commit { history, ..driver.step(0) };
    for _ in 0..2 {
        assert_eq!(store.commit(&driver.id, &step).await.unwrap(), Committed::Written);
    }
    assert_eq!(store.history(&driver.id).await.unwrap(), messages([1, 2, 3, 9, 9]));
    assert_eq!(store.last(&driver.id).await.unwrap().seq.get(), 2);
}

/// See the name.
pub async fn sessions_do_not_see_each_other(store: Store) {
    let mut a = driven(&store).await;
    // Ids where one is the beginning of the other are neighbours in many an index.
    let longer = lockkeeper_domain::SessionId::parse(format!("{}0", a.id)).unwrap();
    let record = lockkeeper_domain::SessionRecord::opened(longer, super::material::owner(), None, at(0));
    store.create(&record).await.unwrap();
    let mut b = Driver::claim(&store, &record.id, "b", at(0)).await;
    let full = full_step(&a);
    a.commit(&full).await.unwrap();
    assert_eq!(b.stored().await.events, []);
    b.write(5).await;
    let before = a.stored().await;
    b.tell(HistoryChange::Slide { append: messages(4..=8), drop_front: 0 }).await;
    b.tell(HistoryChange::Clear).await;
    store.delete(&b.id, at(31)).await.unwrap();
    assert_eq!(a.stored().await, before);
}

/// See the name.
pub async fn text_comes_back_as_it_was(store: Store) {
    const TEXTS: [&str; 7] = [
        "",
        "naïve 日本語 العربية \u{1F469}\u{200D}\u{1F4BB} \u{FFFD} \u{FEFF}",
        "null\0byte \u{1} \u{7f} \u{2028}\u{2029}",
        "quotes \" ' ` \\ \\u0000 \\n",
        "line\r\nline\ttab",
        "{\"json\": [1, 2]}",
        "\u{10FFFF}\u{E000}",
    ];
    let mut driver = driven(&store).await;
    let mut step = driver.step(0);
    step.events = (1..).zip(TEXTS).map(|(seq, text)| note(driver.epoch, seq, text)).collect();
    let append = TEXTS.iter().map(|text| said(1, text)).collect();
    step.history = Some(HistoryChange::Slide { append, drop_front: 0 });
    driver.commit(&step).await.unwrap();
    assert_eq!(read_all(&store, &driver.id).await, step.events);
    let expected: Vec<_> = TEXTS.iter().map(|text| said(1, text)).collect();
    assert_eq!(store.history(&driver.id).await.unwrap(), expected);
}

/// Events and messages of 1 MB, and JSON that no type knows, are kept as they came.
pub async fn large_events_are_kept(store: Store) {
    const MEGABYTE: usize = 1 << 20;
    let mut driver = driven(&store).await;
    let mut step = driver.step(3);
    let long = "é".repeat(MEGABYTE / 2);
    step.events[0] = note(driver.epoch, 1, &long);
    let mut result = ToolResult::succeeded(vec![]);
    let deep = json!({"z": null, "a": [{"b": {"c": [1, -2, 3.5, "x"]}}], "long": "y".repeat(MEGABYTE)});
    result.structured = Some(deep);
    let settled = ToolSettled { call: CallId::parse("c").unwrap(), tool: "t".to_owned(), result };
    step.events[1].body = EventBody::ToolSettled(settled);
    step.history = Some(HistoryChange::Slide { append: vec![said(1, &long)], drop_front: 0 });
    driver.commit(&step).await.unwrap();
    assert_eq!(read_all(&store, &driver.id).await, step.events);
    assert_eq!(store.history(&driver.id).await.unwrap(), [said(1, &long)]);
    assert_eq!(driver.commit(&step).await.unwrap(), Committed::Before);
}

/// See the name.
pub async fn a_commit_of_many_events_is_one(store: Store) {
    let mut driver = driven(&store).await;
    let events = driver.write(1_000).await;
    assert_eq!(read_all(&store, &driver.id).await, events);
    assert_eq!(seqs(&store.read(&driver.id, Seq::new(997), 10).await.unwrap()), [998, 999, 1_000]);
}

/// See the name.
pub async fn a_session_without_an_owner_is_not_written(store: Store) {
    let record = opened(&store).await;
    let before = stored(&store, &record.id).await;
    for epoch in [0, 1, 2, u64::MAX] {
        let epoch = lockkeeper_domain::Epoch::new(epoch);
        let nobody = Driver { store: store.clone(), id: record.id.clone(), epoch, last: Seq::new(0) };
        super::material::assert_fenced(&store.commit(&record.id, &full_step(&nobody)).await);
    }
    assert_eq!(stored(&store, &record.id).await, before);
}
