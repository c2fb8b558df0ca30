//! What goes wrong with a server, and that nothing acknowledged is lost by it. The names are those of the design's list of
//! faults.

use crate::{
    Case,
    owner::{Owner, TTL, at, note, unavailable},
    proxy::Proxy,
    server::{Server, patient},
};
use futures::StreamExt as _;
use lockkeeper_domain::{Seq, SessionRecord};
use lockkeeper_ports::{
    Commit, Committed, ConversationRepository as _, EventLog as _, HistoryChange, RecordChange, SessionRepository as _,
    SessionStore as _, StoreError,
};
use lockkeeper_redis_store::{Config, ConnectError, RedisStore};
use std::time::Duration;
use tokio::time::timeout;

pub(crate) fn cases() -> Vec<Case> {
    crate::cases![
        r1_redis_down_at_boot,
        r1_redis_that_comes_up_late_is_waited_for,
        r2_redis_dies_mid_turn,
        r2_a_follower_outlives_a_restart,
        r3_redis_that_is_slow,
        r4_redis_that_hangs,
        r7_all_data_is_lost,
        r12_a_reply_that_is_lost_after_the_commit,
        r12_a_reply_that_is_lost_after_a_commit_without_events,
        r12_a_reply_that_is_lost_after_a_create,
        r12_a_reply_that_is_lost_after_a_claim,
        r14_a_session_that_expired_during_an_approval,
        a_session_that_is_used_does_not_expire,
    ]
}

/// Deadlines that are short beside the fault, which lasts until the test ends it.
fn brisk(url: String) -> Config {
    Config { operation_timeout_ms: 300, ..patient(url) }
}

/// Sends a commit until the store answers.
async fn insist(store: &RedisStore, owner: &mut Owner, step: &Commit) -> Committed {
    let insist = async {
        loop {
            match owner.commit(store, step).await {
                Ok(committed) => return committed,
                Err(StoreError::Unavailable(_)) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
    };
    timeout(Duration::from_mins(1), insist).await.unwrap()
}

async fn r1_redis_down_at_boot() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("redis+unix://{}/none.sock", dir.path().display());
    let config = Config { start_timeout_ms: 300, ..Config::at(url) };
    match RedisStore::connect(&config).await {
        Err(error @ ConnectError::Unavailable { .. }) => {
            let text = error.to_string();
            assert!(text.contains("none.sock") && text.contains("cannot be reached"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

async fn r1_redis_that_comes_up_late_is_waited_for() {
    let mut server = Server::start(&[]).await;
    server.kill();
    let config = patient(server.url());
    let (store, ()) = tokio::join!(RedisStore::connect(&config), async {
        // By then it has tried in vain.
        tokio::time::sleep(Duration::from_millis(200)).await;
        server.restart().await;
    });
    store.unwrap().check().await.unwrap();
}

async fn r2_redis_dies_mid_turn() {
    let mut server = Server::start(&["--appendfsync always"]).await;
    let store = RedisStore::connect(&brisk(server.url())).await.unwrap();
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 2).await;
    server.kill();
    let step = owner.step(2);
    let text = unavailable(store.commit(owner.id(), &step).await);
    assert!(text.contains("redis.sock"), "{text}");
    unavailable(store.check().await);
    server.restart().await;
    insist(&store, &mut owner, &step).await;
    owner.assert_stored(&store, &[2, 4]).await;
    store.check().await.unwrap();
}

async fn r2_a_follower_outlives_a_restart() {
    let mut server = Server::start(&["--appendfsync always"]).await;
    let store = RedisStore::connect(&brisk(server.url())).await.unwrap();
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 2).await;
    let mut stream = store.follow(owner.id(), Seq::new(0)).await.unwrap();
    for seq in 1..=2 {
        assert_eq!(stream.next().await.unwrap().unwrap(), note(owner.epoch, seq));
    }
    server.kill();
    let (next, ()) = tokio::join!(timeout(Duration::from_mins(1), stream.next()), async {
        server.restart().await;
        let step = owner.clone().step(1);
        insist(&store, &mut owner, &step).await;
    });
    assert_eq!(next.unwrap().unwrap().unwrap(), note(owner.epoch, 3));
}

async fn r3_redis_that_is_slow() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&brisk(server.url())).await.unwrap();
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 1).await;
    server.ask(&["CLIENT", "PAUSE", "600000", "WRITE"]).await;
    let step = owner.step(1);
    let text = unavailable(timeout(Duration::from_secs(30), store.commit(owner.id(), &step)).await.unwrap());
    assert!(text.contains("does not answer in time"), "{text}");
    server.ask(&["CLIENT", "UNPAUSE"]).await;
    insist(&store, &mut owner, &step).await;
    owner.assert_stored(&store, &[1, 2]).await;
}

async fn r4_redis_that_hangs() {
    let server = Server::start(&[]).await;
    let store = RedisStore::connect(&brisk(server.url())).await.unwrap();
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 1).await;
    server.signal("-STOP");
    let step = owner.step(1);
    unavailable(timeout(Duration::from_secs(30), store.commit(owner.id(), &step)).await.unwrap());
    unavailable(timeout(Duration::from_secs(30), store.check()).await.unwrap());
    server.signal("-CONT");
    insist(&store, &mut owner, &step).await;
    owner.assert_stored(&store, &[1, 2]).await;
}

async fn r7_all_data_is_lost() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 2).await;
    let mut stream = store.follow(owner.id(), Seq::new(0)).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok() && stream.next().await.unwrap().is_ok());
    server.ask(&["FLUSHALL"]).await;

    // Nobody goes on as if nothing had happened, and nobody sees an empty history for the old one.
    assert!(matches!(store.commit(owner.id(), &owner.step(1)).await, Err(StoreError::Fenced)));
    assert!(matches!(store.claim(owner.id(), "one", at(1), TTL).await, Err(StoreError::NotFound)));
    assert_eq!(store.get(owner.id()).await.unwrap(), None);
    assert!(timeout(Duration::from_secs(30), stream.next()).await.unwrap().is_none(), "its followers hear of it");
    // Epochs rise even so: what the old owner still sends is refused.
    store.create(&owner.record).await.unwrap();
    let claim = store.claim(owner.id(), "two", at(1), TTL).await.unwrap();
    assert!(claim.lease.epoch > owner.epoch);
    let late = Owner { last: 0, ..owner };
    assert!(matches!(store.commit(late.id(), &late.step(1)).await, Err(StoreError::Fenced)));
}

/// A store whose next answers to scripts are lost after the server has done what they say.
async fn over_a_lossy_way() -> (Server, Proxy, RedisStore) {
    let server = Server::start_on_port(&[]).await;
    let proxy = Proxy::to(server.port(), b"EVALSHA").await;
    let store = RedisStore::connect(&patient(proxy.url())).await.unwrap();
    // From now on the server knows the scripts.
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 1).await;
    (server, proxy, store)
}

async fn r12_a_reply_that_is_lost_after_the_commit() {
    let (_server, proxy, store) = over_a_lossy_way().await;
    let mut owner = Owner::new(&store).await;
    for losses in 1..=2 {
        proxy.lose(losses);
        let step = owner.step(2);
        assert_eq!(owner.commit(&store, &step).await.unwrap(), Committed::Before);
    }
    assert_eq!(proxy.lost(), 3);
    owner.assert_stored(&store, &[2, 4]).await;
}

async fn r12_a_reply_that_is_lost_after_a_commit_without_events() {
    let (_server, proxy, store) = over_a_lossy_way().await;
    let owner = Owner::new(&store).await;
    for n in 1..=3 {
        proxy.lose(2);
        let history = HistoryChange::Slide { append: vec![crate::owner::said(n)], drop_front: 0 };
        let step = Commit { history: Some(history), record: RecordChange::default(), ..owner.step(0) };
        assert_eq!(store.commit(owner.id(), &step).await.unwrap(), Committed::Written);
    }
    assert_eq!(proxy.lost(), 6);
    assert_eq!(store.history(owner.id()).await.unwrap(), [1, 2, 3].map(crate::owner::said));
}

async fn r12_a_reply_that_is_lost_after_a_create() {
    let (_server, proxy, store) = over_a_lossy_way().await;
    let record = SessionRecord::opened(crate::owner::session_id(), crate::owner::principal(), None, at(0));
    proxy.lose(1);
    store.create(&record).await.unwrap();
    assert_eq!(proxy.lost(), 1);
    assert!(matches!(store.create(&record).await, Err(StoreError::AlreadyExists)));
}

async fn r12_a_reply_that_is_lost_after_a_claim() {
    let (_server, proxy, store) = over_a_lossy_way().await;
    let mut owner = Owner::new(&store).await;
    proxy.lose(1);
    let claim = store.claim(owner.id(), "one", at(1), TTL).await.unwrap();
    assert!(proxy.lost() == 1 && claim.lease.epoch > owner.epoch);
    owner.epoch = claim.lease.epoch;
    owner.write(&store, 1).await;
}

async fn r14_a_session_that_expired_during_an_approval() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 1).await;
    for key in ["session", "conversation", "log"] {
        assert!(server.ask(&["PEXPIRE", &format!("mcp:{key}:{{{}}}", owner.id()), "0"]).await.starts_with(":1"));
    }
    // Nothing can be recorded of a decision, so nothing is executed.
    assert!(matches!(store.commit(owner.id(), &owner.step(1)).await, Err(StoreError::Fenced)));
    assert!(matches!(store.renew(owner.id(), owner.epoch, at(1), TTL).await, Err(StoreError::Fenced)));
    assert_eq!(store.last(owner.id()).await.unwrap().seq.get(), 0);
}

async fn a_session_that_is_used_does_not_expire() {
    let server = Server::start(&[]).await;
    let config = Config { retention_secs: 3_600, ..patient(server.url()) };
    let store = RedisStore::connect(&config).await.unwrap();
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 1).await;
    let keys = ["session", "conversation", "log"].map(|key| format!("mcp:{key}:{{{}}}", owner.id()));
    let shorten = async || {
        for key in &keys {
            assert!(server.ask(&["PEXPIRE", key, "60000"]).await.starts_with(":1"));
        }
    };
    let assert_renewed = async |by: &str| {
        for key in &keys {
            let left = server.ask(&["PTTL", key]).await;
            assert!(left.trim().trim_start_matches(':').parse::<i64>().unwrap() > 60_000, "{by}: {key} {left}");
        }
    };
    assert_renewed("a commit").await;
    shorten().await;
    store.renew(owner.id(), owner.epoch, at(1), TTL).await.unwrap();
    assert_renewed("a renewal").await;
    shorten().await;
    store.touch(owner.id(), at(2)).await.unwrap();
    assert_renewed("a heartbeat").await;
    shorten().await;
    store.claim(owner.id(), "one", at(2), TTL).await.unwrap();
    assert_renewed("a claim").await;
}
