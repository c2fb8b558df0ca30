//! The key set of an issuer, which is fetched when it is needed.
//!
//! Tokens whose key is known are checked with the set that is there; it is fetched again in the background. Only tokens
//! that no known key fits wait for a fetch. There is one fetch at a time, no lock is held across it, and which keys were
//! asked for in vain is not remembered: `refetch_secs` alone bounds how often they cause a fetch.

use crate::{Algorithm, Config, header::Header};
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use reqwest::{Client, redirect::Policy};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

/// The largest key set, in bytes.
const LARGEST: usize = 256 << 10;

/// A key set that is fetched when it is needed.
#[derive(Debug)]
pub(crate) struct Jwks {
    shared: Arc<Shared>,
    /// The fetch that runs. It ends with this.
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    url: String,
    timings: Timings,
    /// Locked for moments only, and never while something is fetched.
    state: Mutex<State>,
    /// Counts the fetches that have ended.
    ended: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Timings {
    timeout: Duration,
    refresh: Duration,
    stale: Duration,
    refetch: Duration,
}

impl Timings {
    fn of(config: &Config) -> Self {
        Self {
            timeout: config.fetch_timeout(),
            refresh: Duration::from_secs(config.refresh_secs),
            stale: Duration::from_secs(config.max_stale_secs),
            refetch: Duration::from_secs(config.refetch_secs),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    set: Option<(Arc<JwkSet>, Instant)>,
    tried: Option<Instant>,
    is_fetching: bool,
    /// Why the last fetch failed.
    problem: Option<String>,
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
        let (state, ended) = (Mutex::default(), watch::Sender::new(0));
        let shared = Arc::new(Shared { client, url, timings: Timings::of(config), state, ended });
        Ok(Self { shared, tasks: Mutex::default() })
    }

    /// Whether this is the set that the configuration names, and is fetched as it says.
    pub(crate) fn is_for(&self, url: &str, config: &Config) -> bool {
        self.shared.url == url && self.shared.timings == Timings::of(config)
    }

    /// The key for a token.
    pub(crate) async fn key(&self, header: &Header) -> Result<DecodingKey, KeyError> {
        if let Some((set, age)) = self.shared.usable() {
            if age >= self.shared.timings.refresh {
                self.fetch();
            }
            if let Some(key) = find(&set, header) {
                return Ok(key);
            }
        }
        // There is no set yet, or the issuer may have a new key.
        let mut ended = self.shared.ended.subscribe();
        if self.fetch() {
            // The sender lives as long as this.
            let _ = ended.changed().await;
        }
        match self.shared.usable() {
            Some((set, _)) => find(&set, header).ok_or(KeyError::Unknown),
            None => Err(KeyError::Unavailable(self.shared.problem())),
        }
    }

    /// Begins a fetch, unless one runs or the last one began too recently. Returns whether one runs.
    fn fetch(&self) -> bool {
        let mut state = self.shared.state();
        if state.is_fetching {
            return true;
        }
        if state.tried.is_some_and(|tried| tried.elapsed() < self.shared.timings.refetch) {
            return false;
        }
        (state.tried, state.is_fetching) = (Some(Instant::now()), true);
        drop(state);
        let fetching = Fetching(Arc::clone(&self.shared));
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(fetching.run());
        true
    }
}

/// A fetch that runs. However it ends, those who wait for it go on.
struct Fetching(Arc<Shared>);

impl Fetching {
    async fn run(self) {
        let shared = &self.0;
        let fetched = timeout(shared.timings.timeout, shared.fetch()).await;
        let fetched = fetched.unwrap_or_else(|_| Err("the fetch took too long".to_owned()));
        let mut state = shared.state();
        match fetched {
            Ok(set) => (state.set, state.problem) = (Some((Arc::new(set), Instant::now())), None),
            // The set that is there stays, until it is stale.
            Err(why) => {
                tracing::warn!(url = shared.url, why, "fetching the key set failed");
                state.problem = Some(why);
            }
        }
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.state().is_fetching = false;
        self.0.ended.send_modify(|count| *count += 1);
    }
}

impl Shared {
    /// The set and its age, if there is one that may still be used.
    fn usable(&self) -> Option<(Arc<JwkSet>, Duration)> {
        let state = self.state();
        let (set, since) = state.set.as_ref()?;
        let age = since.elapsed();
        (age < self.timings.stale).then(|| (Arc::clone(set), age))
    }

    fn problem(&self) -> String {
        self.state().problem.clone().unwrap_or_else(|| "the last fetch has not ended".to_owned())
    }

    /// Each change leaves it whole, so that a panic elsewhere does no harm.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
