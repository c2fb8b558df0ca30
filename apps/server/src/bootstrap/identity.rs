//! How clients are known.

use crate::{
    clock::SystemClock,
    config::{AuthMode, Config, StoreKind},
    random,
};
use anyhow::{Context as _, Result};
use lockkeeper_domain::{AuditKey, PrincipalId};
use lockkeeper_jwt_auth::JwtAuthenticator;
use lockkeeper_orchestrator::ModelCatalog;
use lockkeeper_ports::{Authenticator, Principal};
use lockkeeper_redis_store::RedisStore;
use lockkeeper_socket_gateway::{IdentitySecret, OpenAuthenticator, ProviderKeyAuthenticator, StaticAuthenticator};
use secrecy::{ExposeSecret as _, SecretString};
use std::{
    fs,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The file of the secret that makes principals of keys, beside the store.
const SECRET_FILE: &str = "identity.secret";
/// The file of the key that marks the audit, beside the store.
const AUDIT_FILE: &str = "audit.secret";
/// The name of the key that marks the audit, in a Redis.
const AUDIT_SECRET: &str = "audit";

/// A token for a `dev` server with authentication and without tokens. It goes into the console's address.
pub(super) fn made_up_token(config: &Config) -> Result<Option<SecretString>> {
    let needed = config.auth.mode() == AuthMode::Static && config.auth.tokens.is_empty();
    needed.then(|| random::hex::<32>().map(SecretString::from)).transpose()
}

/// What tells who clients are. Of JSON Web Tokens, it goes on with the keys that `before` has fetched, where it can.
pub(super) fn authenticator_from_config(
    config: &Config,
    made_up: Option<&SecretString>,
    catalog: &ModelCatalog,
    before: Option<&JwtAuthenticator>,
) -> Result<Known> {
    let authenticator: Arc<dyn Authenticator> = match config.auth.mode() {
        AuthMode::None => Arc::new(OpenAuthenticator),
        AuthMode::Static => {
            let named = config.auth.tokens.iter().map(|(name, token)| (name.as_str(), token));
            let known = named.chain(made_up.map(|token| ("local", token))).map(|(name, token)| {
                let id = Principal::id_from(name)
                    .with_context(|| format!("`auth.tokens.{name}` is no name of a principal"))?;
                Ok((id, token.clone()))
            });
            let powers = config.auth.powers.iter().filter_map(|(name, powers)| {
                let id = PrincipalId::parse(name.as_str()).ok()?;
                Some((id, powers.iter().copied().collect()))
            });
            let known = StaticAuthenticator::new(known.collect::<Result<Vec<_>>>()?);
            Arc::new(known.with_powers(&powers.collect()))
        }
        AuthMode::Jwt => {
            let jwt = config.auth.jwt.clone();
            let jwt = Arc::new(match before {
                Some(before) => before.reconfigured(jwt)?,
                None => JwtAuthenticator::new(jwt, Arc::new(SystemClock))?,
            });
            return Ok(Known { authenticator: Arc::clone(&jwt) as _, jwt: Some(jwt) });
        }
        AuthMode::ProviderKey => {
            let secret = IdentitySecret::new(identity_secret(config)?).context("auth.identity_secret")?;
            let catalog = config.auth.verify_keys.then(|| catalog.clone());
            Arc::new(ProviderKeyAuthenticator::new(secret, config.llm.chosen().as_str(), catalog))
        }
    };
    Ok(Known { authenticator, jwt: None })
}

/// What tells who clients are, as a configuration says.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) authenticator: Arc<dyn Authenticator>,
    /// The same, where it is this one.
    pub(super) jwt: Option<Arc<JwtAuthenticator>>,
}

/// Returns what marks the audit: the configured key, else one that is made at the first start and kept beside the embedded
/// store, or in the Redis that servers share. What is in memory alone needs none.
pub(super) async fn audit_key(config: &Config, redis: Option<&RedisStore>) -> Result<Option<AuditKey>> {
    let secret = match (&config.store.audit_key, redis) {
        (Some(key), _) => key.clone(),
        (None, Some(redis)) => {
            tracing::warn!(
                "the audit key is kept in the Redis that it protects; set store.audit_key to prove who wrote the audit"
            );
            redis.share_secret(AUDIT_SECRET, &random::hex::<32>()?).await?.into()
        }
        (None, None) if config.store.kind == Some(StoreKind::Memory) => return Ok(None),
        (None, None) => kept_secret_beside(config, AUDIT_FILE)?,
    };
    audit_key_of(&secret).map(Some)
}

/// Returns the key that marked the audit so far, if there is one: none is made.
pub(crate) async fn known_audit_key(config: &Config) -> Result<Option<AuditKey>> {
    if let Some(key) = &config.store.audit_key {
        return audit_key_of(key).map(Some);
    }
    let is_redis = match config.store.kind {
        None => config.store.url.is_some(),
        kind => kind == Some(StoreKind::Redis),
    };
    if is_redis {
        let redis = RedisStore::connect(&config.store.redis()).await.context("the audit key is in the Redis")?;
        let secret = redis.shared_secret(AUDIT_SECRET).await?;
        return secret.map(|secret| audit_key_of(&secret.into())).transpose();
    }
    if !beside_store(config, AUDIT_FILE).exists() {
        return Ok(None);
    }
    audit_key_of(&kept_secret_beside(config, AUDIT_FILE)?).map(Some)
}

fn audit_key_of(secret: &SecretString) -> Result<AuditKey> {
    let key = AuditKey::new(secret.expose_secret().as_bytes());
    key.with_context(|| format!("`store.audit_key` needs at least {} bytes", AuditKey::MIN_BYTES))
}

/// The configured one, else the one beside the store, which is made at the first start. A store that outlives nothing needs
/// none that does.
fn identity_secret(config: &Config) -> Result<SecretString> {
    if let Some(secret) = &config.auth.identity_secret {
        return Ok(secret.clone());
    }
    if config.store.kind == Some(StoreKind::Memory) {
        return random::hex::<32>().map(SecretString::from);
    }
    kept_secret_beside(config, SECRET_FILE)
}

fn beside_store(config: &Config, name: &str) -> PathBuf {
    let store = config.store.embedded().path.unwrap_or_default();
    store.parent().map_or_else(|| PathBuf::from(name), |dir| dir.join(name))
}

fn kept_secret_beside(config: &Config, name: &str) -> Result<SecretString> {
    let path = beside_store(config, name);
    kept_secret(&path).with_context(|| format!("the secret in {} cannot be used", path.display()))
}

fn kept_secret(path: &Path) -> Result<SecretString> {
    match fs::read_to_string(path) {
        Ok(secret) => return Ok(secret.trim_end().to_owned().into()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    // It appears whole and once, whoever else starts at the same time.
    let draft = path.with_added_extension(random::hex::<8>()?);
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = writeln!(file, "{}", random::hex::<32>()?).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| fs::hard_link(&draft, path));
    fs::remove_file(&draft)?;
    match linked {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error.into()),
        _ => {}
    }
    Ok(fs::read_to_string(path)?.trim_end().to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_secret_is_made_once_and_its_owners_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("state").join(SECRET_FILE);
        let first = kept_secret(&path).expect("made");
        assert_eq!(first.expose_secret().len(), 64);
        assert_eq!(kept_secret(&path).expect("kept").expose_secret(), first.expose_secret());
        let mode = fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().expect("a directory")).expect("a list").count(), 1);
        let other = kept_secret(&dir.path().join(SECRET_FILE)).expect("made");
        assert_ne!(other.expose_secret(), first.expose_secret());
    }

    #[test]
    fn a_configured_secret_comes_before_a_kept_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = Config::default();
        config.store.embedded.path = Some(dir.path().join("store.redb"));
        config.auth.identity_secret = Some("configured".into());
        assert_eq!(identity_secret(&config).expect("a secret").expose_secret(), "configured");
        assert_eq!(fs::read_dir(dir.path()).expect("a list").count(), 0);
        config.auth.identity_secret = None;
        config.store.kind = Some(StoreKind::Memory);
        identity_secret(&config).expect("a secret");
        assert_eq!(fs::read_dir(dir.path()).expect("a list").count(), 0);
        config.store.kind = None;
        identity_secret(&config).expect("a secret");
        assert!(dir.path().join(SECRET_FILE).exists());
    }
}
