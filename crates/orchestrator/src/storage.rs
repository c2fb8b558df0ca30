//! The bounds on what is stored: asked before a session is created and before a message is accepted. What belongs to a
//! running turn is always recorded, so usage exceeds a bound by at most what the running turns write.

use crate::Config;
use lockkeeper_domain::{Code, Failure, PrincipalId};
use lockkeeper_ports::{SessionStore, StoreError};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{sync::MutexGuard, time::Instant};

/// How long a measurement that is far from its bound is used again.
const FRESH: Duration = Duration::from_secs(2);
/// How long the measurement of the deployment is used again; it may look at each session.
const FRESH_IN_ALL: Duration = Duration::from_secs(10);
/// How many principals' measurements are kept.
const KEPT: usize = 4_096;

/// Measurements of what is stored, and the locks that creations of sessions take.
pub(crate) struct Storage {
    /// When an owner was measured, and the bytes: those measured, and those of the messages admitted since.
    owners: Mutex<HashMap<PrincipalId, (Instant, u64)>>,
    all: tokio::sync::Mutex<Option<(Instant, u64)>>,
    locks: [tokio::sync::Mutex<()>; 64],
    hasher: RandomState,
}

impl Storage {
    pub(crate) fn new() -> Self {
        let locks = std::array::from_fn(|_| tokio::sync::Mutex::default());
        Self { owners: Mutex::default(), all: tokio::sync::Mutex::default(), locks, hasher: RandomState::new() }
    }

    /// Refuses a new session of an owner who is at a bound. The guard is held until the session is created: of sessions that
    /// are asked for at once, each is counted.
    pub(crate) async fn admit_session(
        &self,
        owner: &PrincipalId,
        store: &dyn SessionStore,
        config: &Config,
    ) -> Result<MutexGuard<'_, ()>, Failure> {
        let nth = usize::try_from(self.hasher.hash_one(owner) % self.locks.len() as u64).unwrap_or_default();
        let guard = match self.locks.get(nth) {
            Some(lock) => lock.lock().await,
            None => return Err(Failure::new(Code::Internal, "The session was not created.")),
        };
        let most = config.max_stored_sessions_per_principal;
        if most > 0 || config.max_stored_bytes_per_principal > 0 {
            let used = measured(store.occupied_by(owner).await);
            if most > 0 && used.sessions >= most {
                let message =
                    format!("{} sessions are stored for this user, and at most {most} may be.", used.sessions);
                return Err(full(message, "session.max_stored_sessions_per_principal"));
            }
            owner_fits(used.bytes, config)?;
        }
        self.all_fits(store, config).await?;
        Ok(guard)
    }

    /// Refuses a new message of so many bytes of an owner who is at a bound.
    pub(crate) async fn admit_message(
        &self,
        owner: &PrincipalId,
        bytes: u64,
        store: &dyn SessionStore,
        config: &Config,
    ) -> Result<(), Failure> {
        let most = config.max_stored_bytes_per_principal;
        if most > 0 && !self.is_far_below(owner, bytes, most) {
            let used = measured(store.occupied_by(owner).await);
            owner_fits(used.bytes, config)?;
            let mut owners = self.owners();
            if owners.len() >= KEPT {
                owners.clear();
            }
            owners.insert(owner.clone(), (Instant::now(), used.bytes + bytes));
        }
        self.all_fits(store, config).await
    }

    /// Whether a fresh measurement and what was admitted since are below half of the bound. Counts the message if so.
    fn is_far_below(&self, owner: &PrincipalId, bytes: u64, most: u64) -> bool {
        match self.owners().get_mut(owner) {
            Some((at, known)) if at.elapsed() < FRESH && *known + bytes < most / 2 => {
                *known += bytes;
                true
            }
            _ => false,
        }
    }

    async fn all_fits(&self, store: &dyn SessionStore, config: &Config) -> Result<(), Failure> {
        let most = config.max_stored_bytes;
        if most == 0 {
            return Ok(());
        }
        let mut all = self.all.lock().await;
        let bytes = match *all {
            Some((at, bytes)) if at.elapsed() < FRESH_IN_ALL => bytes,
            _ => {
                let bytes = measured(store.occupied_in_all().await);
                if bytes >= most {
                    tracing::error!(bytes, most, "the storage of the deployment is full");
                }
                *all = Some((Instant::now(), bytes));
                bytes
            }
        };
        if bytes < most {
            return Ok(());
        }
        Err(full("The storage of this server is full.".to_owned(), "session.max_stored_bytes"))
    }

    fn owners(&self) -> std::sync::MutexGuard<'_, HashMap<PrincipalId, (Instant, u64)>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the size that a log over its bound is trimmed to: nine tenths of the bound, so that not each turn trims.
pub(crate) fn log_target(config: &Config) -> u64 {
    config.max_log_bytes - config.max_log_bytes / 10
}

/// Takes what cannot be measured as nothing. A Redis may deny `INFO`, and if the store is away, the write that follows is
/// tried again and reports it.
fn measured<T: Default>(size: Result<T, StoreError>) -> T {
    size.inspect_err(|error| tracing::warn!(%error, "failed to measure the store; its bounds are not enforced"))
        .unwrap_or_default()
}

fn owner_fits(bytes: u64, config: &Config) -> Result<(), Failure> {
    let most = config.max_stored_bytes_per_principal;
    if most == 0 || bytes < most {
        return Ok(());
    }
    let message = format!("The stored sessions of this user occupy {bytes} bytes, and at most {most} are allowed.");
    Err(full(message, "session.max_stored_bytes_per_principal"))
}

fn full(message: String, key: &str) -> Failure {
    Failure::new(Code::StorageFull, message)
        .with_hint(format!("Delete sessions that are not needed any more, or have an operator raise `{key}`."))
}
