//! The way to the server: connections, deadlines, attempts.

use crate::{
    Config,
    address::{Address, BadAddress, client_from_config},
    failure::{Failure, Kind, Unavailable},
    keys,
    script::Script,
};
use fred::{
    clients::{Pool, SubscriberClient},
    error::Error,
    interfaces::ClientLike as _,
    types::{
        ClusterHash, CustomCommand, Value,
        config::{
            ConnectionConfig, Options, PerformanceConfig, ReconnectError, ReconnectPolicy, TcpConfig, UnresponsiveConfig,
        },
    },
    util::redis_keyslot,
};
use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};
use tokio_util::task::AbortOnDropHandle;

/// How many messages of the one listening connection may wait. Those beyond are lost, and everyone looks at the store.
const LISTENED: usize = 1_024;

/// Keeps the connections open.
pub(crate) struct Open {
    _tasks: Vec<AbortOnDropHandle<Result<(), Error>>>,
}

/// Connections to a server, a cluster, or whatever a sentinel names.
pub(crate) struct Connection {
    pool: Pool,
    subscriber: SubscriberClient,
    pub(crate) address: Address,
    timeout: Duration,
    attempts: usize,
}

impl Connection {
    /// Nothing is connected yet.
    pub(crate) fn new(config: &Config) -> Result<Self, BadAddress> {
        let (client, address) = client_from_config(config)?;
        let performance = PerformanceConfig {
            default_command_timeout: config.operation_timeout(),
            broadcast_channel_capacity: LISTENED,
            ..PerformanceConfig::default()
        };
        let connection = ConnectionConfig {
            connection_timeout: config.connect_timeout(),
            internal_command_timeout: config.connect_timeout(),
            // Attempts are counted here, where each has its deadline.
            max_command_attempts: 1,
            max_command_buffer_len: config.max_queued_commands.get(),
            // A connection that is silently dead is given up for a new one.
            unresponsive: UnresponsiveConfig {
                max_timeout: Some(config.operation_timeout() * 4),
                interval: config.operation_timeout(),
            },
            tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
            reconnect_errors: vec![ReconnectError::ReadOnly, ReconnectError::MasterDown, ReconnectError::ClusterDown],
            ..ConnectionConfig::default()
        };
        let policy = ReconnectPolicy::new_exponential(0, 50, 1_000, 2);
        let with = || (Some(performance.clone()), Some(connection.clone()), Some(policy.clone()));
        let (performance_of, connection_of, policy_of) = with();
        let subscriber = SubscriberClient::new(client.clone(), performance_of, connection_of, policy_of);
        let (performance_of, connection_of, policy_of) = with();
        let pool = Pool::new(client, performance_of, connection_of, policy_of, config.connections.get())
            .expect("a configuration has at least one connection");
        let (timeout, attempts) = (config.operation_timeout(), config.attempts.get());
        Ok(Self { pool, subscriber, address, timeout, attempts })
    }

    /// One attempt to connect. On failure another may follow.
    pub(crate) async fn open(&self) -> Result<Open, Unavailable> {
        let opened = async {
            let mut tasks = Vec::new();
            for client in self.pool.clients() {
                tasks.push(AbortOnDropHandle::new(client.init().await?));
            }
            tasks.push(AbortOnDropHandle::new(self.subscriber.init().await?));
            Ok(Open { _tasks: tasks })
        };
        opened.await.map_err(|error: Error| Failure::from(error).at(&self.address))
    }

    /// The connection that listens.
    pub(crate) fn subscriber(&self) -> &SubscriberClient {
        &self.subscriber
    }

    /// Does a command that may be done twice. `key` says where in a cluster.
    pub(crate) async fn call(
        &self,
        command: &'static str,
        key: &str,
        args: Vec<Value>,
    ) -> Result<Value, Unavailable> {
        self.attempt(|| self.once(command, key, args.clone())).await
    }

    /// Runs a script that may run twice. Its first key says where in a cluster.
    pub(crate) async fn run(&self, script: &Script, keys: &[&str], args: Vec<Value>) -> Result<Value, Unavailable> {
        self.attempt(|| self.eval(script, keys, args.clone())).await
    }

    /// Writes something that means nothing, to see whether that works.
    pub(crate) async fn probe(&self) -> Result<(), Unavailable> {
        const KEYS: u64 = 1_024;
        let key = keys::probe(RandomState::new().hash_one(0) % KEYS);
        let args = vec![key.as_str().into(), "1".into(), "PX".into(), "60000".into()];
        self.call("SET", &key, args).await.map(drop)
    }

    async fn eval(&self, script: &Script, keys: &[&str], args: Vec<Value>) -> Result<Value, Failure> {
        let key = keys.first().copied().unwrap_or_default();
        let with = |first: Value| -> Vec<Value> {
            let mut all = Vec::with_capacity(2 + keys.len() + args.len());
            all.extend([first, Value::from(keys.len().to_string())]);
            all.extend(keys.iter().map(|key| Value::from(*key)));
            all.extend(args.iter().cloned());
            all
        };
        match self.once("EVALSHA", key, with(script.hash().into())).await {
            // The server was restarted, or is another one now. It keeps what it is given.
            Err(failure) if failure.kind == Kind::NoScript => self.once("EVAL", key, with(script.body.into())).await,
            other => other,
        }
    }

    async fn once(&self, command: &'static str, key: &str, args: Vec<Value>) -> Result<Value, Failure> {
        let command = CustomCommand::new_static(command, ClusterHash::Custom(redis_keyslot(key.as_bytes())), false);
        let options = Options { timeout: Some(self.timeout), ..Options::default() };
        let client = self.pool.next().with_options(&options);
        let answer = client.custom::<Value, Value>(command, args);
        // The client's own deadline is the same, and it drops a command that waits after it; this one holds if it does not.
        match tokio::time::timeout(self.timeout + self.timeout / 4, answer).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Failure::timeout(self.timeout)),
        }
    }

    async fn attempt<F, Fut>(&self, command: F) -> Result<Value, Unavailable>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<Value, Failure>>,
    {
        let mut attempt = 0;
        loop {
            attempt += 1;
            match command().await {
                Ok(value) => return Ok(value),
                Err(failure) if attempt < self.attempts && failure.kind.may_pass() => {
                    tracing::debug!(attempt, kind = ?failure.kind, "a command of the store failed; trying again");
                    tokio::time::sleep(pause(attempt)).await;
                }
                Err(failure) => return Err(failure.at(&self.address)),
            }
        }
    }
}

/// Between 20 and 60 ms after the first attempt, twice that after the next one, and so on.
fn pause(attempt: usize) -> Duration {
    let least = 20 << attempt.saturating_sub(1).min(4);
    let jitter = RandomState::new().hash_one(attempt) % (2 * least);
    Duration::from_millis(least + jitter)
}
