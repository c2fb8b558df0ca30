//! Good tokens of each kind, and more than forty bad ones.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm as Foreign, EncodingKey, Header, encode};
use lockkeeper_domain::{Power, Powers};
use lockkeeper_jwt_auth::{Algorithm, Config, JwtAuthenticator, TokenRequest, mint};
use lockkeeper_ports::{AuthError, Authenticator, Clock, Credentials, Principal};
use lockkeeper_testkit::clock::TokioClock;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const RSA: &[u8] = include_bytes!("keys/rsa.pem");
const P256: &[u8] = include_bytes!("keys/p256.pem");
const ED25519: &[u8] = include_bytes!("keys/ed25519.pem");
const JWKS: &str = include_str!("keys/jwks.json");

/// An issuer on this machine; it counts how often its keys are fetched.
struct Issuer {
    url: String,
    fetched: Arc<AtomicUsize>,
    _server: JoinSet<()>,
}

impl Issuer {
    async fn start(status: &'static str, body: &'static str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        let fetched = Arc::new(AtomicUsize::new(0));
        let (count, mut server) = (Arc::clone(&fetched), JoinSet::new());
        server.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                count.fetch_add(1, Ordering::Relaxed);
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let length = body.len();
                let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
            }
        });
        Self { url, fetched, _server: server }
    }

    fn config(&self) -> Config {
        Config {
            jwks_url: Some(self.url.clone()),
            issuer: Some("https://id.example".to_owned()),
            audience: Some("lockkeeper".to_owned()),
            ..Config::default()
        }
    }
}

fn symmetric() -> Config {
    Config { secret: SECRET.into(), ..Config::default() }
}

fn seconds(clock: TokioClock) -> i64 {
    clock.now().as_millis() / 1000
}

fn authenticator(config: Config, clock: TokioClock) -> JwtAuthenticator {
    JwtAuthenticator::new(config, Arc::new(clock)).expect("a good configuration")
}

async fn ask(authenticator: &JwtAuthenticator, token: &str) -> Result<String, AuthError> {
    meet(authenticator, token).await.map(|principal| principal.id.as_str().to_owned())
}

async fn meet(authenticator: &JwtAuthenticator, token: &str) -> Result<Principal, AuthError> {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let credentials = Credentials { token: Some(token.into()), key: None, address };
    authenticator.authenticate(&credentials).await
}

fn wanted(subject: &str, secs: u64) -> TokenRequest<'_> {
    TokenRequest { subject, secs, id: "t-1", powers: &[Power::Approve] }
}

fn refused(answer: Result<String, AuthError>) -> String {
    match answer {
        Err(AuthError::Refused(why)) => why,
        other => panic!("not refused: {other:?}"),
    }
}

fn signed(algorithm: Foreign, kid: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).expect("signed")
}

/// A token with any header, signed with the shared secret as HS256 is.
fn with_header(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Foreign::HS256).expect("signed");
    format!("{message}.{signature}")
}

#[tokio::test]
async fn good_tokens_of_each_algorithm_are_taken() {
    let (clock, issuer) = (TokioClock::start(), Issuer::start("200 OK", JWKS).await);
    let claims =
        json!({"sub": "ann", "exp": seconds(clock) + 60, "iss": "https://id.example", "aud": ["x", "lockkeeper"]});
    let known = authenticator(issuer.config(), clock);
    let keys = [
        (Foreign::RS256, "rsa", EncodingKey::from_rsa_pem(RSA)),
        (Foreign::ES256, "p256", EncodingKey::from_ec_pem(P256)),
        (Foreign::EdDSA, "ed", EncodingKey::from_ed_pem(ED25519)),
    ];
    for (algorithm, kid, key) in keys {
        let key = key.expect("a key");
        assert_eq!(ask(&known, &signed(algorithm, Some(kid), &key, &claims)).await.expect(kid), "ann");
        // There is one key of each kind.
        assert_eq!(ask(&known, &signed(algorithm, None, &key, &claims)).await.expect(kid), "ann");
    }
    assert_eq!(issuer.fetched.load(Ordering::Relaxed), 1, "the keys are kept");
    let made = mint(&symmetric(), wanted("bob", 60), clock.now()).expect("made");
    assert_eq!(ask(&authenticator(symmetric(), clock), made.expose_secret()).await.expect("taken"), "bob");
    assert!(mint(&Config::default(), wanted("bob", 60), clock.now()).is_err());
    assert!(mint(&symmetric(), wanted("bob", 86_401), clock.now()).is_err());
}

#[tokio::test]
async fn a_token_says_until_when_it_is_good_by_which_name_and_for_what() {
    let clock = TokioClock::start();
    let config = Config { leeway_secs: 5, ..symmetric() };
    let now = seconds(clock);
    let token = mint(&config, wanted("ann", 60), clock.now()).expect("made");
    let ann = meet(&authenticator(config, clock), token.expose_secret()).await.expect("known");
    let end = ann.expires_at.expect("an end").as_millis() / 1000;
    assert!((now + 65..=now + 66).contains(&end), "{end} is not 65 s after {now}");
    assert_eq!(ann.via.token.as_deref(), Some("t-1"));
    assert_eq!(ann.powers, Powers::default(), "no claim is asked for");
    let config = Config { powers_claim: Some("realm.roles".to_owned()), ..symmetric() };
    let known = authenticator(config.clone(), clock);
    let token = mint(&config, wanted("ann", 60), clock.now()).expect("made");
    let ann = meet(&known, token.expose_secret()).await.expect("known");
    assert_eq!(ann.powers, Powers::from_iter([Power::Approve]));
    // Where the claim is asked for, a token without it is good for nothing.
    let bare = mint(&symmetric(), wanted("ann", 60), clock.now()).expect("made");
    assert!(refused(ask(&known, bare.expose_secret()).await).contains("no power"));
}

#[tokio::test]
async fn forty_bad_tokens_are_refused_with_a_reason() {
    let (clock, issuer) = (TokioClock::start(), Issuer::start("200 OK", JWKS).await);
    let now = seconds(clock);
    let config = Config {
        secret: SECRET.into(),
        algorithms: vec![Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256],
        ..issuer.config()
    };
    let known = authenticator(config, clock);
    let good = json!({"sub": "ann", "exp": now + 60, "iat": now, "iss": "https://id.example", "aud": "lockkeeper"});
    let but = |change: Value| {
        let mut claims = good.clone();
        for (name, value) in change.as_object().expect("fields") {
            if value == "GONE" {
                claims.as_object_mut().expect("fields").remove(name)
            } else {
                claims.as_object_mut().expect("fields").insert(name.clone(), value.clone())
            };
        }
        claims
    };
    let plain = json!({"alg": "HS256", "typ": "JWT"});
    assert_eq!(ask(&known, &with_header(&plain, &good)).await.expect("the good one"), "ann");

    let mut bad = Vec::new();
    for change in [
        json!({"sub": "GONE"}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": "x".repeat(1025)}),
        json!({"exp": "GONE"}),
        json!({"exp": "soon"}),
        json!({"exp": now - 31}),
        json!({"exp": -1}),
        json!({"exp": 0}),
        json!({"exp": 1e300}),
        json!({"exp": now + 90_000}),
        json!({"exp": now + 90_000, "iat": "GONE"}),
        json!({"nbf": now + 31}),
        json!({"nbf": "x"}),
        json!({"iat": now + 31}),
        json!({"iat": now - 90_000}),
        json!({"iss": "GONE"}),
        json!({"iss": "https://evil.example"}),
        json!({"iss": ["https://id.example"]}),
        json!({"aud": "GONE"}),
        json!({"aud": "others"}),
        json!({"aud": ["a", "b"]}),
        json!({"aud": {"lockkeeper": 1}}),
    ] {
        bad.push((change.to_string(), with_header(&plain, &but(change.clone()))));
    }
    for header in [
        json!({"alg": "none"}),
        json!({"alg": "None"}),
        json!({"alg": ""}),
        json!({"alg": "HS512"}),
        json!({"alg": "hs256"}),
        json!({"alg": "PS256"}),
        json!({"typ": "JWT"}),
        json!({"alg": 5}),
        json!({"alg": "EdDSA"}),
        json!({"alg": "HS256", "crit": ["exp"]}),
        json!({"alg": "HS256", "typ": "dpop+jwt"}),
        json!({"alg": "HS256", "kid": 1}),
        json!([1]),
        json!("HS256"),
        // The right secret, but the header claims a public key's algorithm.
        json!({"alg": "RS256", "kid": "rsa"}),
        json!({"alg": "ES256", "kid": "p256"}),
        json!({"alg": "RS256", "kid": "nobody"}),
    ] {
        bad.push((header.to_string(), with_header(&header, &good)));
    }
    // The public key as the secret of HS256, and a header that brings its own key.
    let public = EncodingKey::from_secret(JWKS.as_bytes());
    bad.push(("public key as secret".to_owned(), signed(Foreign::HS256, Some("rsa"), &public, &good)));
    let other = EncodingKey::from_secret(b"another secret of thirty-two byt");
    bad.push(("another secret".to_owned(), signed(Foreign::HS256, None, &other, &good)));
    let ed = EncodingKey::from_ed_pem(ED25519).expect("a key");
    bad.push(("not among the algorithms".to_owned(), signed(Foreign::EdDSA, Some("ed"), &ed, &good)));
    let p256 = EncodingKey::from_ec_pem(P256).expect("a key");
    bad.push(("the key of another algorithm".to_owned(), signed(Foreign::ES256, Some("rsa"), &p256, &good)));
    let token = with_header(&plain, &good);
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    bad.push(("no signature".to_owned(), format!("{message}.")));
    bad.push(("two parts".to_owned(), message.to_owned()));
    bad.push(("four parts".to_owned(), format!("{token}.x")));
    bad.push(("another's signature".to_owned(), format!("{message}.{}", signature.chars().rev().collect::<String>())));
    bad.push(("padding".to_owned(), format!("{token}=")));
    bad.push(("white space".to_owned(), format!(" {token}")));
    bad.push(("nothing".to_owned(), String::new()));
    bad.push(("dots".to_owned(), "..".to_owned()));
    bad.push(("too long".to_owned(), format!("{token}{}", "x".repeat(9000))));
    assert!(bad.len() > 40, "{}", bad.len());
    for (what, token) in bad {
        let why = refused(ask(&known, &token).await);
        assert!(why.starts_with("The token is not accepted: "), "{what}: {why}");
        assert!(token.is_empty() || !why.contains(&token), "{what}: the token is in the words");
    }
}

#[tokio::test]
async fn a_flipped_bit_anywhere_is_refused() {
    let clock = TokioClock::start();
    let known = authenticator(symmetric(), clock);
    let token = mint(&symmetric(), wanted("ann", 60), clock.now()).expect("made").expose_secret().to_owned();
    let last = token.len() - 1;
    for place in 0..last {
        let mut bytes = token.clone().into_bytes();
        bytes[place] ^= 1;
        if let Ok(changed) = String::from_utf8(bytes) {
            refused(ask(&known, &changed).await);
        }
    }
}

#[tokio::test]
async fn without_a_token_the_client_is_told_to_send_one() {
    let known = authenticator(symmetric(), TokioClock::start());
    let credentials = Credentials { token: None, key: None, address: IpAddr::V4(Ipv4Addr::LOCALHOST) };
    let answer = known.authenticate(&credentials).await;
    assert!(matches!(answer, Err(AuthError::Refused(why)) if why.contains("auth.token")));
}

#[tokio::test]
async fn an_issuer_that_is_away_is_no_refusal() {
    let clock = TokioClock::start();
    let claims = json!({"sub": "ann", "exp": seconds(clock) + 60});
    let key = EncodingKey::from_ed_pem(ED25519).expect("a key");
    let token = signed(Foreign::EdDSA, Some("ed"), &key, &claims);
    for (status, body) in [("503 Service Unavailable", ""), ("200 OK", "<html>"), ("200 OK", "{\"keys\": 5}")] {
        let issuer = Issuer::start(status, body).await;
        let answer = ask(&authenticator(issuer.config(), clock), &token).await;
        assert!(matches!(answer, Err(AuthError::Unavailable(_))), "{status} {body}: {answer:?}");
    }
}

#[test]
fn the_secret_is_in_no_debug_output() {
    let config = Config { secret: SecretString::from(SECRET), ..Config::default() };
    let shown = format!("{config:?} {:?}", authenticator(config.clone(), TokioClock::start()));
    assert!(!shown.contains(SECRET), "{shown}");
}
