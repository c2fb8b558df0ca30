//! Another server takes over.

use crate::{
    Case,
    owner::{Owner, TTL, at, unavailable},
    proxy::Proxy,
    server::{Server, patient},
};
use futures::StreamExt as _;
use lockkeeper_domain::Seq;
use lockkeeper_ports::{Committed, EventLog as _, SessionRepository as _, SessionStore as _, StoreError};
use lockkeeper_redis_store::{Config, RedisStore};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

pub(crate) fn cases() -> Vec<Case> {
    crate::cases![
        r6_a_failover_loses_the_end_of_a_log,
        a_sentinel_names_the_new_primary,
        a_cluster_node_comes_back,
        sentinel_failover_under_load_leaves_dense_logs,
        cluster_failover_under_load_leaves_dense_logs
    ]
}

/// A replica that has all that its primary has.
async fn replica_of(primary: &Server) -> Server {
    let replica = Server::start_on_port(&[]).await;
    replica.ask(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]).await;
    in_step(&replica).await;
    replica
}

/// A primary, its replica, and a sentinel that knows both.
struct Watched {
    primary: Server,
    replica: Server,
    sentinel: Server,
}

impl Watched {
    async fn start() -> Self {
        let primary = Server::start_on_port(&["--repl-diskless-sync-delay 0"]).await;
        let replica = replica_of(&primary).await;
        let sentinel = Server::start_sentinel(primary.port()).await;
        let knows = async {
            while !sentinel.ask(&["SENTINEL", "REPLICAS", "main"]).await.contains(&replica.port().to_string()) {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_mins(1), knows).await.unwrap();
        Self { primary, replica, sentinel }
    }
}

async fn in_step(replica: &Server) {
    let wait = async {
        while !replica.ask(&["INFO", "replication"]).await.contains("master_link_status:up") {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_mins(1), wait).await.unwrap();
}

/// Waits until the replica has all that was written to its primary so far. `WAIT` does not: it is about the writes of its own
/// connection.
async fn caught_up(primary: &Server, replica: &Server) {
    let offset = async |server: &Server, name: &str| -> Option<u64> {
        let info = server.ask(&["INFO", "replication"]).await;
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
    };
    let written = offset(primary, "master_repl_offset").await.expect("a primary has an offset");
    let wait = async {
        while offset(replica, "slave_repl_offset").await < Some(written) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_mins(1), wait).await.unwrap();
}

async fn r6_a_failover_loses_the_end_of_a_log() {
    let mut old = Server::start_on_port(&["--repl-diskless-sync-delay 0"]).await;
    let new = replica_of(&old).await;
    let proxy = Proxy::to(old.port(), b"-").await;
    let config = Config { operation_timeout_ms: 1_000, ..patient(proxy.url()) };
    let store = RedisStore::connect(&config).await.unwrap();
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 2).await;
    caught_up(&old, &new).await;
    // The replica believes its primary gone, and the owner writes there still.
    new.ask(&["REPLICAOF", "NO", "ONE"]).await;
    owner.write(&store, 2).await;
    let mut stream = store.follow(owner.id(), Seq::new(0)).await.unwrap();
    for _ in 0..4 {
        stream.next().await.unwrap().unwrap();
    }
    old.kill();
    proxy.turn_to(new.port());

    // The owner's picture is wrong, and it is told so instead of leaving a gap.
    let found = loop {
        match store.commit(owner.id(), &owner.step(1)).await {
            Err(StoreError::Conflict { expected, found }) => break (expected.get(), found.get()),
            Err(StoreError::Unavailable(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(found, (4, 2));
    match timeout(Duration::from_mins(1), stream.next()).await.unwrap() {
        Some(Err(StoreError::Conflict { expected, found })) => assert_eq!((expected.get(), found.get()), (4, 2)),
        other => panic!("{other:?}"),
    }
    // Whoever loads it anew goes on from what is there, under an epoch that was never given.
    let claim = store.claim(owner.id(), "two", at(31), TTL).await.unwrap();
    assert!(claim.lease.epoch > owner.epoch && claim.last.seq.get() == 2);
    let mut next = Owner { epoch: claim.lease.epoch, last: 2, ..owner };
    next.write(&store, 1).await;
    next.assert_stored(&store, &[2, 3]).await;
}

async fn a_sentinel_names_the_new_primary() {
    let Watched { mut primary, replica, sentinel } = Watched::start().await;

    let url = format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName=main", sentinel.port());
    let config = Config { operation_timeout_ms: 1_000, ..patient(url) };
    let store = RedisStore::connect(&config).await.unwrap();
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 2).await;
    caught_up(&primary, &replica).await;
    primary.kill();
    let step = owner.step(2);
    let go_on = async {
        while let Err(error) = owner.commit(&store, &step).await {
            unavailable::<()>(Err(error));
        }
    };
    timeout(Duration::from_mins(1), go_on).await.unwrap();
    owner.assert_stored(&store, &[2, 4]).await;
}

/// How many steps each owner under load writes before the failover and after it.
const STEPS: u64 = 200;

/// What an owner under load has come to.
struct Load {
    owner: Owner,
    /// Events that were acknowledged and are not there: their primary ended before its replica had them.
    lost: u64,
    conflicts: u64,
}

/// Writes step after step until `STEPS` were written after the failover. An owner whose log ends elsewhere than it believes
/// claims the session anew and goes on from there.
async fn drive(store: Arc<RedisStore>, written: watch::Sender<u64>, failed_over: watch::Receiver<bool>) -> Load {
    let mut load = Load { owner: Owner::new(&*store).await, lost: 0, conflicts: 0 };
    let mut after = 0;
    while after < STEPS {
        let over = *failed_over.borrow();
        let step = load.owner.step(1);
        match load.owner.commit(&*store, &step).await {
            Ok(_) => {
                written.send_modify(|written| *written += 1);
                after += u64::from(over);
            }
            Err(StoreError::Unavailable(_)) => {}
            // Or a claim that was sent twice is followed late, and fences the one before.
            Err(StoreError::Conflict { .. } | StoreError::Fenced) => {
                let believed = load.owner.last;
                take_up(&store, &mut load.owner).await;
                load.conflicts += 1;
                load.lost += believed.saturating_sub(load.owner.last);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    load
}

async fn take_up(store: &RedisStore, owner: &mut Owner) {
    let claim = loop {
        match store.claim(owner.id(), "one", at(0), TTL).await {
            Ok(claim) => break claim,
            Err(StoreError::Unavailable(_)) => {}
            Err(error) => panic!("{error:?}"),
        }
    };
    assert!(claim.lease.epoch > owner.epoch, "an epoch was given twice");
    (owner.epoch, owner.last) = (claim.lease.epoch, claim.last.seq.get());
}

/// Drives sessions while `fail_over` ends a primary, and judges what is there in the end.
async fn under_load(store: RedisStore, fail_over: impl AsyncFnOnce()) {
    const OWNERS: usize = 8;
    let store = Arc::new(store);
    let (written, mut seen) = watch::channel(0);
    let (over, failed_over) = watch::channel(false);
    let mut owners = JoinSet::new();
    for _ in 0..OWNERS {
        owners.spawn(drive(Arc::clone(&store), written.clone(), failed_over.clone()));
    }
    timeout(Duration::from_mins(2), seen.wait_for(|written| *written >= OWNERS as u64 * STEPS)).await.unwrap().unwrap();
    fail_over().await;
    over.send_replace(true);
    let (mut lost, mut conflicts) = (0, 0);
    while let Some(load) = timeout(Duration::from_mins(2), owners.join_next()).await.unwrap() {
        let load = load.unwrap();
        (lost, conflicts) = (lost + load.lost, conflicts + load.conflicts);
        let events = store.read(load.owner.id(), Seq::new(0), usize::MAX).await.unwrap();
        let ids: Vec<_> = events.iter().map(|event| event.id).collect();
        assert!((1..).zip(&ids).all(|(seq, id)| id.seq.get() == seq), "the log has a hole");
        assert!(ids.is_sorted_by_key(|id| id.epoch), "an owner wrote after its successor");
        assert_eq!(ids.len() as u64, load.owner.last, "the owner's picture is not what is stored");
    }
    let all = *seen.borrow();
    eprintln!(
        "{all} steps were acknowledged; the failover lost {lost} of them in {conflicts} sessions, and each owner heard of it"
    );
}

async fn sentinel_failover_under_load_leaves_dense_logs() {
    let Watched { mut primary, replica: _replica, sentinel } = Watched::start().await;
    let url = format!("redis-sentinel://127.0.0.1:{}?sentinelServiceName=main", sentinel.port());
    let store = RedisStore::connect(&Config { operation_timeout_ms: 1_000, ..patient(url) }).await.unwrap();
    under_load(store, async || primary.kill()).await;
}

async fn cluster_failover_under_load_leaves_dense_logs() {
    let mut cluster = crate::cluster::Cluster::start_with_replicas().await;
    let config = Config { operation_timeout_ms: 1_000, ..patient(cluster.url()) };
    let store = RedisStore::connect(&config).await.unwrap();
    under_load(store, async || cluster.nodes()[1].kill()).await;
    let info = cluster.nodes()[0].ask(&["CLUSTER", "INFO"]).await;
    assert!(info.contains("cluster_state:ok"), "{info}");
}

async fn a_cluster_node_comes_back() {
    let mut cluster = crate::cluster::Cluster::start().await;
    let config = Config { operation_timeout_ms: 1_000, ..patient(cluster.url()) };
    let store = RedisStore::connect(&config).await.unwrap();
    let mut owners = Vec::new();
    for _ in 0..12 {
        let mut owner = Owner::new(&store).await;
        owner.write(&store, 1).await;
        owners.push(owner);
    }
    for node in 0..3 {
        cluster.nodes()[node].kill();
        cluster.nodes()[node].restart().await;
        cluster.wait().await;
        for owner in &mut owners {
            let step = owner.step(1);
            let go_on = async {
                while let Err(error) = owner.commit(&store, &step).await {
                    unavailable::<()>(Err(error));
                }
            };
            timeout(Duration::from_mins(1), go_on).await.unwrap();
        }
    }
    for owner in &owners {
        owner.assert_stored(&store, &[1, 2, 3, 4]).await;
    }
    let step = owners[0].step(0);
    assert_eq!(store.commit(owners[0].id(), &step).await.unwrap(), Committed::Written);
}
