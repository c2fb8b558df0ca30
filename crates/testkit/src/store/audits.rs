//! `AuditTrail`: the records of the audit outlive the logs that they were written to.

use super::material::{Driver, Store, at, driven, note, opened, owner};
use futures::StreamExt;
use lockkeeper_domain::{
    AuditKey, AuditLog, CallId, ChainHead, Event, EventBody, EventId, Seq, SessionId, SessionRecord, SessionState,
    Timestamp, TurnId,
};
use lockkeeper_ports::{AuditEntry, AuditStream, AuditedEntry, Commit, Committed, KeptAudit, RecordChange, StoreError};
use std::{sync::Arc, time::Duration};

fn key() -> AuditKey {
    AuditKey::new([7; 32]).unwrap()
}

/// A session whose events are linked to its audit.
struct Audited {
    driver: Driver,
    head: ChainHead,
}

impl Audited {
    async fn opened(store: &Store) -> Self {
        Self { driver: driven(store).await, head: ChainHead::default() }
    }

    /// A step of `count` events, each of which belongs into the audit, after one that does not.
    fn step(&mut self, count: u64) -> Commit {
        let Self { driver, head } = self;
        let first = driver.last.get() + 1;
        let mut events = vec![note(driver.epoch, first, "not audited")];
        for nth in 1..=count {
            let call = CallId::minted(TurnId::new(first), 0, usize::try_from(nth).unwrap());
            let mut event = Event {
                id: EventId { epoch: driver.epoch, seq: Seq::new(first + nth) },
                turn: None,
                at: at(1),
                body: EventBody::ToolStarted { call, server: None, tool: "ls".to_owned() },
                link: None,
                request: None,
            };
            head.link(&driver.id, &mut event, Some(&key()));
            events.push(event);
        }
        Commit { events, ..driver.step(0) }
    }

    async fn write(&mut self, count: u64) {
        let step = self.step(count);
        assert_eq!(self.driver.commit(&step).await.unwrap(), Committed::Written);
    }

    /// Has the state account for all of the log.
    async fn rest(&mut self) {
        let checkpoint = Some((SessionState::default(), self.driver.last));
        self.driver.change(RecordChange { checkpoint, ..RecordChange::default() }).await;
    }

    async fn delete(&self) {
        let store = &self.driver.store;
        store.release(&self.driver.id, self.driver.epoch).await.unwrap();
        store.delete(&self.driver.id, at(2)).await.unwrap();
    }

    async fn kept(&self) -> KeptAudit {
        let mut kept = self.driver.store.audits(&self.driver.id).await.unwrap();
        assert_eq!(kept.len(), 1, "{kept:?}");
        kept.remove(0)
    }

    /// The numbers of the records that are kept, once the chain is verified from the first to the last.
    async fn verified(&self) -> Vec<u64> {
        verified(&self.driver.store, &self.driver.id, &self.kept().await, self.head).await
    }
}

async fn records(store: &Store, id: &SessionId, kept: &KeptAudit) -> Vec<AuditEntry> {
    store.audit(id, &kept.born, 0, usize::MAX).await.unwrap()
}

async fn verified(store: &Store, id: &SessionId, kept: &KeptAudit, head: ChainHead) -> Vec<u64> {
    let entries = records(store, id, kept).await;
    let numbers = entries.iter().map(|entry| entry.link.number).collect();
    let log = AuditLog::of_entries(id.clone(), kept.owner.clone(), entries, head, at(9), Some(&key()));
    log.verify(Some(&key())).unwrap();
    numbers
}

async fn next(stream: &mut AuditStream, id: &SessionId) -> AuditedEntry {
    loop {
        // Stores of other tests may share the server.
        let entry = tokio::time::timeout(Duration::from_secs(30), stream.next()).await;
        let entry = entry.expect("the stream has a record in time").expect("the stream goes on").unwrap();
        if entry.session == *id {
            return entry;
        }
    }
}

/// Later than any store believes it is.
fn far() -> Timestamp {
    Timestamp::from_millis(4_102_444_800_000)
}

/// See the name.
pub async fn audit_records_are_kept_along_with_the_log(store: Store) {
    let unknown = opened(&store).await;
    assert!(store.audits(&unknown.id).await.unwrap().is_empty());
    let mut audited = Audited::opened(&store).await;
    audited.write(3).await;
    audited.write(2).await;
    let kept = audited.kept().await;
    let owner = store.get(&audited.driver.id).await.unwrap().unwrap().owner;
    assert_eq!((&kept.owner, kept.last, kept.removed, kept.is_stored), (&owner, 5, 0, true));
    assert_eq!(audited.verified().await, [1, 2, 3, 4, 5]);
    let log = store.read(&audited.driver.id, Seq::default(), 100).await.unwrap();
    let of_log: Vec<_> = log.iter().filter_map(AuditEntry::of).collect();
    assert_eq!(records(&store, &audited.driver.id, &kept).await, of_log);
}

/// See the name.
pub async fn a_trimmed_log_keeps_its_audit(store: Store) {
    let mut audited = Audited::opened(&store).await;
    audited.write(3).await;
    audited.rest().await;
    let Driver { id, epoch, last, .. } = audited.driver.clone();
    store.trim(&id, epoch, last).await.unwrap();
    audited.write(2).await;
    assert!(matches!(store.read(&id, Seq::default(), 1).await, Err(StoreError::Trimmed(_))));
    assert_eq!(audited.verified().await, [1, 2, 3, 4, 5]);
}

/// See the name.
pub async fn a_log_trimmed_by_bytes_keeps_its_audit(store: Store) {
    let mut audited = Audited::opened(&store).await;
    audited.write(4).await;
    audited.rest().await;
    let Driver { id, epoch, last, .. } = audited.driver.clone();
    assert_eq!(store.trim_to(&id, epoch, 1).await.unwrap(), last);
    audited.write(1).await;
    assert_eq!(audited.verified().await, [1, 2, 3, 4, 5]);
}

/// See the name.
pub async fn a_deleted_session_keeps_its_audit(store: Store) {
    let mut audited = Audited::opened(&store).await;
    audited.write(3).await;
    audited.delete().await;
    assert!(store.get(&audited.driver.id).await.unwrap().is_none());
    assert!(!audited.kept().await.is_stored);
    assert_eq!(audited.verified().await, [1, 2, 3]);
}

/// See the name.
pub async fn sessions_of_one_id_have_audits_of_their_own(store: Store) {
    let mut first = Audited::opened(&store).await;
    first.write(3).await;
    first.delete().await;
    let id = first.driver.id.clone();
    let record = SessionRecord::opened(id.clone(), owner(), None, at(3));
    store.create(&record).await.unwrap();
    let driver = Driver::claim(&store, &id, "driver", at(3)).await;
    let mut second = Audited { driver, head: ChainHead::default() };
    second.write(2).await;
    let kept = store.audits(&id).await.unwrap();
    let [before, now] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!((before.is_stored, now.is_stored, &now.owner), (false, true, &record.owner));
    assert_ne!(before.owner, now.owner);
    assert_eq!(verified(&store, &id, before, first.head).await, [1, 2, 3]);
    assert_eq!(verified(&store, &id, now, second.head).await, [1, 2]);
}

/// See the name.
pub async fn a_repeated_commit_is_audited_once(store: Store) {
    let mut audited = Audited::opened(&store).await;
    let step = audited.step(2);
    let id = audited.driver.id.clone();
    assert_eq!(store.commit(&id, &step).await.unwrap(), Committed::Written);
    assert_eq!(store.commit(&id, &step).await.unwrap(), Committed::Before);
    audited.driver.last = step.events.last().unwrap().id.seq;
    audited.write(1).await;
    assert_eq!(audited.verified().await, [1, 2, 3]);
}

/// See the name.
pub async fn a_refused_commit_is_not_audited(store: Store) {
    let mut audited = Audited::opened(&store).await;
    audited.write(1).await;
    let (id, head) = (audited.driver.id.clone(), audited.head);
    let step = audited.step(2);
    let conflict = store.commit(&id, &Commit { after: Seq::new(9), ..step.clone() }).await;
    assert!(conflict.is_err());
    store.release(&id, audited.driver.epoch).await.unwrap();
    assert!(matches!(store.commit(&id, &step).await, Err(StoreError::Fenced)));
    audited.head = head;
    assert_eq!(audited.verified().await, [1]);
}

/// See the name.
pub async fn the_audit_goes_on_across_a_takeover(store: Store) {
    let mut audited = Audited::opened(&store).await;
    audited.write(2).await;
    audited.driver = Driver::claim(&store, &audited.driver.id.clone(), "other", at(60)).await;
    audited.write(2).await;
    assert_eq!(audited.verified().await, [1, 2, 3, 4]);
}

/// See the name.
pub async fn audit_records_are_read_in_pages(store: Store) {
    let mut audited = Audited::opened(&store).await;
    audited.write(5).await;
    audited.write(5).await;
    let kept = audited.kept().await;
    let page = store.audit(&audited.driver.id, &kept.born, 4, 3).await.unwrap();
    assert_eq!(page.iter().map(|entry| entry.link.number).collect::<Vec<_>>(), [5, 6, 7]);
    assert!(store.audit(&audited.driver.id, &kept.born, 10, 3).await.unwrap().is_empty());
    assert!(store.audit(&audited.driver.id, "another", 0, 3).await.unwrap().is_empty());
}

/// See the name.
pub async fn records_that_are_old_enough_are_removed(store: Store) {
    let mut audited = Audited::opened(&store).await;
    audited.write(3).await;
    let removed = store.remove_audit(far(), 0).await.unwrap();
    assert!(removed.by_age >= 3 && removed.by_size == 0, "{removed:?}");
    let kept = audited.kept().await;
    assert_eq!((kept.last, kept.removed, kept.removed_for_size), (3, 3, 0));
    assert!(records(&store, &audited.driver.id, &kept).await.is_empty());
    // The chain goes on from what is gone.
    audited.write(2).await;
    assert_eq!(audited.verified().await, [4, 5]);
    audited.delete().await;
    store.remove_audit(far(), 0).await.unwrap();
    assert!(store.audits(&audited.driver.id).await.unwrap().is_empty());
}

/// See the name.
pub async fn records_that_are_not_old_enough_stay(store: Store) {
    let mut audited = Audited::opened(&store).await;
    audited.write(3).await;
    let removed = store.remove_audit(Timestamp::from_millis(0), 0).await.unwrap();
    assert_eq!((removed.by_age, removed.by_size), (0, 0));
    assert!(removed.bytes > 0);
    assert_eq!(audited.verified().await, [1, 2, 3]);
}

/// See the name.
pub async fn a_trail_over_its_size_loses_its_oldest_records(store: Store) {
    let mut audited = Audited::opened(&store).await;
    for _ in 0..20 {
        audited.write(20).await;
    }
    let before = store.remove_audit(Timestamp::from_millis(0), 0).await.unwrap().bytes;
    let removed = store.remove_audit(Timestamp::from_millis(0), before / 2).await.unwrap();
    assert!(removed.by_size > 0 && removed.by_age == 0 && removed.bytes <= before / 2, "{removed:?}");
    let kept = audited.kept().await;
    assert!(kept.removed_for_size > 0 && kept.removed_for_size < 400, "{kept:?}");
    assert_eq!(audited.verified().await, (kept.removed_for_size + 1..=400).collect::<Vec<_>>());
}

/// See the name.
pub async fn a_follower_of_the_audit_gets_what_was_and_what_comes(store: Store) {
    let mut audited = Audited::opened(&store).await;
    audited.write(2).await;
    let mut stream = store.follow_audit(None).await.unwrap();
    let id = audited.driver.id.clone();
    let first = next(&mut stream, &id).await;
    assert_eq!((first.entry.link.number, &first.born), (1, &audited.kept().await.born));
    assert_eq!(next(&mut stream, &id).await.entry.link.number, 2);
    audited.write(2).await;
    let found = [next(&mut stream, &id).await, next(&mut stream, &id).await];
    assert_eq!(found.each_ref().map(|found| found.entry.link.number), [3, 4]);
    // A line of a stream is read as it is written.
    let line = serde_json::to_string(&found[0]).unwrap();
    assert_eq!(serde_json::from_str::<AuditedEntry>(&line).unwrap(), found[0]);
}

/// See the name.
pub async fn a_follower_of_the_audit_resumes_at_a_cursor(store: Store) {
    let mut audited = Audited::opened(&store).await;
    audited.write(3).await;
    let id = audited.driver.id.clone();
    let mut stream = store.follow_audit(None).await.unwrap();
    next(&mut stream, &id).await;
    let cursor = next(&mut stream, &id).await.cursor;
    drop(stream);
    audited.write(1).await;
    let mut stream = store.follow_audit(Some(cursor)).await.unwrap();
    let mut found = Vec::new();
    while found.last() != Some(&4) {
        found.push(next(&mut stream, &id).await.entry.link.number);
    }
    // Nothing is left out; what was given may come again.
    assert!(found.ends_with(&[3, 4]), "{found:?}");
    assert!(found.is_sorted(), "{found:?}");
}

/// See the name.
pub async fn a_deleted_session_does_not_end_a_follower_of_the_audit(store: Store) {
    let mut first = Audited::opened(&store).await;
    let mut stream = store.follow_audit(None).await.unwrap();
    first.write(1).await;
    first.delete().await;
    let mut second = Audited::opened(&Arc::clone(&store)).await;
    second.write(1).await;
    assert_eq!(next(&mut stream, &first.driver.id).await.entry.link.number, 1);
    assert_eq!(next(&mut stream, &second.driver.id).await.entry.link.number, 1);
}
