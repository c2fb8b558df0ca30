//! The way to the server: connections, deadlines, attempts.

use crate::{
    Config,
    address::{Address, BadAddress, client_from_config},
    failure::{Failure, Kind, Unavailable},
    keys,
    script::Script,
};
use bytes::Bytes;
use fred::{
    clients::{Client, Pool, SubscriberClient},
    error::Error,
    interfaces::ClientLike as _,
    types::{
        ClusterHash, CustomCommand, Value,
        config::{ConnectionConfig, Options, PerformanceConfig, ReconnectPolicy, TcpConfig, UnresponsiveConfig},
    },
    util::redis_keyslot,
};
use std::{
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
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
    pub(crate) is_cluster: bool,
    /// Whether nobody on the way can read along.
    pub(crate) is_private: bool,
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
            // The client would hide these errors behind a deadline; connections are renewed here, where they are told.
            reconnect_errors: Vec::new(),
            ..ConnectionConfig::default()
        };
        let is_cluster = client.server.is_clustered();
        let is_loopback = |host: &str| host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let is_private = client.tls.is_some()
            || client.server.is_unix_socket()
            || client.server.hosts().iter().all(|server| is_loopback(&server.host));
        let policy = ReconnectPolicy::new_exponential(0, 50, 1_000, 2);
        let with = || (Some(performance.clone()), Some(connection.clone()), Some(policy.clone()));
        let (performance_of, connection_of, policy_of) = with();
        let subscriber = SubscriberClient::new(client.clone(), performance_of, connection_of, policy_of);
        let (performance_of, connection_of, policy_of) = with();
        let pool = Pool::new(client, performance_of, connection_of, policy_of, config.connections.get())
            .expect("a configuration has at least one connection");
        let (timeout, attempts) = (config.operation_timeout(), config.attempts.get());
        Ok(Self { pool, subscriber, address, is_cluster, is_private, timeout, attempts })
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
    pub(crate) async fn call(&self, command: &'static str, key: &str, args: Vec<Value>) -> Result<Value, Unavailable> {
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

    /// Says something to whoever listens to a channel, once. How many they are; in a cluster that is right for mailboxes
    /// alone.
    pub(crate) async fn publish(&self, channel: &str, said: Bytes) -> Result<u64, Unavailable> {
        let command = if self.is_cluster && keys::is_mailbox(channel) { "SPUBLISH" } else { "PUBLISH" };
        // By one connection, so that what is said comes in its order.
        let answer = self.once_by(&self.pool.clients()[0], command, channel, vec![channel.into(), said.into()]).await;
        match answer.map_err(|failure| failure.at(&self.address))? {
            Value::Integer(listeners) => Ok(u64::try_from(listeners).unwrap_or(0)),
            _ => Ok(0),
        }
    }

    async fn once(&self, command: &'static str, key: &str, args: Vec<Value>) -> Result<Value, Failure> {
        self.once_by(self.pool.next(), command, key, args).await
    }

    async fn once_by(
        &self,
        client: &Client,
        command: &'static str,
        key: &str,
        args: Vec<Value>,
    ) -> Result<Value, Failure> {
        let command = CustomCommand::new_static(command, ClusterHash::Custom(redis_keyslot(key.as_bytes())), false);
        let options = Options { timeout: Some(self.timeout), ..Options::default() };
        let with_options = client.with_options(&options);
        // The client's future is large, and is waited for in many places.
        let answer = Box::pin(with_options.custom::<Value, Value>(command, args));
        // The client's own deadline is the same, and it drops a command that waits after it; this one holds if it does not.
        let failure = match tokio::time::timeout(self.timeout + self.timeout / 4, answer).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => Failure::from(error),
            Err(_) => Failure::timeout(self.timeout),
        };
        if matches!(failure.kind, Kind::ReadOnly | Kind::MasterDown) {
            // Another server may be the primary by now, and whoever names it, as a sentinel, is asked when connecting.
            drop(tokio::time::timeout(self.timeout, Box::pin(client.force_reconnection())).await);
        }
        Err(failure)
    }

    async fn attempt<F, Fut>(&self, command: F) -> Result<Value, Unavailable>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<Value, Failure>>,
    {
        let mut told: Option<Failure> = None;
        for attempt in 1.. {
            let failure = match command().await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let may_pass = failure.kind.may_pass();
            tracing::debug!(attempt, kind = ?failure.kind, "a command of the store failed");
            // What a server said tells more than that it then said nothing.
            if told.is_none() || failure.kind.is_told() {
                told = Some(failure);
            }
            if !may_pass || attempt >= self.attempts {
                break;
            }
            tokio::time::sleep(pause(attempt)).await;
        }
        Err(told.expect("there was an attempt").at(&self.address))
    }
}

/// Between 20 and 60 ms after the first attempt, twice that after the next one, and so on.
fn pause(attempt: usize) -> Duration {
    let least = 20 << attempt.saturating_sub(1).min(4);
    let jitter = RandomState::new().hash_one(attempt) % (2 * least);
    Duration::from_millis(least + jitter)
}
