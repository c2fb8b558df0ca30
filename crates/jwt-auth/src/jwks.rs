use crate::{Algorithm, Config, header::Header};
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use reqwest::{Client, redirect::Policy};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

/// The largest key set, in bytes.
const LARGEST: usize = 256 << 10;

/// A key set that is fetched when it is needed.
#[derive(Debug)]
pub(crate) struct Jwks {
    client: Client,
    url: String,
    timeout: Duration,
    refresh: Duration,
    stale: Duration,
    refetch: Duration,
    /// Held while it is fetched, so that many tokens at once fetch it once.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    set: Option<(Arc<JwkSet>, Instant)>,
    tried: Option<Instant>,
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("no key of the issuer fits it")]
    Unknown,
    #[error("the keys of the issuer cannot be fetched: {0}")]
    Unavailable(String),
}

impl Jwks {
    pub(crate) fn new(url: String, config: &Config) -> Result<Self, reqwest::Error> {
        // Another user of TLS in this process may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // Where the keys are is the operator's choice alone, and no answer's.
        let client = Client::builder().redirect(Policy::none()).build()?;
        Ok(Self {
            client,
            url,
            timeout: config.fetch_timeout(),
            refresh: Duration::from_secs(config.refresh_secs),
            stale: Duration::from_secs(config.max_stale_secs),
            refetch: Duration::from_secs(config.refetch_secs),
            state: Mutex::default(),
        })
    }

    /// The key for a token.
    pub(crate) async fn key(&self, header: &Header) -> Result<DecodingKey, KeyError> {
        let set = self.set(false).await?;
        if let Some(key) = find(&set, header) {
            return Ok(key);
        }
        // The issuer may have a new key.
        let set = self.set(true).await?;
        find(&set, header).ok_or(KeyError::Unknown)
    }

    /// The set, no older than it may be; with `newer` it is fetched again, but not too often.
    async fn set(&self, newer: bool) -> Result<Arc<JwkSet>, KeyError> {
        let mut state = self.state.lock().await;
        let rested = state.tried.is_none_or(|tried| tried.elapsed() >= self.refetch);
        let old = state.set.as_ref().is_none_or(|(_, since)| since.elapsed() >= self.refresh);
        if rested && (old || newer) {
            state.tried = Some(Instant::now());
            match timeout(self.timeout, self.fetch()).await.unwrap_or_else(|_| Err("it takes too long".to_owned())) {
                Ok(set) => state.set = Some((Arc::new(set), Instant::now())),
                Err(why) => {
                    tracing::warn!(url = self.url, why, "the key set cannot be fetched");
                    let usable = state.set.as_ref().is_some_and(|(_, since)| since.elapsed() < self.stale);
                    if !usable {
                        state.set = None;
                        return Err(KeyError::Unavailable(why));
                    }
                }
            }
        }
        let set = state.set.as_ref().filter(|(_, since)| since.elapsed() < self.stale).map(|(set, _)| Arc::clone(set));
        set.ok_or_else(|| KeyError::Unavailable("the last try has just failed".to_owned()))
    }

    async fn fetch(&self) -> Result<JwkSet, String> {
        let mut answer = self.client.get(&self.url).send().await.map_err(|error| error.without_url().to_string())?;
        if !answer.status().is_success() {
            return Err(format!("it answers {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| error.without_url().to_string())? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST {
                return Err(format!("it is larger than {LARGEST} bytes"));
            }
        }
        serde_json::from_slice(&body).map_err(|error| format!("it is no key set: {error}"))
    }
}

/// The key by its name; without one, the only key that fits.
fn find(set: &JwkSet, header: &Header) -> Option<DecodingKey> {
    let fits = |key: &&Jwk| fits(key, header.algorithm);
    let named = |key: &&Jwk| header.key.is_none() || key.common.key_id == header.key;
    let mut found = set.keys.iter().filter(fits).filter(named);
    match (found.next(), found.next()) {
        (Some(key), None) => DecodingKey::from_jwk(key).ok(),
        _ => None,
    }
}

/// Whether a key is for signatures by this algorithm and no other. A symmetric key in a public set is no key at all.
fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    let kind = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::Rs256) => true,
        (AlgorithmParameters::EllipticCurve(curve), Algorithm::Es256) => curve.curve == EllipticCurve::P256,
        (AlgorithmParameters::OctetKeyPair(curve), Algorithm::EdDsa) => curve.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let named = match algorithm {
        Algorithm::Hs256 => return false,
        Algorithm::Rs256 => KeyAlgorithm::RS256,
        Algorithm::Es256 => KeyAlgorithm::ES256,
        Algorithm::EdDsa => KeyAlgorithm::EdDSA,
    };
    let says = key.common.key_algorithm.is_none_or(|said| said == named);
    let signs = key.common.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature);
    kind && says && signs
}
