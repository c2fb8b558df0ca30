//! Key sets of issuers that are slow, away, or asked for keys that they do not have.

use jsonwebtoken::{Algorithm as Foreign, EncodingKey, Header, encode};
use lockkeeper_jwt_auth::{Config, JwtAuthenticator};
use lockkeeper_ports::{AuthError, Authenticator, Clock, Credentials};
use lockkeeper_testkit::clock::TokioClock;
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};

const ED25519: &[u8] = include_bytes!("keys/ed25519.pem");
const JWKS: &str = include_str!("keys/jwks.json");

/// An issuer that answers as often as it is let, and counts how often it was asked.
struct Issuer {
    url: String,
    asked: watch::Receiver<usize>,
    let_through: Arc<Semaphore>,
    /// 0 for a good answer, else the status of a bad one.
    status: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        let (asking, asked) = watch::channel(0);
        let (let_through, status) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (permits, state, mut server) = (Arc::clone(&let_through), Arc::clone(&status), JoinSet::new());
        server.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                asking.send_modify(|count| *count += 1);
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                permits.acquire().await.expect("open").forget();
                let (line, body) = match state.load(Ordering::Relaxed) {
                    0 => ("200 OK".to_owned(), JWKS),
                    status => (format!("{status} Away"), ""),
                };
                let length = body.len();
                let head = format!("HTTP/1.1 {line}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        Self { url, asked, let_through, status, _server: server }
    }

    fn answer(&self) {
        self.let_through.add_permits(1);
    }

    async fn asked(&self, times: usize) {
        self.asked.clone().wait_for(|asked| *asked >= times).await.expect("it runs");
    }

    fn authenticator(&self, change: impl FnOnce(&mut Config)) -> (JwtAuthenticator, Tokens) {
        let clock = TokioClock::start();
        let mut config = Config {
            jwks_url: Some(self.url.clone()),
            issuer: Some("https://id.example".to_owned()),
            audience: Some("lockkeeper".to_owned()),
            // No test waits for it.
            fetch_timeout_ms: 600_000,
            ..Config::default()
        };
        change(&mut config);
        (JwtAuthenticator::new(config, Arc::new(clock)).expect("a good configuration"), Tokens(clock))
    }
}

struct Tokens(TokioClock);

impl Tokens {
    fn signed_by(&self, kid: &str) -> String {
        let exp = self.0.now().as_millis() / 1000 + 3600;
        let claims: Value = json!({"sub": "ann", "exp": exp, "iss": "https://id.example", "aud": "lockkeeper"});
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Foreign::EdDSA) };
        encode(&header, &claims, &EncodingKey::from_ed_pem(ED25519).expect("a key")).expect("signed")
    }
}

async fn ask(authenticator: &JwtAuthenticator, token: &str) -> Result<(), AuthError> {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let credentials = Credentials { token: Some(token.into()), key: None, address };
    authenticator.authenticate(&credentials).await.map(drop)
}

fn is_refused(answer: &Result<(), AuthError>) -> bool {
    matches!(answer, Err(AuthError::Refused(why)) if why.contains("no key"))
}

/// Covers: S3-jwks
#[tokio::test]
async fn good_token_does_not_wait_for_the_fetch_of_an_unknown_key() {
    let issuer = Issuer::start().await;
    let (known, tokens) = issuer.authenticator(|config| config.refetch_secs = 0);
    issuer.answer();
    ask(&known, &tokens.signed_by("ed")).await.expect("good");
    let known = Arc::new(known);
    let mut storm = JoinSet::new();
    for n in 0..100 {
        let (known, token) = (Arc::clone(&known), tokens.signed_by(&format!("nobody {n}")));
        storm.spawn(async move { ask(&known, &token).await });
    }
    issuer.asked(2).await;
    // The issuer does not answer, and nothing of this waits for it.
    for _ in 0..100 {
        ask(&known, &tokens.signed_by("ed")).await.expect("good");
    }
    assert_eq!(*issuer.asked.borrow(), 2, "one fetch at a time");
    issuer.answer();
    while let Some(answer) = storm.join_next().await {
        assert!(is_refused(&answer.expect("it ends")));
        // Those that came to ask after the fetch had ended may have begun another.
        issuer.answer();
    }
}

/// Covers: S3-jwks
#[tokio::test]
async fn unknown_keys_cause_a_fetch_at_most_once_per_interval() {
    let issuer = Issuer::start().await;
    let (known, tokens) = issuer.authenticator(|_| {});
    issuer.answer();
    for n in 0..50 {
        assert!(is_refused(&ask(&known, &tokens.signed_by(&format!("nobody {n}"))).await));
    }
    assert_eq!(*issuer.asked.borrow(), 1);
}

/// Covers: S3-jwks
#[tokio::test]
async fn old_key_set_is_served_while_and_after_a_fetch_fails() {
    let issuer = Issuer::start().await;
    let (known, tokens) = issuer.authenticator(|config| {
        (config.refresh_secs, config.refetch_secs) = (0, 0);
    });
    issuer.answer();
    ask(&known, &tokens.signed_by("ed")).await.expect("good");
    issuer.status.store(503, Ordering::Relaxed);
    ask(&known, &tokens.signed_by("ed")).await.expect("good: the fetch runs in the background");
    issuer.asked(2).await;
    issuer.answer();
    // Each of these begins the next fetch, which fails.
    for _ in 0..10 {
        issuer.answer();
        ask(&known, &tokens.signed_by("ed")).await.expect("good");
    }
}

/// Covers: S3-jwks
#[tokio::test]
async fn key_set_older_than_its_limit_is_not_used() {
    let issuer = Issuer::start().await;
    let (known, tokens) = issuer.authenticator(|config| (config.max_stale_secs, config.refetch_secs) = (0, 3600));
    issuer.answer();
    let answer = ask(&known, &tokens.signed_by("ed")).await;
    assert!(matches!(answer, Err(AuthError::Unavailable(_))), "{answer:?}");
}

/// Covers: S3-jwks
#[tokio::test]
async fn waiting_client_that_leaves_does_not_stop_the_fetch() {
    let issuer = Issuer::start().await;
    let (known, tokens) = issuer.authenticator(|_| {});
    let known = Arc::new(known);
    let mut clients = JoinSet::new();
    let (asked, token) = (Arc::clone(&known), tokens.signed_by("ed"));
    clients.spawn(async move { ask(&asked, &token).await });
    issuer.asked(1).await;
    clients.shutdown().await;
    issuer.answer();
    let token = tokens.signed_by("ed");
    let again = tokio::time::timeout(Duration::from_secs(30), ask(&known, &token));
    again.await.expect("it ends").expect("good");
    assert_eq!(*issuer.asked.borrow(), 1);
}

/// Covers: S3-jwks
#[tokio::test]
async fn reconfigured_authenticator_keeps_the_key_set() {
    let issuer = Issuer::start().await;
    let (known, tokens) = issuer.authenticator(|_| {});
    issuer.answer();
    ask(&known, &tokens.signed_by("ed")).await.expect("good");
    let config = Config {
        jwks_url: Some(issuer.url.clone()),
        issuer: Some("https://id.example".to_owned()),
        audience: Some("lockkeeper".to_owned()),
        fetch_timeout_ms: 600_000,
        not_before: [("ann".to_owned(), 1)].into(),
        ..Config::default()
    };
    let known = known.reconfigured(config).expect("good");
    // The token has no iat, and so is not shown to be newer than what was revoked.
    let answer = ask(&known, &tokens.signed_by("ed")).await;
    assert!(matches!(&answer, Err(AuthError::Refused(why)) if why.contains("revoked")), "{answer:?}");
    assert_eq!(*issuer.asked.borrow(), 1, "it asked the issuer again");
}
