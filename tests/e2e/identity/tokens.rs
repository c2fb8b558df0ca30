//! Tokens, good and bad, and the issuer of some of them.

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, crypto, encode};
use lockkeeper_tests::{Binaries, repository};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

pub(crate) const SECRET: &str = "a-secret-of-these-tests-alone-5b1e";

/// Tokens by this secret.
pub(crate) const SYMMETRIC: &str = "auth.mode = 'jwt'\nauth.jwt.secret = 'a-secret-of-these-tests-alone-5b1e'";

/// A token as the command line makes it, for the server whose folder this is.
pub(crate) fn create(folder: &Path, user: &str, secs: u64) -> Result<String> {
    let mut command = Command::new(&Binaries::find()?.server);
    command.args(["token", "create", user, "--valid-secs", &secs.to_string(), "--config", "lockkeeper.toml"]);
    let output = command.current_dir(folder).env_clear().stdin(Stdio::null()).output()?;
    ensure!(output.status.success(), "no token: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the server under test has the real clock too")]
fn now() -> Result<u64> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())
}

fn claims() -> Result<Value> {
    let now = now()?;
    Ok(json!({ "sub": "ann", "iat": now, "exp": now + 600, "iss": "https://id.example", "aud": "lockkeeper" }))
}

/// A good token of this subject, with this claim `scope`.
pub(super) fn scoped(subject: &str, scope: &str) -> Result<String> {
    let now = now()?;
    let claims = json!({ "sub": subject, "iat": now, "exp": now + 600, "scope": scope });
    signed(&json!({ "alg": "HS256", "typ": "JWT" }), &claims)
}

/// With the right secret, whatever the header says.
fn signed(header: &Value, claims: &Value) -> Result<String> {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = crypto::sign(message.as_bytes(), &EncodingKey::from_secret(SECRET.as_bytes()), Algorithm::HS256)?;
    Ok(format!("{message}.{signature}"))
}

/// Tokens that nobody may be known by, each with what is wrong with it.
pub(super) fn bad() -> Result<Vec<(String, Value)>> {
    let (now, plain, good) = (now()?, json!({ "alg": "HS256", "typ": "JWT" }), claims()?);
    let mut bad: Vec<(String, Value)> = Vec::new();
    for change in [
        json!({ "sub": null }),
        json!({ "sub": "" }),
        json!({ "sub": 7 }),
        json!({ "sub": ["ann"] }),
        json!({ "exp": null }),
        json!({ "exp": "soon" }),
        json!({ "exp": now - 3600 }),
        json!({ "exp": -1 }),
        json!({ "exp": now + 10_000_000 }),
        json!({ "nbf": now + 3600 }),
        json!({ "iat": now + 3600 }),
        json!({ "iss": null }),
        json!({ "iss": "https://evil.example" }),
        json!({ "aud": null }),
        json!({ "aud": "others" }),
        json!({ "aud": ["a", "b"] }),
    ] {
        let mut claims = good.clone();
        for (name, value) in change.as_object().into_iter().flatten() {
            claims[name] = value.clone();
        }
        bad.push((change.to_string(), signed(&plain, &claims)?.into()));
    }
    for header in [
        json!({ "alg": "none" }),
        json!({ "alg": "NONE" }),
        json!({ "alg": "" }),
        json!({ "alg": "HS512" }),
        json!({ "alg": "hs256" }),
        json!({ "alg": "RS256" }),
        json!({ "alg": "ES256", "kid": "p256" }),
        json!({ "typ": "JWT" }),
        json!({ "alg": ["HS256"] }),
        json!({ "alg": "HS256", "crit": ["exp"] }),
        json!({ "alg": "HS256", "typ": "dpop+jwt" }),
        json!("HS256"),
    ] {
        bad.push((header.to_string(), signed(&header, &good)?.into()));
    }
    let token = signed(&plain, &good)?;
    let other = encode(&Header::default(), &good, &EncodingKey::from_secret(b"another secret of thirty-two bytes"))?;
    let (message, signature) = token.rsplit_once('.').context("three parts")?;
    let others = signed(&plain, &json!({ "sub": "bob", "exp": now + 600 }))?;
    let (others, _) = others.rsplit_once('.').context("three parts")?;
    let unsigned =
        format!("{}.{}", URL_SAFE_NO_PAD.encode("{\"alg\":\"none\"}"), message.split('.').nth(1).unwrap_or(""));
    for (what, token) in [
        ("another secret", json!(other)),
        ("no algorithm and no signature", json!(format!("{unsigned}."))),
        ("no signature", json!(format!("{message}."))),
        ("two parts", json!(message)),
        ("four parts", json!(format!("{token}.x"))),
        ("another's signature", json!(format!("{others}.{signature}"))),
        ("padding", json!(format!("{token}="))),
        ("space before it", json!(format!(" {token}"))),
        ("a line's end after it", json!(format!("{token}\n"))),
        ("its scheme before it", json!(format!("Bearer {token}"))),
        ("two in one", json!(format!("{token},{token}"))),
        ("the secret itself", json!(SECRET)),
        ("nothing in it", json!("")),
        ("dots alone", json!("..")),
        ("too long", json!(format!("{token}{}", "x".repeat(7000)))),
        ("far too long", json!("x".repeat(9000))),
        ("a zero in it", json!(format!("{token}\u{0}"))),
        ("a number", json!(7)),
        ("an object", json!({ "sub": "ann" })),
        ("a list", json!([token])),
        ("none", Value::Null),
        ("a yes", json!(true)),
    ] {
        bad.push((what.to_owned(), token));
    }
    Ok(bad)
}

fn keys() -> PathBuf {
    repository().join("crates/jwt-auth/tests/keys")
}

/// A token of the issuer's, signed with its P-256 key.
pub(super) fn es256(subject: &str, audience: &str, kid: Option<&str>) -> Result<String> {
    let key = EncodingKey::from_ec_pem(&fs::read(keys().join("p256.pem"))?)?;
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::ES256) };
    let mut claims = claims()?;
    (claims["sub"], claims["aud"]) = (json!(subject), json!(audience));
    Ok(encode(&header, &claims, &key)?)
}

/// A token whose secret is what everybody can read: the issuer's key set.
pub(super) fn confused() -> Result<String> {
    let set = fs::read(keys().join("jwks.json"))?;
    let header = Header { kid: Some("p256".to_owned()), ..Header::new(Algorithm::HS256) };
    Ok(encode(&header, &claims()?, &EncodingKey::from_secret(&set))?)
}

/// An issuer on this machine, which publishes its keys.
pub(super) struct Issuer {
    url: String,
    _server: JoinSet<()>,
}

impl Issuer {
    pub(super) async fn start() -> Result<Self> {
        let set = fs::read_to_string(keys().join("jwks.json"))?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/keys", listener.local_addr()?);
        let mut server = JoinSet::new();
        server.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = [0; 4096];
                let _ = stream.read(&mut head).await;
                let length = set.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{set}");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Ok(Self { url, _server: server })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}
