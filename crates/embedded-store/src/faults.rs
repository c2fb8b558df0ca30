//! Tests over a disk that fails: it may be full, and its power may go at any write.

mod disk;

use crate::{Config, EmbeddedStore, open};
use disk::Disk;
use lockkeeper_domain::{Event, EventBody, EventId, NoticeKind, PrincipalId, Seq, SessionId, SessionRecord, Timestamp};
use lockkeeper_ports::{Claim, Commit, EventLog, RecordChange, SessionRepository, SessionStore, StoreError};
use redb::{Builder, Database, DatabaseError};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

fn database(disk: &Disk) -> Result<Database, DatabaseError> {
    Builder::new().create_with_backend(disk.clone())
}

fn store_on(disk: &Disk) -> EmbeddedStore {
    let opened = database(disk).unwrap();
    open::prepare(&opened).unwrap();
    let again = disk.clone();
    EmbeddedStore::over_file(opened, Box::new(move || database(&again)), &Config::default()).unwrap()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(secs * 1_000)
}

async fn claimed(store: &EmbeddedStore, id: &str) -> Claim {
    let owner = PrincipalId::parse("ada").unwrap();
    let record = SessionRecord::opened(SessionId::parse(id).unwrap(), owner, None, at(0));
    match store.create(&record).await {
        Ok(()) | Err(StoreError::AlreadyExists) => {}
        Err(other) => panic!("{other}"),
    }
    store.claim(&record.id, "h", at(0), Duration::from_secs(30)).await.unwrap()
}

fn step(claim: &Claim, bytes: usize) -> Commit {
    let id = EventId { epoch: claim.lease.epoch, seq: claim.last.seq.next() };
    let body = EventBody::Notice { kind: NoticeKind::TurnResumed, text: "x".repeat(bytes) };
    let events = vec![Event { id, turn: None, at: at(0), body, link: None, request: None }];
    Commit { epoch: id.epoch, after: claim.last.seq, events, history: None, record: RecordChange::default() }
}

async fn write(store: &EmbeddedStore, claim: &mut Claim, bytes: usize) -> Result<(), StoreError> {
    let step = step(claim, bytes);
    store.commit(&claim.record.id, &step).await?;
    claim.last = step.events[0].id;
    Ok(())
}

async fn len(store: &EmbeddedStore, claim: &Claim) -> usize {
    store.read(&claim.record.id, Seq::new(0), usize::MAX).await.unwrap().len()
}

#[tokio::test]
async fn a_full_disk_is_unavailable_until_there_is_room() {
    let disk = Disk::default();
    let store = store_on(&disk);
    let mut claim = claimed(&store, "a").await;
    write(&store, &mut claim, 100).await.unwrap();

    disk.limit_growth(true);
    let big = step(&claim, 8 << 20);
    assert!(matches!(store.commit(&claim.record.id, &big).await, Err(StoreError::Unavailable(_))));
    // What was there can be read, and nothing of the step is.
    assert_eq!(len(&store, &claim).await, 1);
    assert_eq!(store.last(&claim.record.id).await.unwrap(), claim.last);

    disk.limit_growth(false);
    store.check().await.unwrap();
    // The owner is still the owner: the same commit may be sent again.
    store.commit(&claim.record.id, &big).await.unwrap();
    assert_eq!(len(&store, &claim).await, 2);
}

#[tokio::test]
async fn a_disk_that_takes_nothing_is_tried_again_at_each_write() {
    let disk = Disk::default();
    let store = store_on(&disk);
    let mut claim = claimed(&store, "a").await;
    write(&store, &mut claim, 100).await.unwrap();
    disk.refuse_writes(true);
    for _ in 0..3 {
        assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
        assert!(matches!(write(&store, &mut claim, 100).await, Err(StoreError::Unavailable(_))));
    }
    disk.refuse_writes(false);
    store.check().await.unwrap();
    write(&store, &mut claim, 100).await.unwrap();
    assert_eq!(len(&store, &claim).await, 2);
}

/// Commits in four sessions at once until the power goes, and says how many each was told of.
async fn commit_until_the_power_goes(disk: &Disk, writes: usize) -> Vec<(Claim, u64)> {
    let store = Arc::new(store_on(disk));
    let mut claims = Vec::new();
    for number in 0..4 {
        claims.push(claimed(&store, &format!("s{number}")).await);
    }
    disk.cut_power_after(writes);
    let mut tasks = JoinSet::new();
    for mut claim in claims {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            while write(&store, &mut claim, 700).await.is_ok() {}
            (claim.clone(), claim.last.seq.get())
        });
    }
    tasks.join_all().await
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_power_cut() {
    let mut acknowledged = 0;
    for round in 0..40 {
        let disk = Disk::default();
        let told = commit_until_the_power_goes(&disk, 3 + 7 * round).await;
        // What was not synced may be there, or not, or in part.
        let store = store_on(&disk.after_power_cut());
        for (claim, last) in told {
            let events = store.read(&claim.record.id, Seq::new(0), usize::MAX).await.unwrap();
            let seqs: Vec<u64> = events.iter().map(|event| event.id.seq.get()).collect();
            assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "round {round}: {seqs:?}");
            assert!(seqs.len() as u64 >= last, "round {round}: {last} was acknowledged, and {} are there", seqs.len());
            acknowledged += last;
        }
        let mut claim = claimed(&store, "s0").await;
        write(&store, &mut claim, 100).await.unwrap();
    }
    assert!(acknowledged > 100, "only {acknowledged} commits were acknowledged");
}
