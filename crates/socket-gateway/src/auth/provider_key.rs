use crate::handshake::provider_key;
use async_trait::async_trait;
use hmac::{Hmac, KeyInit as _, Mac as _};
use lockkeeper_domain::{Code, PrincipalId};
use lockkeeper_orchestrator::ModelCatalog;
use lockkeeper_ports::{AuthError, Authenticator, Credentials, Principal};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use std::{
    collections::HashMap,
    fmt::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// What makes names out of keys. Whoever has it can tell whether a name is that of a key they guess; the name alone says nothing.
#[derive(Clone)]
pub struct IdentitySecret(SecretString);

/// The secret is too short to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the secret has {0} bytes and must have at least {min}", min = IdentitySecret::MIN_BYTES)]
pub struct ShortSecret(usize);

impl IdentitySecret {
    /// The fewest bytes.
    pub const MIN_BYTES: usize = 32;

    /// The secret of a deployment. Another one makes other principals of the same keys, to whom no session belongs.
    pub fn new(secret: SecretString) -> Result<Self, ShortSecret> {
        let bytes = secret.expose_secret().len();
        if bytes < Self::MIN_BYTES { Err(ShortSecret(bytes)) } else { Ok(Self(secret)) }
    }

    /// `key_` and 128 bits of an HMAC-SHA256.
    fn name(&self, provider: &str, key: &SecretString) -> PrincipalId {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose_secret().as_bytes()).expect("HMAC takes any key");
        for part in [provider.as_bytes(), b"\0", key.expose_secret().as_bytes()] {
            mac.update(part);
        }
        let digest = mac.finalize().into_bytes();
        let name = digest.iter().take(16).fold("key_".to_owned(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        });
        PrincipalId::parse(name).expect("it has 36 characters of ASCII")
    }
}

impl fmt::Debug for IdentitySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdentitySecret")
    }
}

/// Knows a client by its provider key: who has the key is the principal. The key may come as the token, as older frontends send
/// it.
///
/// Anyone can make up a key; so the provider is asked whether it knows it, unless that is turned off, and its word is kept for a
/// while. Until then nothing is created for the client.
#[derive(Debug)]
pub struct ProviderKeyAuthenticator {
    secret: IdentitySecret,
    provider: &'static str,
    catalog: Option<ModelCatalog>,
    words: Mutex<HashMap<PrincipalId, Word>>,
}

/// What the provider said of a key.
#[derive(Clone, Copy, Debug)]
struct Word {
    is_known: bool,
    since: Instant,
}

impl Word {
    const KNOWN_FOR: Duration = Duration::from_mins(10);
    const UNKNOWN_FOR: Duration = Duration::from_mins(1);

    fn holds(self) -> bool {
        self.since.elapsed() < if self.is_known { Self::KNOWN_FOR } else { Self::UNKNOWN_FOR }
    }
}

impl ProviderKeyAuthenticator {
    /// How many keys the provider's word is kept of.
    const WORDS: usize = 10_000;

    /// Knows the keys of `provider`. Without a `catalog` to ask, each key is taken at its word.
    pub fn new(secret: IdentitySecret, provider: &'static str, catalog: Option<ModelCatalog>) -> Self {
        Self { secret, provider, catalog, words: Mutex::default() }
    }

    async fn check(&self, id: &PrincipalId, key: SecretString, credentials: &Credentials) -> Result<(), AuthError> {
        let Some(catalog) = &self.catalog else { return Ok(()) };
        let word = self.words().get(id).copied().filter(|word| word.holds());
        let is_known = match word {
            Some(word) => word.is_known,
            None => match catalog.list(credentials.address, Some(key)).await.map_err(|failure| failure.code) {
                // One that has used up what it may is known all the same.
                Ok(_) | Err(Code::ProviderQuota | Code::ProviderRateLimited) => self.remember(id, true),
                Err(Code::ProviderAuthentication) => self.remember(id, false),
                Err(code) => return Err(AuthError::Unavailable(format!("the key was not checked: {code}").into())),
            },
        };
        let refused = || AuthError::Refused("The provider does not take this key.".to_owned());
        is_known.then_some(()).ok_or_else(refused)
    }

    fn remember(&self, id: &PrincipalId, is_known: bool) -> bool {
        let mut words = self.words();
        if words.len() >= Self::WORDS {
            words.retain(|_, word| word.holds());
        }
        if words.len() < Self::WORDS {
            words.insert(id.clone(), Word { is_known, since: Instant::now() });
        }
        is_known
    }

    /// Each change is one statement, so that a panic elsewhere leaves it right.
    fn words(&self) -> MutexGuard<'_, HashMap<PrincipalId, Word>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Authenticator for ProviderKeyAuthenticator {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthError> {
        let Some(key) = self.provider_key(credentials) else {
            return Err(AuthError::Refused("A provider key is required: send it as auth.apiKey.".to_owned()));
        };
        let id = self.secret.name(self.provider, &key);
        self.check(&id, key, credentials).await?;
        Ok(Principal::known(id))
    }

    fn provider_key(&self, credentials: &Credentials) -> Option<SecretString> {
        let token = || provider_key(credentials.token.as_ref()?.expose_secret()).ok().flatten();
        credentials.key.clone().or_else(token)
    }
}

#[cfg(test)]
mod tests;
