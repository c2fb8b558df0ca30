//! Ways to a server: TLS, users with few rights, databases; and what is said of a server that works and forgets.

use crate::{
    Case, environment,
    owner::{Owner, unavailable},
    server::{Server, patient},
};
use lockkeeper_ports::SessionStore as _;
use lockkeeper_redis_store::{Config, ConnectError, RedisStore};
use std::{path::Path, process::Command};

pub(crate) fn cases() -> Vec<Case> {
    crate::cases![
        over_tls needs environment::missing("openssl", "apt-get install openssl"),
        a_user_with_the_documented_rights_is_enough,
        a_user_without_rights_is_told_what_it_lacks,
        servers_that_start_at_once_share_one_secret,
        databases_are_apart,
        s6_servers_can_go_by_the_clock_of_their_redis,
        a_server_without_an_append_only_file_is_warned_of,
    ]
}

/// Writes and reads a little of everything.
async fn exercise(store: &RedisStore) {
    let mut owner = Owner::new(store).await;
    owner.write(store, 3).await;
    owner.assert_stored(store, &[3]).await;
    store.check().await.unwrap();
}

/// A certificate authority `ca.pem`, and a certificate of it for 127.0.0.1.
fn certificates(dir: &Path) {
    let run = |args: &str| {
        let done = Command::new("openssl").current_dir(dir).args(args.split(' ')).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    run(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2"));
    run(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"));
    std::fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    run("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names");
}

async fn s6_servers_can_go_by_the_clock_of_their_redis() {
    let server = Server::start(&[]).await;
    let store = server.store().await;
    let asked = async || -> i64 { server.ask(&["TIME"]).await.lines().nth(2).unwrap().parse().unwrap() };
    let before = asked().await;
    let told = store.time().await.unwrap().as_millis() / 1_000;
    assert!((before..=asked().await).contains(&told), "{told} after {before}");
}

async fn over_tls() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (ca, cert, key) = (at("ca.pem"), at("server.pem"), at("server.key"));
    let files =
        [format!("--tls-ca-cert-file {ca}"), format!("--tls-cert-file {cert}"), format!("--tls-key-file {key}")];
    let options = ["--tls-auth-clients no", &files[0], &files[1], &files[2]];
    let server = Server::start_on_tls_port(&options).await;
    let url = format!("rediss://127.0.0.1:{}", server.port());
    let config = Config { tls_ca_file: Some(ca.into()), ..patient(url.clone()) };
    exercise(&RedisStore::connect(&config).await.unwrap()).await;

    // Another authority is no authority.
    certificates(dir.path());
    let config = Config { start_timeout_ms: 500, ..config };
    match RedisStore::connect(&config).await {
        Err(ConnectError::Unavailable { .. }) => {}
        other => panic!("{other:?}"),
    }
    let config = Config { tls_ca_file: Some(at("none.pem").into()), ..patient(url) };
    match RedisStore::connect(&config).await {
        Err(error @ ConnectError::Address(_)) => assert!(error.to_string().contains("none.pem"), "{error}"),
        other => panic!("{other:?}"),
    }
}

/// As docs/adr/0014-redis-store.md has them.
const RIGHTS: &str = "on >pass ~mcp:* &mcp:* +@read +@write +@scripting +@pubsub +@connection +time +cluster|slots \
                      +cluster|info -@dangerous";

async fn a_user_with_the_documented_rights_is_enough() {
    let server = Server::start_on_port(&[]).await;
    let mut words = vec!["ACL", "SETUSER", "lockkeeper"];
    words.extend(RIGHTS.split_whitespace());
    assert!(server.ask(&words).await.starts_with("+OK"));
    let url = format!("redis://lockkeeper:pass@127.0.0.1:{}", server.port());
    let store = RedisStore::connect(&patient(url)).await.unwrap();
    exercise(&store).await;
    assert!(store.warnings().is_empty(), "what it may not see is not warned of: {:?}", store.warnings());
}

async fn a_user_without_rights_is_told_what_it_lacks() {
    let server = Server::start_on_port(&[]).await;
    let words = ["ACL", "SETUSER", "reader", "on", ">pass", "~mcp:*", "+@read", "+@connection", "+info"];
    assert!(server.ask(&words).await.starts_with("+OK"));
    let url = format!("redis://reader:pass@127.0.0.1:{}", server.port());
    match RedisStore::connect(&patient(url)).await {
        Err(error @ ConnectError::Unavailable { .. }) => {
            let text = error.to_string();
            assert!(text.contains("does not allow its user") && text.contains("'set'"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

/// Covers: S2-13
async fn servers_that_start_at_once_share_one_secret() {
    let server = Server::start(&[]).await;
    let (one, other) = (server.store().await, server.store().await);
    assert_eq!(one.shared_secret("audit").await.unwrap(), None);
    let both = tokio::join!(one.share_secret("audit", "first"), other.share_secret("audit", "second"));
    let (first, second) = (both.0.unwrap(), both.1.unwrap());
    assert_eq!(first, second);
    assert_eq!(other.share_secret("audit", "third").await.unwrap(), first);
    assert_eq!(one.shared_secret("audit").await.unwrap(), Some(first));
}

async fn databases_are_apart() {
    let server = Server::start_on_port(&[]).await;
    let at = |database: u8| patient(format!("redis://127.0.0.1:{}/{database}", server.port()));
    let (one, two) = (RedisStore::connect(&at(1)).await.unwrap(), RedisStore::connect(&at(2)).await.unwrap());
    let mut owner = Owner::new(&one).await;
    owner.write(&one, 1).await;
    assert!(two.commit(owner.id(), &owner.step(1)).await.is_err());
    exercise(&two).await;
    owner.assert_stored(&one, &[1]).await;
    let beyond = Config { start_timeout_ms: 300, ..at(200) };
    assert!(RedisStore::connect(&beyond).await.is_err());
}

async fn a_server_without_an_append_only_file_is_warned_of() {
    let server = Server::start(&["--appendonly no", "--maxmemory-policy allkeys-lru"]).await;
    let store = server.store().await;
    let warnings = store.warnings().join("\n");
    assert!(warnings.contains("no append-only file") && warnings.contains("allkeys-lru"), "{warnings}");
    drop(server);
    unavailable(store.check().await);
    let server = Server::start(&[]).await;
    assert!(server.store().await.warnings().is_empty());
}
