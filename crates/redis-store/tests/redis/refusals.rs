//! Answers that say that a server cannot now: each is told in words that say what to do, and passes.

use crate::{
    Case, environment,
    owner::{Owner, unavailable},
    server::{Server, patient},
};
use lockkeeper_ports::{Committed, EventLog as _, SessionRepository as _, SessionStore as _};
use lockkeeper_redis_store::{Config, ConnectError, RedisStore};
use std::process::Command;

pub(crate) fn cases() -> Vec<Case> {
    crate::cases![
        r5_read_only_after_a_failover,
        r8_memory_is_full,
        r9_the_disk_is_full needs no_small_disk(),
        r10_too_few_replicas,
        r10_a_replica_whose_primary_is_gone,
        r10_a_server_that_loads,
        r10_a_server_held_up_by_a_script,
        r10_a_cluster_without_its_slots,
        r11_too_many_clients,
        a_wrong_password_fails_at_once,
    ]
}

/// A store that does not try for long.
async fn store(server: &Server) -> RedisStore {
    let config = Config { operation_timeout_ms: 2_000, ..patient(server.url()) };
    RedisStore::connect(&config).await.unwrap()
}

/// Between `broken` and `mended` a commit is refused with these words, reads go on, and the same commit is good again.
async fn check(server: &Server, broken: &[&str], mended: &[&str], words: &str) {
    let store = store(server).await;
    let mut owner = Owner::new(&store).await;
    owner.write(&store, 1).await;
    let answer = server.ask(broken).await;
    assert!(answer.starts_with("+OK"), "{answer}");
    let step = owner.step(1);
    let text = unavailable(store.commit(owner.id(), &step).await);
    assert!(text.contains(words) && text.contains("redis.sock"), "{text}");
    unavailable(store.check().await);
    assert_eq!(store.last(owner.id()).await.unwrap().seq.get(), 1, "reads go on, and nothing was written");
    server.ask(mended).await;
    assert_eq!(owner.commit(&store, &step).await.unwrap(), Committed::Written);
    store.check().await.unwrap();
    owner.assert_stored(&store, &[1, 2]).await;
}

async fn r5_read_only_after_a_failover() {
    let server = Server::start(&["--replica-serve-stale-data yes"]).await;
    check(&server, &["REPLICAOF", "127.0.0.1", "1"], &["REPLICAOF", "NO", "ONE"], "read-only replica").await;
}

async fn r8_memory_is_full() {
    let server = Server::start(&[]).await;
    let (broken, mended) = (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]);
    check(&server, &broken, &mended, "is full").await;
}

/// Why a file system of one megabyte cannot be had, if it cannot.
fn no_small_disk() -> Option<String> {
    let made = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/mnt"]).output();
    let is_made = made.is_ok_and(|made| made.status.success());
    (!is_made && !environment::is_ci()).then(|| "a file system cannot be mounted: unshare -rm is needed".to_owned())
}

async fn r9_the_disk_is_full() {
    let server = Server::start_on_small_disk().await;
    let store = store(&server).await;
    let mut owner = Owner::new(&store).await;
    let mut written = 0;
    let text = loop {
        let mut step = owner.step(1);
        if let lockkeeper_domain::EventBody::Notice { text, .. } = &mut step.events[0].body {
            *text = "x".repeat(64 << 10);
        }
        match owner.commit(&store, &step).await {
            Ok(_) => written += 1,
            Err(error) => break unavailable::<()>(Err(error)),
        }
        assert!(written < 1_000, "the disk has one megabyte");
    };
    assert!(text.contains("cannot write to its disk"), "{text}");
    unavailable(store.check().await);
    assert_eq!(store.last(owner.id()).await.unwrap().seq.get(), owner.last, "reads go on");
}

async fn r10_too_few_replicas() {
    let server = Server::start(&[]).await;
    let (broken, mended) =
        (["CONFIG", "SET", "min-replicas-to-write", "1"], ["CONFIG", "SET", "min-replicas-to-write", "0"]);
    check(&server, &broken, &mended, "fewer replicas").await;
}

async fn r10_a_replica_whose_primary_is_gone() {
    let server = Server::start(&["--replica-serve-stale-data no"]).await;
    let store = store(&server).await;
    let mut owner = Owner::new(&store).await;
    server.ask(&["REPLICAOF", "127.0.0.1", "1"]).await;
    let step = owner.step(1);
    let text = unavailable(store.commit(owner.id(), &step).await);
    assert!(text.contains("replica whose primary is gone"), "{text}");
    unavailable(store.get(owner.id()).await);
    server.ask(&["REPLICAOF", "NO", "ONE"]).await;
    assert_eq!(owner.commit(&store, &step).await.unwrap(), Committed::Written);
}

async fn r10_a_server_that_loads() {
    let mut server = Server::start(&["--appendfsync always"]).await;
    let store = store(&server).await;
    let mut owner = Owner::new(&store).await;
    for _ in 0..40 {
        owner.write(&store, 1_000).await;
    }
    server.kill();
    // A millisecond for each command, so that it loads for longer than this test looks; it answers after each thousand.
    server.add_option("--key-load-delay 1000");
    server.begin();
    while !server.ask_or_nothing(&["PING"]).await.starts_with("-LOADING") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let text = unavailable(store.commit(owner.id(), &owner.step(1)).await);
    assert!(text.contains("loading") || text.contains("cannot be reached") || text.contains("in time"), "{text}");
    let config = Config { start_timeout_ms: 300, ..patient(server.url()) };
    match RedisStore::connect(&config).await {
        Err(ConnectError::Unavailable { .. }) => {}
        other => panic!("{other:?}"),
    }
}

async fn r10_a_server_held_up_by_a_script() {
    let server = Server::start(&["--lua-time-limit 5"]).await;
    let store = store(&server).await;
    let mut owner = Owner::new(&store).await;
    let (_, ()) = tokio::join!(server.ask(&["EVAL", "while true do end", "0"]), async {
        while !server.ask(&["GET", "x"]).await.starts_with("-BUSY") {
            tokio::task::yield_now().await;
        }
        let step = owner.step(1);
        let text = unavailable(store.commit(owner.id(), &step).await);
        assert!(text.contains("somebody's long script"), "{text}");
        server.ask(&["SCRIPT", "KILL"]).await;
        while owner.commit(&store, &step).await.is_err() {}
    });
    owner.assert_stored(&store, &[1]).await;
}

async fn r10_a_cluster_without_its_slots() {
    let server = Server::start_on_port(&["--cluster-enabled yes"]).await;
    let config = Config {
        start_timeout_ms: 500,
        operation_timeout_ms: 300,
        ..patient(format!("redis-cluster://127.0.0.1:{}", server.port()))
    };
    match RedisStore::connect(&config).await {
        Err(error @ ConnectError::Unavailable { .. }) => {
            assert!(error.to_string().contains(&server.port().to_string()), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

async fn r11_too_many_clients() {
    let server = Server::start(&["--maxclients 3"]).await;
    let config = Config { start_timeout_ms: 500, ..patient(server.url()) };
    match RedisStore::connect(&config).await {
        Err(error @ ConnectError::Unavailable { .. }) => {
            let text = error.to_string();
            assert!(text.contains("no room for more clients") || text.contains("cannot be reached"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    // There is room for this once the server has seen that the others have gone.
    while !server.ask_or_nothing(&["CONFIG", "SET", "maxclients", "100"]).await.starts_with("+OK") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    server.store().await.check().await.unwrap();
}

async fn a_wrong_password_fails_at_once() {
    let server = Server::start_on_port(&["--requirepass right"]).await;
    let started = std::time::Instant::now();
    let config = patient(format!("redis://:wrong-word@127.0.0.1:{}", server.port()));
    match RedisStore::connect(&config).await {
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("the user or the password") && !text.contains("wrong-word"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(20), "it is not tried again");
    let good = patient(format!("redis://:right@127.0.0.1:{}", server.port()));
    RedisStore::connect(&good).await.unwrap();
}
