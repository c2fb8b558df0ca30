use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How a token may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// HMAC with SHA-256 and a secret of the configuration.
    #[serde(rename = "HS256")]
    Hs256,
    /// RSA with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl Algorithm {
    /// Its name in a token's header (RFC 7518, section 3.1; RFC 8037, section 3.1).
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(crate) const fn foreign(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// Which tokens are taken.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The algorithms: by default `HS256` where there is a secret, and the three others where there is a key set.
    pub algorithms: Vec<Algorithm>,
    /// The secret of `HS256`: at least 32 bytes (RFC 7518, section 3.2). None by default.
    #[schemars(with = "String")]
    pub secret: SecretString,
    /// Where the key set is: `https://..`, or `http://` on this machine. None by default.
    pub jwks_url: Option<String>,
    /// What `iss` must be. Needed with a key set.
    pub issuer: Option<String>,
    /// What `aud` must be or hold. Needed with a key set.
    pub audience: Option<String>,
    /// Which claim says what its bearer may do: `drive`, `decide`, `approve`, `observe`, in one text with spaces between them or
    /// in a list; other words are ignored. `realm_access.roles` is the claim `roles` within `realm_access`. None by default:
    /// everyone may `drive` and `decide`. Where it is set, a token without a known word in it is refused.
    pub powers_claim: Option<String>,
    /// Tokens that are not accepted any more, by their `jti`. Read again while the server runs.
    pub revoked_tokens: BTreeSet<String>,
    /// By `sub`, the earliest `iat` that is accepted, in seconds since 1970: older tokens of that subject, and those
    /// without `iat`, are refused. Read again while the server runs.
    pub not_before: BTreeMap<String, u64>,
    /// How far clocks may be apart, in seconds: 30.
    pub leeway_secs: u64,
    /// How long after its `iat`, or from now where it has none, a token may end, in seconds: 86400.
    pub max_lifetime_secs: u64,
    /// The longest token, in bytes: 8192.
    pub max_bytes: usize,
    /// How old the key set may become before it is fetched again, in seconds: 300.
    pub refresh_secs: u64,
    /// How long a key set is used that cannot be fetched again, in seconds: 86400.
    pub max_stale_secs: u64,
    /// How often it may be fetched for keys that it does not hold, in seconds: 10.
    pub refetch_secs: u64,
    /// How long fetching it may take, in milliseconds: 5000.
    pub fetch_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            algorithms: Vec::new(),
            secret: SecretString::default(),
            jwks_url: None,
            issuer: None,
            audience: None,
            powers_claim: None,
            revoked_tokens: BTreeSet::new(),
            not_before: BTreeMap::new(),
            leeway_secs: 30,
            max_lifetime_secs: 86_400,
            max_bytes: 8192,
            refresh_secs: 300,
            max_stale_secs: 86_400,
            refetch_secs: 10,
            fetch_timeout_ms: 5000,
        }
    }
}

impl Config {
    /// The shortest secret of `HS256`, in bytes.
    pub const LEAST_SECRET: usize = 32;

    /// What is wrong with the values, each with its key; empty when nothing is.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut say = |key, what: &str| problems.push((key, what.to_owned()));
        let length = self.secret.expose_secret().len();
        if length == 0 && self.jwks_url.is_none() {
            say("secret", "is missing, and so is jwks_url: one of them tells good tokens from bad ones");
        }
        if (1..Self::LEAST_SECRET).contains(&length) {
            say("secret", "is too short: HS256 takes at least 32 bytes, as `openssl rand -base64 32` makes them");
        }
        let takes = self.taken();
        if takes.contains(&Algorithm::Hs256) && length == 0 {
            say("algorithms", "names HS256, which needs a secret");
        }
        if takes.iter().any(|algorithm| *algorithm != Algorithm::Hs256) && self.jwks_url.is_none() {
            say("algorithms", "names an algorithm that needs jwks_url");
        }
        if let Some(url) = &self.jwks_url {
            if !is_safe(url) {
                say("jwks_url", "must begin with https://, or with http://127.0.0.1, http://[::1] or http://localhost");
            }
            if self.issuer.is_none() {
                say("issuer", "is missing: keys of an issuer are good for its tokens alone");
            }
            if self.audience.is_none() {
                say("audience", "is missing: the issuer makes tokens for others too");
            }
        }
        if self.max_lifetime_secs == 0 {
            say("max_lifetime_secs", "must be at least 1");
        }
        problems
    }

    /// The algorithms that count.
    pub(crate) fn taken(&self) -> Vec<Algorithm> {
        if !self.algorithms.is_empty() {
            return self.algorithms.clone();
        }
        let mut all = Vec::new();
        if !self.secret.expose_secret().is_empty() {
            all.push(Algorithm::Hs256);
        }
        if self.jwks_url.is_some() {
            all.extend([Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa]);
        }
        all
    }

    pub(crate) fn fetch_timeout(&self) -> Duration {
        Duration::from_millis(self.fetch_timeout_ms)
    }
}

/// Whether nobody on the way can change what is fetched.
fn is_safe(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return url.starts_with("https://") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let name = if host.starts_with('[') { host.split_inclusive(']').next() } else { host.split(':').next() };
    matches!(name, Some("127.0.0.1" | "[::1]" | "localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(config: &Config) -> Vec<&'static str> {
        config.problems().into_iter().map(|(key, _)| key).collect()
    }

    #[test]
    fn what_cannot_be_safe_is_named() {
        assert_eq!(keys(&Config::default()), ["secret"]);
        let secret = |secret: &str| Config { secret: secret.into(), ..Config::default() };
        assert_eq!(keys(&secret("short")), ["secret"]);
        assert_eq!(keys(&secret(&"x".repeat(32))), Vec::<&str>::new());
        let set = |url: &str| Config { jwks_url: Some(url.to_owned()), ..Config::default() };
        assert_eq!(keys(&set("http://evil.example/keys")), ["jwks_url", "issuer", "audience"]);
        assert_eq!(keys(&set("http://127.0.0.1.evil.example/keys")), ["jwks_url", "issuer", "audience"]);
        assert_eq!(keys(&set("https://id.example/keys")), ["issuer", "audience"]);
        assert_eq!(keys(&set("http://localhost:9/keys")), ["issuer", "audience"]);
        let named = Config { algorithms: vec![Algorithm::Rs256], ..secret(&"x".repeat(32)) };
        assert_eq!(keys(&named), ["algorithms"]);
    }
}
