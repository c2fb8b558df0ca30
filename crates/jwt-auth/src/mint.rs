use crate::Config;
use jsonwebtoken::{EncodingKey, Header, encode};
use lockkeeper_domain::{Power, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// Only tokens of `HS256` are made here, and there is no secret, or one that is too short.
    #[error("a secret of at least 32 bytes is needed to make tokens: set auth.jwt.secret")]
    Secret,
    /// Nobody would take it.
    #[error("the token would be valid for {0} seconds, and at most {1} are taken")]
    Lifetime(u64, u64),
    /// The signature cannot be made.
    #[error("the token cannot be signed")]
    Signature(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A token that somebody wants.
#[derive(Clone, Copy, Debug)]
pub struct TokenRequest<'a> {
    /// Whom it stands for.
    pub subject: &'a str,
    /// How long it is good, in seconds.
    pub secs: u64,
    /// Its own name (`jti`), which stands beside what its bearer decides.
    pub id: &'a str,
    /// What its bearer may do, where the configuration names a claim for it.
    pub powers: &'a [Power],
}

#[derive(Serialize)]
struct Made<'a> {
    sub: &'a str,
    jti: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
    #[serde(flatten)]
    powers: Map<String, Value>,
}

/// A token of `HS256`, which an authenticator with the same configuration takes.
pub fn mint(config: &Config, request: TokenRequest<'_>, now: Timestamp) -> Result<SecretString, MintError> {
    let TokenRequest { subject, secs, id, powers } = request;
    let secret = config.secret.expose_secret().as_bytes();
    if secret.len() < Config::LEAST_SECRET {
        return Err(MintError::Secret);
    }
    if secs > config.max_lifetime_secs {
        return Err(MintError::Lifetime(secs, config.max_lifetime_secs));
    }
    let iat = u64::try_from(now.as_millis()).unwrap_or_default() / 1000;
    let (iss, aud) = (config.issuer.as_deref(), config.audience.as_deref());
    let powers = config.powers_claim.as_deref().map(|claim| claim_of(claim, powers)).unwrap_or_default();
    let made = Made { sub: subject, jti: id, iat, exp: iat + secs, iss, aud, powers };
    let token = encode(&Header::default(), &made, &EncodingKey::from_secret(secret));
    token.map(SecretString::from).map_err(|error| MintError::Signature(Box::new(error)))
}

/// The claim with these powers, within others where its name has dots.
fn claim_of(claim: &str, powers: &[Power]) -> Map<String, Value> {
    let (first, rest) = claim.split_once('.').unwrap_or((claim, ""));
    let value = if rest.is_empty() { json!(powers) } else { Value::Object(claim_of(rest, powers)) };
    Map::from_iter([(first.to_owned(), value)])
}
