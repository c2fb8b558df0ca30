use schemars::JsonSchema;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use std::time::Duration;

/// The limits and times of the HTTP interface.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How many connections may speak HTTP at once: 2048. Beyond that, a new connection replaces the oldest one that waits
    /// for its peer. A connection that has become a WebSocket is not counted here.
    pub max_connections: usize,
    /// How many of them one address (one /64 network of IPv6) may have: 256. Beyond that, a new connection replaces the
    /// oldest one of its address that waits for its peer. Addresses of `server.trusted_proxies` have no such limit.
    pub max_connections_per_address: usize,
    /// How many connections are accepted beyond these limits, for `/healthz` and `/readyz` alone: 16.
    pub reserved_connections: usize,
    /// How long a client may take to send the head of a request, and may be idle between two, in seconds: 30.
    pub header_read_secs: u64,
    /// How long a request's body may take to arrive, in seconds: 10. Each byte adds time at the rate of
    /// `body_bytes_per_sec`.
    pub body_read_secs: u64,
    /// How many bytes of a body must arrive per second after that: 16384.
    pub body_bytes_per_sec: u32,
    /// How long a client may leave what is sent to it unread, in seconds: 20. Then its connection is cut.
    pub write_stall_secs: u64,
    /// How long readiness may take to find out, in milliseconds: 2000.
    pub readiness_ms: u64,
    /// How long requests may go on when the server stops, in seconds: 5.
    pub drain_secs: u64,
    /// Whether `/` is the web console, where that was built in: true. Else it is a page that says how to connect.
    pub console: bool,
    /// The token that `/metrics` asks for, of at least 16 bytes. Without one, and without `metrics_local`, nobody may read
    /// them.
    #[schemars(with = "Option<String>")]
    pub metrics_token: Option<SecretString>,
    /// Whether clients on this machine may read `/metrics` without a token: false. Do not set it where a proxy on this machine
    /// forwards to the server: its requests come from this machine too.
    pub metrics_local: bool,
    /// The token of operators, of at least 16 bytes. Without it there is nothing under `/api/admin`.
    #[schemars(with = "Option<String>")]
    pub admin_token: Option<SecretString>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_connections: 2048,
            max_connections_per_address: 256,
            reserved_connections: 16,
            header_read_secs: 30,
            body_read_secs: 10,
            body_bytes_per_sec: 16 << 10,
            write_stall_secs: 20,
            readiness_ms: 2_000,
            drain_secs: 5,
            console: true,
            metrics_token: None,
            metrics_local: false,
            admin_token: None,
        }
    }
}

impl Config {
    /// The shortest token that is worth its name, in bytes.
    const MIN_TOKEN: usize = 16;

    /// What is wrong with the values, each with its key; empty when nothing is.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let values = [
            ("max_connections", self.max_connections as u64),
            ("max_connections_per_address", self.max_connections_per_address as u64),
            ("reserved_connections", self.reserved_connections as u64),
            ("header_read_secs", self.header_read_secs),
            ("body_read_secs", self.body_read_secs),
            ("body_bytes_per_sec", self.body_bytes_per_sec.into()),
            ("write_stall_secs", self.write_stall_secs),
            ("readiness_ms", self.readiness_ms),
        ];
        let zero = values.into_iter().filter(|(_, value)| *value == 0);
        let mut problems: Vec<_> = zero.map(|(key, _)| (key, "is 0 and must be at least 1".to_owned())).collect();
        let is_short = |token: &SecretString| token.expose_secret().len() < Self::MIN_TOKEN;
        for (key, token) in [("metrics_token", &self.metrics_token), ("admin_token", &self.admin_token)] {
            if token.as_ref().is_some_and(is_short) {
                problems.push((key, format!("is shorter than {} bytes and can be guessed", Self::MIN_TOKEN)));
            }
        }
        problems
    }

    pub(crate) fn header_read(&self) -> Duration {
        Duration::from_secs(self.header_read_secs)
    }

    pub(crate) fn body_read(&self) -> Duration {
        Duration::from_secs(self.body_read_secs)
    }

    pub(crate) fn write_stall(&self) -> Duration {
        Duration::from_secs(self.write_stall_secs)
    }

    pub(crate) fn readiness(&self) -> Duration {
        Duration::from_millis(self.readiness_ms)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem_and_bad_values_are_all_named() {
        assert_eq!(Config::default().problems(), []);
        let (metrics_token, admin_token) = (Some("guess".into()), Some("0123456789abcde".into()));
        let zeros = Config { max_connections: 0, write_stall_secs: 0, drain_secs: 0, ..Config::default() };
        let bad = Config { metrics_token, admin_token, ..zeros };
        let keys: Vec<_> = bad.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["max_connections", "write_stall_secs", "metrics_token", "admin_token"]);
    }
}
