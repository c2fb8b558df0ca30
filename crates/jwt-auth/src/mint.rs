use crate::Config;
use jsonwebtoken::{EncodingKey, Header, encode};
use lockkeeper_domain::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

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

#[derive(Serialize)]
struct Made<'a> {
    sub: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// A token of `HS256` for `subject` that is good for `secs` seconds, which an authenticator with the same configuration takes.
pub fn mint(config: &Config, subject: &str, secs: u64, now: Timestamp) -> Result<SecretString, MintError> {
    let secret = config.secret.expose_secret().as_bytes();
    if secret.len() < Config::LEAST_SECRET {
        return Err(MintError::Secret);
    }
    if secs > config.max_lifetime_secs {
        return Err(MintError::Lifetime(secs, config.max_lifetime_secs));
    }
    let iat = u64::try_from(now.as_millis()).unwrap_or_default() / 1000;
    let (iss, aud) = (config.issuer.as_deref(), config.audience.as_deref());
    let made = Made { sub: subject, iat, exp: iat + secs, iss, aud };
    let token = encode(&Header::default(), &made, &EncodingKey::from_secret(secret));
    token.map(SecretString::from).map_err(|error| MintError::Signature(Box::new(error)))
}
