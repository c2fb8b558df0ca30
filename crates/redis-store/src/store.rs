use crate::{
    Config,
    audit::Indexed,
    connect::{self, ConnectError},
    connection::{Connection, Open},
    follow::ReadAhead,
    hub::Hub,
    keys,
    owners::Owners,
    peers::{RedisPeers, Way},
    reply::{array, number, text},
};
use fred::types::Value;
use lockkeeper_domain::Timestamp;
use lockkeeper_ports::{Peers, StoreError};
use std::{fmt, sync::Arc, time::Duration};

/// All store ports over a Redis. Dropping it closes its connections and ends its followers.
pub struct RedisStore {
    pub(crate) shared: Arc<Shared>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) owners: Owners,
    pub(crate) audited: Indexed,
    pub(crate) read_ahead: ReadAhead,
    peers_carry_keys: Option<bool>,
    warnings: Vec<String>,
    open: Arc<Open>,
}

/// What operations and followers need.
pub(crate) struct Shared {
    pub(crate) connection: Connection,
    /// The retention in milliseconds, 0 for none.
    pub(crate) retention: String,
}

impl RedisStore {
    /// Connects, and tries again until the configuration's start deadline.
    pub async fn connect(config: &Config) -> Result<Self, ConnectError> {
        let (connection, open, warnings) = connect::open(config).await?;
        let retention = config.retention_secs.saturating_mul(1_000).to_string();
        let hub = Arc::new(Hub::over(connection.subscriber().clone(), connection.is_cluster, config));
        let shared = Arc::new(Shared { connection, retention });
        let read_ahead = ReadAhead {
            events: config.follow_batch_events.get(),
            bytes: config.follow_batch_bytes.get(),
            poll: Duration::from_millis(config.follow_poll_ms),
        };
        Ok(Self {
            shared,
            hub,
            owners: Owners::default(),
            audited: Indexed::default(),
            read_ahead,
            peers_carry_keys: config.peers_carry_keys,
            warnings,
            open: Arc::new(open),
        })
    }

    /// Joins the servers that share this Redis, under a name that no other of them has. It may outlive the store.
    pub fn join(&self, name: &str) -> Arc<dyn Peers> {
        let carries_keys = self.peers_carry_keys.unwrap_or(self.shared.connection.is_private);
        let way = Way { shared: Arc::clone(&self.shared), hub: Arc::clone(&self.hub), _open: Arc::clone(&self.open) };
        Arc::new(RedisPeers::new(name, way, carries_keys))
    }

    /// What time it is at the Redis, to about a round trip. All servers that share it can agree on that, whatever their own clocks
    /// say. In a cluster it is the time of one node.
    pub async fn time(&self) -> Result<Timestamp, StoreError> {
        let mut parts = array(self.shared.connection.call("TIME", keys::SESSIONS, Vec::new()).await?)?.into_iter();
        let mut next = || number::<i64>(&text(parts.next().unwrap_or(Value::Null))?);
        let (secs, micros) = (next()?, next()?);
        Ok(Timestamp::from_millis(secs.saturating_mul(1_000).saturating_add(micros / 1_000)))
    }

    /// Returns the secret that the servers of this Redis share under `name`, `None` if there is none.
    pub async fn shared_secret(&self, name: &str) -> Result<Option<String>, StoreError> {
        let key = keys::secret(name);
        let found = self.shared.connection.call("GET", &key, vec![key.as_str().into()]).await?;
        if found.is_null() { Ok(None) } else { Ok(Some(text(found)?)) }
    }

    /// Stores `fresh` as the secret that the servers of this Redis share under `name`, unless there is one, and returns the
    /// one that is stored. Servers that start at the same time get the same.
    pub async fn share_secret(&self, name: &str, fresh: &str) -> Result<String, StoreError> {
        let key = keys::secret(name);
        let args = vec![key.as_str().into(), fresh.into(), "NX".into()];
        self.shared.connection.call("SET", &key, args).await?;
        Ok(self.shared_secret(name).await?.unwrap_or_else(|| fresh.to_owned()))
    }

    /// What an operator should know of this Redis though it works, as that it forgets everything when it is restarted.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.shared.connection.address.to_string();
        f.debug_struct("RedisStore").field("address", &address).finish_non_exhaustive()
    }
}
