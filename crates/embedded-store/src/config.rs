use schemars::JsonSchema;
use serde::Deserialize;
use std::{num::NonZeroUsize, path::PathBuf};

/// Where and how an [`EmbeddedStore`](crate::EmbeddedStore) keeps what it stores.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The file; it and its folder are made if they are missing. None by default: everything is kept in memory, and lost
    /// with the process.
    pub path: Option<PathBuf>,
    /// How many bytes of the file are cached in memory. 64 MiB by default.
    pub cache_bytes: usize,
    /// Whether opening reads the whole file and checks every checksum. After a crash that is done anyway. True by
    /// default: without it, a file that something else has damaged may be noticed late.
    pub verify_on_open: bool,
    /// How many writes may wait; a further one waits for a place. 256 by default.
    pub max_queued_writes: NonZeroUsize,
    /// How many writes share one sync of the file. 256 by default.
    pub max_batch_writes: NonZeroUsize,
    /// How many bytes the writes that share a sync may add up to before no more join them. 8 MiB by default.
    pub max_batch_bytes: usize,
    /// How many events a follower reads ahead. 128 by default.
    pub follow_batch_events: NonZeroUsize,
    /// How many bytes a follower reads ahead, but for one event. 1 MiB by default.
    pub follow_batch_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        const fn at_least_one(number: usize) -> NonZeroUsize {
            NonZeroUsize::MIN.saturating_add(number - 1)
        }
        Self {
            path: None,
            cache_bytes: 64 * MIB,
            verify_on_open: true,
            max_queued_writes: at_least_one(256),
            max_batch_writes: at_least_one(256),
            max_batch_bytes: 8 * MIB,
            follow_batch_events: at_least_one(128),
            follow_batch_bytes: MIB,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_what_the_docs_state() {
        let config: Config = serde_json::from_str("{}").unwrap();
        assert_eq!(config, Config::default());
        assert_eq!((config.max_queued_writes.get(), config.follow_batch_events.get()), (256, 128));
    }

    #[test]
    fn a_limit_of_zero_and_an_unknown_key_are_refused() {
        for bad in [r#"{"max_queued_writes": 0}"#, r#"{"follow_batch_events": 0}"#, r#"{"pth": "x"}"#] {
            assert!(serde_json::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
