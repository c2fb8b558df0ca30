//! The store: a Redis, a local file, or memory.

use super::choices;
use crate::{
    banner::Choice,
    config::{Config, Loaded, Mode, Store, StoreKind},
    random,
};
use anyhow::{Context as _, Result, bail};
use lockkeeper_embedded_store::{EmbeddedStore, PeerHub};
use lockkeeper_ports::{BudgetLedger, Peers, RuleRepository, SessionStore};
use lockkeeper_redis_store::RedisStore;
use std::{fs, path::Path, sync::Arc};
use tokio::task::spawn_blocking;

/// How long `dev` waits for a Redis that it could do without, in milliseconds.
const DEV_START_MS: u64 = 2_000;

/// Where state lies unless it is configured.
const STATE_DIR: &str = ".lockkeeper";

/// What is known of the store before anything else is opened.
#[derive(Default)]
pub(super) struct Chosen {
    redis: Option<RedisStore>,
    /// Why it is no Redis, though there is an address.
    why: Option<String>,
}

/// A store that is open, the servers that share it, and what to say of it.
pub(crate) struct Opened {
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) rules: Arc<dyn RuleRepository>,
    pub(super) budgets: Arc<dyn BudgetLedger>,
    pub(super) peers: Arc<dyn Peers>,
    /// The Redis that says what time it is, where servers share one.
    pub(super) redis: Option<Arc<RedisStore>>,
    pub(super) choice: Choice,
}

/// Where there is an address and no store is named, it is that Redis: for `serve` in any case, for `dev` if it answers.
pub(super) async fn choose(loaded: &mut Loaded, mode: Mode) -> Chosen {
    let store = &loaded.config.store;
    if store.kind.is_some() || store.url.is_none() {
        return Chosen::default();
    }
    let mut config = store.redis();
    if mode == Mode::Serve || config.check_address().is_err() || !config.problems().is_empty() {
        loaded.config.store.kind = Some(StoreKind::Redis);
        return Chosen::default();
    }
    config.start_timeout_ms = config.start_timeout_ms.min(DEV_START_MS);
    match RedisStore::connect(&config).await {
        Ok(redis) => {
            loaded.config.store.kind = Some(StoreKind::Redis);
            Chosen { redis: Some(redis), why: None }
        }
        Err(error) => Chosen { redis: None, why: Some(error.to_string()) },
    }
}

/// The store of a configuration, for a command that reads it while no server has it.
pub(crate) async fn store(loaded: &mut Loaded) -> Result<Arc<dyn SessionStore>> {
    let chosen = Box::pin(choose(loaded, Mode::Serve)).await;
    Ok(Box::pin(open(&loaded.config, chosen)).await?.store)
}

/// Opens what was chosen.
pub(super) async fn open(config: &Config, chosen: Chosen) -> Result<Opened> {
    let name = format!("{}-{}", std::process::id(), random::hex::<4>()?);
    let choice = choices::store(config, chosen.why.as_deref());
    if config.store.kind == Some(StoreKind::Redis) {
        let redis = match chosen.redis {
            Some(redis) => redis,
            None => RedisStore::connect(&config.store.redis()).await?,
        };
        for warning in redis.warnings() {
            tracing::warn!("{warning}");
        }
        let peers = redis.join(&name);
        let redis = Arc::new(redis);
        return Ok(Opened {
            store: Arc::clone(&redis) as _,
            rules: Arc::clone(&redis) as _,
            budgets: Arc::clone(&redis) as _,
            peers,
            redis: Some(redis),
            choice,
        });
    }
    let store = spawn_blocking(embedded_from_config(&config.store)).await??;
    let peers = PeerHub::new().join(name);
    Ok(Opened { rules: Arc::clone(&store) as _, budgets: Arc::clone(&store) as _, store, peers, redis: None, choice })
}

/// The store that the configuration names, for a command that looks at it and serves nobody.
pub(crate) async fn open_for_reading(mut loaded: Loaded) -> Result<Arc<dyn SessionStore>> {
    let chosen = choose(&mut loaded, Mode::Serve).await;
    let store = &loaded.config.store;
    if store.kind == Some(StoreKind::Memory) {
        bail!("nothing outlives a server whose `store.kind` is `memory`");
    }
    let path = store.embedded().path.unwrap_or_default();
    if store.kind != Some(StoreKind::Redis) && !path.exists() {
        bail!("there is no store in {}: name another one with `store.embedded.path`", path.display());
    }
    let opened = open(&loaded.config, chosen).await;
    Ok(opened.context("the store cannot be opened; an embedded one is open to one process at a time")?.store)
}

/// Blocks until the store's file is checked.
fn embedded_from_config(store: &Store) -> impl FnOnce() -> Result<Arc<EmbeddedStore>> + Send + 'static {
    let (kind, config) = (store.kind, store.embedded());
    move || {
        if kind == Some(StoreKind::Memory) {
            return Ok(Arc::new(EmbeddedStore::in_memory()));
        }
        if let Some(dir) = config.path.as_deref().and_then(Path::parent).filter(|dir| dir.ends_with(STATE_DIR)) {
            keep_out_of_version_control(dir)?;
        }
        Ok(Arc::new(EmbeddedStore::open(&config)?))
    }
}

/// Sessions hold what users said: nobody should commit them by accident.
fn keep_out_of_version_control(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {}", dir.display()))?;
    let file = dir.join(".gitignore");
    if !file.exists() {
        fs::write(&file, "*\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
