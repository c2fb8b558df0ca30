//! The start: connect, and look whether this Redis will do.

use crate::{
    Config,
    address::BadAddress,
    connection::{Connection, Open},
    failure::{Kind, Unavailable},
    reply::{array, text},
};
use fred::types::Value;
use std::{error::Error, time::Duration};
use tokio::time::Instant;

/// Why a start came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The address is none.
    #[error(transparent)]
    Address(#[from] BadAddress),
    /// There is no Redis to be had, for as long as was waited for it.
    #[error("{cause} (tried for {} s)", waited.as_secs_f64().ceil())]
    Unavailable {
        /// The last attempt's failure, with the address.
        #[source]
        cause: Box<dyn Error + Send + Sync>,
        /// For how long.
        waited: Duration,
    },
    /// It answers, and is not what is needed.
    #[error("the Redis at {address} {why}")]
    Unfit {
        /// Where.
        address: String,
        /// What is wrong, and what to do.
        why: String,
    },
}

/// The oldest version that has all that the scripts use.
const OLDEST: (u32, u32) = (6, 2);

/// Connects, and tries again until the start's deadline. What will not pass fails at once.
pub(crate) async fn open(config: &Config) -> Result<(Connection, Open, Vec<String>), ConnectError> {
    let started = Instant::now();
    let deadline = started + config.start_timeout();
    let mut pause = Duration::from_millis(50);
    loop {
        let connection = Connection::new(config)?;
        // Connecting by itself has a deadline, which may be later than the start's.
        let attempt = tokio::time::timeout_at(deadline, attempt(&connection)).await;
        let failure = match attempt {
            Ok(Ok((open, warnings))) => return Ok((connection, open, warnings)),
            Ok(Err(Attempt::Unfit(why))) => {
                return Err(ConnectError::Unfit { address: connection.address.to_string(), why });
            }
            Ok(Err(Attempt::Failed(error))) => error,
            Err(_) => crate::failure::Failure::timeout(config.start_timeout()).at(&connection.address),
        };
        let waited = started.elapsed();
        let is_over = Instant::now() + pause >= deadline;
        if is_over || matches!(failure.failure.kind, Kind::Unauthenticated | Kind::NotAllowed | Kind::WrongType) {
            return Err(ConnectError::Unavailable { cause: Box::new(failure), waited });
        }
        tracing::debug!(error = %failure, "no connection yet; trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

enum Attempt {
    Failed(Unavailable),
    Unfit(String),
}

impl From<Unavailable> for Attempt {
    fn from(error: Unavailable) -> Self {
        Self::Failed(error)
    }
}

async fn attempt(connection: &Connection) -> Result<(Open, Vec<String>), Attempt> {
    let open = connection.open().await?;
    check_version(connection).await?;
    connection.probe().await?;
    Ok((open, warnings(connection).await))
}

async fn check_version(connection: &Connection) -> Result<(), Attempt> {
    let hello = match connection.call("HELLO", "", Vec::new()).await {
        Ok(hello) => hello,
        // Redis 5 does not know the command, and Redis 6.0 wants a number with it.
        Err(error) if error.failure.kind == Kind::Other => return Err(too_old("older than 6.2")),
        Err(error) => return Err(error.into()),
    };
    let values = array(hello).unwrap_or_default();
    let version = values.chunks_exact(2).find_map(|pair| {
        let name = text(pair[0].clone()).ok()?;
        (name == "version").then(|| text(pair[1].clone()).ok()).flatten()
    });
    match version {
        Some(version) if is_too_old(&version) => Err(too_old(&version)),
        _ => Ok(()),
    }
}

fn is_too_old(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    parts.next().is_some_and(|major| (major, parts.next().unwrap_or(0)) < OLDEST)
}

fn too_old(version: &str) -> Attempt {
    Attempt::Unfit(format!("is of version {version}, and {}.{} or later is needed: update it", OLDEST.0, OLDEST.1))
}

/// What works and is not as it should be.
async fn warnings(connection: &Connection) -> Vec<String> {
    let address = &connection.address;
    let section = |name: &'static str| connection.call("INFO", "", vec![Value::from(name)]);
    let (persistence, memory) = tokio::join!(section("persistence"), section("memory"));
    let value_of = |answer: Value, name: &str| {
        let text = text(answer).ok()?;
        text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':').map(str::to_owned))
    };
    let mut warnings = Vec::new();
    match persistence.map(|answer| value_of(answer, "aof_enabled")) {
        Ok(Some(enabled)) if enabled == "0" => warnings.push(format!(
            "the Redis at {address} keeps no append-only file: what was acknowledged is lost when it is restarted; \
             set `appendonly yes`"
        )),
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "it cannot be seen whether there is an append-only file"),
    }
    if let Ok(Some(policy)) = memory.map(|answer| value_of(answer, "maxmemory_policy"))
        && let Some(lost) = evicted(&policy)
    {
        warnings.push(format!(
            "the Redis at {address} evicts {lost} when it is full (`maxmemory-policy {policy}`); set \
             `maxmemory-policy noeviction`"
        ));
    }
    warnings
}

/// What a Redis with this policy evicts when it is full.
fn evicted(policy: &str) -> Option<&'static str> {
    match policy.split('-').next() {
        Some("allkeys") => Some("any key, sessions too,"),
        // Budgets always have an expiry, and sessions do with `store.redis.retention_secs`.
        Some("volatile") => Some("keys with an expiry, budgets and with `store.redis.retention_secs` sessions too,"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_that_evict_data_are_warned_of() {
        for policy in ["allkeys-lru", "allkeys-random", "volatile-ttl", "volatile-lfu"] {
            assert!(evicted(policy).is_some(), "{policy}");
        }
        assert_eq!(evicted("noeviction"), None);
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (version, too_old) in [
            ("5.0.14", true),
            ("6.0.16", true),
            ("6.2.0", false),
            ("7.0.15", false),
            ("10.0", false),
            ("255.255.255", false),
            ("x", false),
        ] {
            assert_eq!(is_too_old(version), too_old, "{version}");
        }
    }
}
