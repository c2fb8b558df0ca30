use lockkeeper_tool_schema::Budget;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// The limits of MCP servers. All sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long a server may take to start and to answer `initialize`. Default 10.
    pub initialize_secs: u64,
    /// How long a server may take to list its tools, all pages together. Default 10.
    pub list_secs: u64,
    /// How long a call may go on without an answer or progress. Default 60.
    pub call_idle_secs: u64,
    /// How long a call may go on, whatever it tells of its progress. Default 300.
    pub call_total_secs: u64,
    /// How long a server has to react after a call was given up, before it is ended. Default 2000.
    pub cancel_grace_ms: u64,
    /// How long a server has to end after its input was closed, before it is killed. Default 2000.
    pub close_grace_ms: u64,
    /// How long the output of an ended process, or the end of a process without output, is waited for. Default 1000.
    pub exit_grace_ms: u64,
    /// How long a server may leave a message of ours unread. Default 10.
    pub write_secs: u64,
    /// The longest message from a server. Default 1 MiB, at most 4 MiB.
    pub max_line_bytes: usize,
    /// How much of one longer message is skipped before the server is ended. Default 64 MiB.
    pub max_skipped_bytes: u64,
    /// The largest arguments of a call. Default 1 MiB.
    pub max_request_bytes: usize,
    /// How deep a message may be nested. Default 64, at most 120.
    pub max_depth: usize,
    /// How many lines that are no messages a server may write before it is ended. Default 10.
    pub max_bad_lines: u32,
    /// How many bytes of such lines. Default 64 KiB.
    pub max_garbage_bytes: usize,
    /// How much of a server's standard error is kept. Default 64 KiB.
    pub stderr_bytes: usize,
    /// How many lines a second of it are logged, at level debug. Default 20.
    pub stderr_lines_per_sec: u32,
    /// How many tools a server may offer; the rest is left out. Default 128.
    pub max_tools: usize,
    /// How large the definitions of a server's tools may be together; the rest is left out. Default 1 MiB.
    pub max_catalog_bytes: usize,
    /// The limits of a tool's input schema; a tool over one of them is left out.
    pub schema: Budget,
    /// The longest description of a tool; a longer one is cut. Default 1 KiB.
    pub max_description_bytes: usize,
    /// How long the texts in a tool's input schema may be together, such as descriptions of its properties; what is over it is
    /// cut, as is each one over `max_description_bytes`. Default 16 KiB.
    pub max_schema_text_bytes: usize,
    /// How many messages a second that answer nothing are looked at; the rest is dropped. Default 200.
    pub notifications_per_sec: u32,
    /// How many of them a second end the server. Default 20000.
    pub flood_per_sec: u32,
    /// How many bytes of them are read within a second; the rest of a server's output waits until the second is over. Default
    /// 4 MiB.
    pub unasked_bytes_per_sec: usize,
    /// How many calls of one server run at once; others wait. Default 16.
    pub max_concurrent_calls: usize,
    /// How often an ended server is started again within the window. Default 5.
    pub max_restarts: usize,
    /// The window of `max_restarts`. Starts that the sandbox runtime failed do not count. Default 600.
    pub restart_window_secs: u64,
    /// How long the first restart waits, counted from the server's end; each further one waits twice as long. So does a start
    /// that the sandbox runtime failed, for `breaker_secs` at most. Default 250.
    pub restart_backoff_ms: u64,
    /// How often an idle server is pinged. 0 never does. Default 30.
    pub ping_secs: u64,
    /// How long it may take to answer that, before it is ended and started again. Default 10.
    pub ping_timeout_secs: u64,
    /// How many starts of a server must fail in a row, in the sandboxes of one principal, before it is held back for that
    /// principal. 0 never holds one back. Default 5.
    pub breaker_failures: u32,
    /// How long it is held back before one start is tried again. Default 30.
    pub breaker_secs: u64,
    /// For how many principals a server must be held back at once before one failed start is enough to hold it back for
    /// another one, if it has never started for that one and works for nobody. 0 turns this off. Default 3.
    pub breaker_tenants: usize,
    /// How many principals are remembered for each server. Those whose last start is longest ago are forgotten first.
    /// Default 10000.
    pub breaker_max_tenants: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            initialize_secs: 10,
            list_secs: 10,
            call_idle_secs: 60,
            call_total_secs: 300,
            cancel_grace_ms: 2000,
            close_grace_ms: 2000,
            exit_grace_ms: 1000,
            write_secs: 10,
            max_line_bytes: 1 << 20,
            max_skipped_bytes: 64 << 20,
            max_request_bytes: 1 << 20,
            max_depth: 64,
            max_bad_lines: 10,
            max_garbage_bytes: 64 << 10,
            stderr_bytes: 64 << 10,
            stderr_lines_per_sec: 20,
            max_tools: 128,
            max_catalog_bytes: 1 << 20,
            schema: Budget::default(),
            max_description_bytes: 1 << 10,
            max_schema_text_bytes: 16 << 10,
            notifications_per_sec: 200,
            flood_per_sec: 20_000,
            unasked_bytes_per_sec: 4 << 20,
            max_concurrent_calls: 16,
            max_restarts: 5,
            restart_window_secs: 600,
            restart_backoff_ms: 250,
            ping_secs: 30,
            ping_timeout_secs: 10,
            breaker_failures: 5,
            breaker_secs: 30,
            breaker_tenants: 3,
            breaker_max_tenants: 10_000,
        }
    }
}

/// A limit that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} must be {rule}, not {value}")]
pub struct InvalidConfig {
    key: &'static str,
    rule: &'static str,
    value: u64,
}

impl Config {
    /// Says which limit is out of its range, if one is.
    pub fn validate(&self) -> Result<(), InvalidConfig> {
        const FOUR_MIB: u64 = 4 << 20;
        let wide = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let ranges = [
            ("initialize_secs", self.initialize_secs, 1, 600, "1 to 600"),
            ("list_secs", self.list_secs, 1, 600, "1 to 600"),
            ("call_idle_secs", self.call_idle_secs, 1, self.call_total_secs, "at least 1 and at most call_total_secs"),
            ("call_total_secs", self.call_total_secs, 1, 86_400, "1 to 86400"),
            ("write_secs", self.write_secs, 1, 600, "1 to 600"),
            ("cancel_grace_ms", self.cancel_grace_ms, 0, 60_000, "at most 60000"),
            ("close_grace_ms", self.close_grace_ms, 0, 60_000, "at most 60000"),
            ("exit_grace_ms", self.exit_grace_ms, 0, 60_000, "at most 60000"),
            ("max_line_bytes", wide(self.max_line_bytes), 1 << 10, FOUR_MIB, "1 KiB to 4 MiB"),
            ("max_request_bytes", wide(self.max_request_bytes), 1 << 10, FOUR_MIB, "1 KiB to 4 MiB"),
            ("max_depth", wide(self.max_depth), 8, 120, "8 to 120"),
            ("max_tools", wide(self.max_tools), 1, 1024, "1 to 1024"),
            ("max_description_bytes", wide(self.max_description_bytes), 16, 64 << 10, "16 bytes to 64 KiB"),
            ("max_schema_text_bytes", wide(self.max_schema_text_bytes), 0, 1 << 20, "at most 1 MiB"),
            ("schema.max_bytes", wide(self.schema.max_bytes), 256, 1 << 20, "256 bytes to 1 MiB"),
            ("schema.max_expansions", self.schema.max_expansions, 100, 1_000_000, "100 to 1000000"),
            ("schema.max_depth", wide(self.schema.max_depth), 8, 256, "8 to 256"),
            ("schema.max_patterns", wide(self.schema.max_patterns), 0, 1024, "at most 1024"),
            ("schema.max_pattern_bytes", wide(self.schema.max_pattern_bytes), 16, 16 << 10, "16 bytes to 16 KiB"),
            ("notifications_per_sec", self.notifications_per_sec.into(), 1, u64::MAX, "at least 1"),
            ("unasked_bytes_per_sec", wide(self.unasked_bytes_per_sec), 1 << 10, u64::MAX, "at least 1 KiB"),
            ("max_concurrent_calls", wide(self.max_concurrent_calls), 1, 1024, "1 to 1024"),
            ("restart_window_secs", self.restart_window_secs, 1, 86_400, "1 to 86400"),
            ("restart_backoff_ms", self.restart_backoff_ms, 0, 60_000, "at most 60000"),
            ("ping_secs", self.ping_secs, 0, 86_400, "at most 86400"),
            ("ping_timeout_secs", self.ping_timeout_secs, 1, 600, "1 to 600"),
            ("breaker_secs", self.breaker_secs, 1, 86_400, "1 to 86400"),
            ("breaker_max_tenants", wide(self.breaker_max_tenants), 1, 1_000_000, "1 to 1000000"),
        ];
        match ranges.into_iter().find(|(_, value, least, most, _)| !(*least..=*most).contains(value)) {
            Some((key, value, _, _, rule)) => Err(InvalidConfig { key, rule, value }),
            None => Ok(()),
        }
    }

    pub(crate) fn initialize(&self) -> Duration {
        Duration::from_secs(self.initialize_secs)
    }

    pub(crate) fn list(&self) -> Duration {
        Duration::from_secs(self.list_secs)
    }

    pub(crate) fn call_idle(&self) -> Duration {
        Duration::from_secs(self.call_idle_secs)
    }

    pub(crate) fn call_total(&self) -> Duration {
        Duration::from_secs(self.call_total_secs)
    }

    pub(crate) fn cancel_grace(&self) -> Duration {
        Duration::from_millis(self.cancel_grace_ms)
    }

    pub(crate) fn close_grace(&self) -> Duration {
        Duration::from_millis(self.close_grace_ms)
    }

    pub(crate) fn exit_grace(&self) -> Duration {
        Duration::from_millis(self.exit_grace_ms)
    }

    pub(crate) fn write(&self) -> Duration {
        Duration::from_secs(self.write_secs)
    }

    /// How long a server may be idle before it is pinged; `None` where none is.
    pub(crate) fn ping(&self) -> Option<Duration> {
        (self.ping_secs > 0).then(|| Duration::from_secs(self.ping_secs))
    }

    pub(crate) fn ping_timeout(&self) -> Duration {
        Duration::from_secs(self.ping_timeout_secs)
    }

    pub(crate) fn restart_backoff(&self) -> Duration {
        Duration::from_millis(self.restart_backoff_ms)
    }

    pub(crate) fn breaker(&self) -> Duration {
        Duration::from_secs(self.breaker_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn a_limit_out_of_its_range_is_named() {
        let config = Config { max_line_bytes: 5 << 20, ..Config::default() };
        let error = config.validate().expect_err("5 MiB is too much");
        assert_eq!(error.to_string(), "max_line_bytes must be 1 KiB to 4 MiB, not 5242880");
    }

    #[test]
    fn an_idle_time_over_the_total_is_refused() {
        assert!(Config { call_idle_secs: 301, ..Config::default() }.validate().is_err());
    }
}
