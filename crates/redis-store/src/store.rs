use crate::{
    Config,
    connect::{self, ConnectError},
    connection::{Connection, Open},
    follow::ReadAhead,
    hub::Hub,
    owners::Owners,
};
use std::{fmt, sync::Arc, time::Duration};

/// All store ports over a Redis. Dropping it closes its connections and ends its followers.
pub struct RedisStore {
    pub(crate) shared: Arc<Shared>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) owners: Owners,
    pub(crate) read_ahead: ReadAhead,
    warnings: Vec<String>,
    _open: Open,
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
        let hub = Arc::new(Hub::over(connection.subscriber().clone(), config));
        let shared = Arc::new(Shared { connection, retention });
        let read_ahead = ReadAhead {
            events: config.follow_batch_events.get(),
            bytes: config.follow_batch_bytes.get(),
            poll: Duration::from_millis(config.follow_poll_ms),
        };
        Ok(Self { shared, hub, owners: Owners::default(), read_ahead, warnings, _open: open })
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
