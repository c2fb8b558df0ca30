use super::LARGEST_TAIL;
use crate::EmbeddedStore;
use futures::{FutureExt, StreamExt};
use lockkeeper_domain::{
    Epoch, Event, EventBody, EventId, NoticeKind, PrincipalId, Seq, SessionId, SessionRecord, Timestamp,
};
use lockkeeper_ports::{Commit, EventLog, EventStream, RecordChange, SessionRepository, SessionStore};
use std::time::Duration;

fn record() -> SessionRecord {
    let (id, owner) = (SessionId::parse("a").unwrap(), PrincipalId::parse("ada").unwrap());
    SessionRecord::opened(id, owner, None, Timestamp::default())
}

/// A session with so many events, which nobody holds.
async fn written(store: &EmbeddedStore, count: u64) {
    let record = record();
    store.create(&record).await.unwrap();
    let claim = store.claim(&record.id, "h", Timestamp::default(), Duration::from_secs(1)).await.unwrap();
    let epoch = claim.lease.epoch;
    let event = |seq| Event {
        id: EventId { epoch, seq: Seq::new(seq) },
        turn: None,
        at: Timestamp::default(),
        body: EventBody::Notice { kind: NoticeKind::TurnResumed, text: "t".to_owned() },
        link: None,
        request: None,
    };
    let (after, events) = (Seq::new(0), (1..=count).map(event).collect());
    let commit = Commit { epoch, after, events, history: None, record: RecordChange::default() };
    store.commit(&record.id, &commit).await.unwrap();
    store.release(&record.id, epoch).await.unwrap();
}

async fn follow(store: &EmbeddedStore, after: u64) -> EventStream {
    store.follow(&record().id, Seq::new(after)).await.unwrap()
}

#[tokio::test]
async fn nothing_is_kept_of_followers_that_went() {
    let store = EmbeddedStore::in_memory();
    let followers = &store.shared.followers;
    let (a, b) = (follow(&store, 0).await, follow(&store, 0).await);
    assert_eq!(followers.followed_sessions(), 1);
    drop(a);
    assert_eq!(followers.followed_sessions(), 1);
    drop(b);
    assert_eq!(followers.followed_sessions(), 0);
}

#[tokio::test]
async fn the_stream_of_a_deleted_session_ends() {
    let store = EmbeddedStore::in_memory();
    written(&store, 2).await;
    let mut stream = follow(&store, 0).await;
    assert!(stream.next().await.unwrap().is_ok() && stream.next().await.unwrap().is_ok());
    assert!(stream.next().now_or_never().is_none());
    store.delete(&record().id, Timestamp::default()).await.unwrap();
    assert!(stream.next().await.is_none());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn a_follower_of_a_deleted_session_gets_nothing_of_the_next_one() {
    let store = EmbeddedStore::in_memory();
    written(&store, 2).await;
    let mut stream = follow(&store, 0).await;
    assert!(stream.next().await.unwrap().is_ok() && stream.next().await.unwrap().is_ok());
    store.delete(&record().id, Timestamp::default()).await.unwrap();
    written(&store, 5).await;
    assert!(stream.next().await.is_none());
}

/// One event after another, of so many bytes each.
async fn grow(store: &EmbeddedStore, epoch: Epoch, after: u64, texts: &[usize]) {
    for (seq, bytes) in (after + 1..).zip(texts) {
        let body = EventBody::Notice { kind: NoticeKind::TurnResumed, text: "t".repeat(*bytes) };
        let id = EventId { epoch, seq: Seq::new(seq) };
        let events = vec![Event { id, turn: None, at: Timestamp::default(), body, link: None, request: None }];
        let after = Seq::new(seq - 1);
        let commit = Commit { epoch, after, events, history: None, record: RecordChange::default() };
        store.commit(&record().id, &commit).await.unwrap();
    }
}

#[tokio::test]
async fn each_event_is_given_once_whether_it_is_handed_over_or_read() {
    let store = EmbeddedStore::in_memory();
    written(&store, 1).await;
    let claim = store.claim(&record().id, "h", Timestamp::default(), Duration::from_secs(1)).await.unwrap();
    let mut stream = follow(&store, 0).await;
    let mut seen = 0;
    let mut next = async |count: u64| {
        for _ in 0..count {
            seen += 1;
            assert_eq!(stream.next().now_or_never().unwrap().unwrap().unwrap().id.seq, Seq::new(seen));
        }
        assert!(stream.next().now_or_never().is_none());
    };
    next(1).await;
    let epoch = claim.lease.epoch;
    // One that is handed over, two of which only the second is, one that is too large for it, and one behind that.
    for (after, texts) in [(1, vec![1]), (2, vec![1, 1]), (4, vec![LARGEST_TAIL]), (5, vec![1])] {
        grow(&store, epoch, after, &texts).await;
        next(texts.len() as u64).await;
    }
}

#[tokio::test(start_paused = true)]
async fn in_memory_no_wait_moves_a_paused_clock() {
    let store = EmbeddedStore::in_memory();
    let started = tokio::time::Instant::now();
    let work = async {
        written(&store, 300).await;
        follow(&store, 0).await.take(300).count().await
    };
    assert_eq!(tokio::time::timeout(Duration::from_millis(1), work).await, Ok(300));
    assert_eq!(started.elapsed(), Duration::ZERO);
}
