use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// How providers are asked for their models.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModelsConfig {
    /// How long the list of the server's own key is kept, in seconds: 300.
    pub ttl_secs: u64,
    /// How long the provider may take for its list, in milliseconds: 5000.
    pub timeout_ms: u64,
    /// How long the provider is left alone after it gave no list, in seconds: 10.
    pub retry_secs: u64,
    /// How many questions with users' keys may come from one address (one /64 network of IPv6) at once: 10.
    pub own_key_burst: u32,
    /// How many of them per minute after that: 20.
    pub own_keys_per_min: u32,
    /// How many of them may be under way at the same time, from everywhere: 8.
    pub max_own_keys_at_once: usize,
}

impl Default for ModelsConfig {
    fn default() -> Self {
        Self {
            ttl_secs: 300,
            timeout_ms: 5_000,
            retry_secs: 10,
            own_key_burst: 10,
            own_keys_per_min: 20,
            max_own_keys_at_once: 8,
        }
    }
}

impl ModelsConfig {
    /// What is wrong with the values, each with its key; empty when nothing is.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        const MOST_AT_ONCE: usize = 10_000;
        let values = [
            ("timeout_ms", self.timeout_ms),
            ("retry_secs", self.retry_secs),
            ("own_key_burst", self.own_key_burst.into()),
            ("own_keys_per_min", self.own_keys_per_min.into()),
            ("max_own_keys_at_once", self.max_own_keys_at_once as u64),
        ];
        let zero = values.into_iter().filter(|(_, value)| *value == 0);
        let mut problems: Vec<_> = zero.map(|(key, _)| (key, "is 0 and must be at least 1".to_owned())).collect();
        if self.max_own_keys_at_once > MOST_AT_ONCE {
            let found = self.max_own_keys_at_once;
            problems.push(("max_own_keys_at_once", format!("is {found} and may be at most {MOST_AT_ONCE}")));
        }
        problems
    }

    pub(super) fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_secs)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    pub(super) fn retry(&self) -> Duration {
        Duration::from_secs(self.retry_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problem_and_bad_values_are_all_named() {
        assert_eq!(ModelsConfig::default().problems(), []);
        let bad = ModelsConfig { timeout_ms: 0, own_key_burst: 0, ttl_secs: 0, ..ModelsConfig::default() };
        let keys: Vec<_> = bad.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["timeout_ms", "own_key_burst"]);
    }
}
