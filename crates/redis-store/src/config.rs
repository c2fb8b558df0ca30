use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

/// Where the Redis of a [`RedisStore`](crate::RedisStore) is, and how it is used.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The address: `redis://`, `redis-sentinel://`, `redis-cluster://` (each also with `rediss` for TLS), or
    /// `redis+unix://` and a path. `redis://127.0.0.1:6379` by default. Whoever loads the rest of this says it apart.
    #[serde(skip_deserializing)]
    #[schemars(with = "String")]
    pub url: SecretString,
    /// A PEM file with the certificate authorities that TLS trusts. By default those of the system.
    pub tls_ca_file: Option<PathBuf>,
    /// How many connections carry commands, besides the one that listens. 4 by default.
    pub connections: NonZeroUsize,
    /// How long one attempt at an operation may take, in milliseconds. 500 by default.
    pub operation_timeout_ms: u64,
    /// How often an operation is attempted before the store counts as unavailable. 3 by default.
    pub attempts: NonZeroUsize,
    /// How long opening a connection may take, in milliseconds. 2,000 by default.
    pub connect_timeout_ms: u64,
    /// How long it is tried, at the start, to reach the Redis, in milliseconds. 10,000 by default.
    pub start_timeout_ms: u64,
    /// How many commands may wait for a connection; a further one fails at once. 4,096 by default.
    pub max_queued_commands: NonZeroUsize,
    /// How long a session with its history and its log is kept after its last use, in seconds. 0, the default: until it
    /// is deleted. At least 3,600 otherwise, which outlasts every turn and every approval.
    pub retention_secs: u64,
    /// How often a follower looks at the log by itself, in case that a message was lost, in milliseconds. 1,000 by
    /// default.
    pub follow_poll_ms: u64,
    /// How many events a follower reads ahead. 128 by default.
    pub follow_batch_events: NonZeroUsize,
    /// How many bytes a follower reads ahead, but for one event. 1 MiB by default.
    pub follow_batch_bytes: NonZeroUsize,
    /// Whether keys of users may go by this Redis from server to server. By default they may by TLS, by a socket and by
    /// loopback, where nobody but the Redis and its users can read along.
    pub peers_carry_keys: Option<bool>,
}

/// The shortest retention, in seconds.
const MIN_RETENTION_SECS: u64 = 3_600;

impl Default for Config {
    fn default() -> Self {
        const fn at_least_one(number: usize) -> NonZeroUsize {
            NonZeroUsize::MIN.saturating_add(number - 1)
        }
        Self {
            url: "redis://127.0.0.1:6379".into(),
            tls_ca_file: None,
            connections: at_least_one(4),
            operation_timeout_ms: 500,
            attempts: at_least_one(3),
            connect_timeout_ms: 2_000,
            start_timeout_ms: 10_000,
            max_queued_commands: at_least_one(4_096),
            retention_secs: 0,
            follow_poll_ms: 1_000,
            follow_batch_events: at_least_one(128),
            follow_batch_bytes: at_least_one(1 << 20),
            peers_carry_keys: None,
        }
    }
}

impl Config {
    /// The settings for the Redis at `url`, with the defaults for everything else.
    pub fn at(url: impl Into<SecretString>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// What is out of bounds: each setting by its name, and what is wrong with it.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let times = [
            ("operation_timeout_ms", self.operation_timeout_ms, 10, 60_000),
            ("connect_timeout_ms", self.connect_timeout_ms, 10, 60_000),
            ("start_timeout_ms", self.start_timeout_ms, 100, 600_000),
            ("follow_poll_ms", self.follow_poll_ms, 10, 60_000),
        ];
        for (name, value, least, most) in times {
            if !(least..=most).contains(&value) {
                problems.push((name, format!("is {value}, and must be within {least} and {most}")));
            }
        }
        if self.connections.get() > 64 {
            problems.push(("connections", format!("is {}, and must be at most 64", self.connections)));
        }
        if self.attempts.get() > 10 {
            problems.push(("attempts", format!("is {}, and must be at most 10", self.attempts)));
        }
        if (1..MIN_RETENTION_SECS).contains(&self.retention_secs) {
            let what = format!("is {}, and must be 0 or at least {MIN_RETENTION_SECS}", self.retention_secs);
            problems.push(("retention_secs", what));
        }
        problems
    }

    pub(crate) fn operation_timeout(&self) -> Duration {
        Duration::from_millis(self.operation_timeout_ms)
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn start_timeout(&self) -> Duration {
        Duration::from_millis(self.start_timeout_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    #[test]
    fn defaults_are_what_the_docs_state() {
        let config: Config = serde_json::from_str("{}").unwrap();
        assert_eq!(config.url.expose_secret(), "redis://127.0.0.1:6379");
        let numbers = (config.connections.get(), config.operation_timeout_ms, config.attempts.get());
        assert_eq!(numbers, (4, 500, 3));
        assert_eq!((config.start_timeout_ms, config.retention_secs, config.follow_poll_ms), (10_000, 0, 1_000));
        assert!(config.problems().is_empty());
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let config = Config { retention_secs: 60, operation_timeout_ms: 0, ..Config::default() };
        let names: Vec<_> = config.problems().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["operation_timeout_ms", "retention_secs"]);
        assert!(serde_json::from_str::<Config>(r#"{"attempts": 0}"#).is_err());
        assert!(serde_json::from_str::<Config>(r#"{"ulr": "x"}"#).is_err());
    }

    #[test]
    fn an_address_with_a_password_is_not_shown() {
        assert!(!format!("{:?}", Config::at("redis://:very-secret@h")).contains("very-secret"));
    }
}
