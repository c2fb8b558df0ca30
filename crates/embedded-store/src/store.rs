use crate::{
    Config, OpenError,
    change::Tables,
    database::{Reopen, Shared},
    failure::Halt,
    follow::ReadAhead,
    open,
    writer::Writer,
};
use lockkeeper_ports::StoreError;
use redb::Database;
use std::{
    fmt,
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::Arc,
};

/// All store ports in one local file, or in memory.
///
/// Dropping the store writes what is queued, ends its followers, and closes the file. That takes as long as a sync of the
/// file, and the thread waits for it.
pub struct EmbeddedStore {
    pub(crate) shared: Arc<Shared>,
    pub(crate) read_ahead: ReadAhead,
    writer: Writer,
}

impl EmbeddedStore {
    /// Opens the configured file, and makes it if it is missing; without a path, an empty store in memory.
    ///
    /// Leases in the file end: whoever held them had it open, and has not any more. Opening waits for the disk, longest
    /// for a file that a crash left unchecked or if [`Config::verify_on_open`] is set, so call it before there is
    /// anything else to do, or where blocking is allowed.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let Some(path) = config.path.clone() else {
            return Ok(Self::over_memory(config, random_start()));
        };
        let database = open::open(&path, config)?;
        let again = config.clone();
        let at = path.clone();
        Self::over_file(database, Box::new(move || open::reopen(&at, &again)), config)
            .map_err(|source| OpenError::Io { path, source })
    }

    /// An empty store in memory, with the default configuration. It needs no thread, and never waits.
    pub fn in_memory() -> Self {
        Self::over_memory(&Config::default(), 0)
    }

    fn over_memory(config: &Config, first: u64) -> Self {
        let shared = Arc::new(Shared::new(open::in_memory(first), None));
        Self { shared, writer: Writer::Inline, read_ahead: ReadAhead::of(config) }
    }

    pub(crate) fn over_file(database: Database, reopen: Reopen, config: &Config) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(database, Some(reopen)));
        let writer = Writer::start(Arc::clone(&shared), config)?;
        Ok(Self { shared, writer, read_ahead: ReadAhead::of(config) })
    }

    /// Has a change of about `weight` bytes made.
    pub(crate) async fn write<T, F>(&self, weight: usize, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&mut Tables<'_>) -> Result<T, Halt> + Send + 'static,
    {
        self.writer.write(&self.shared, weight, change).await
    }
}

impl ReadAhead {
    fn of(config: &Config) -> Self {
        Self { events: config.follow_batch_events.get(), bytes: config.follow_batch_bytes }
    }
}

/// A random number of 40 bits, after which a store in memory counts. The ids of events then name the log of this process: a
/// client that comes back with an id of an earlier process gets a snapshot, not the rest of another conversation.
fn random_start() -> u64 {
    RandomState::new().build_hasher().finish() >> 24
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.writer.stop();
        self.shared.close();
    }
}

impl fmt::Debug for EmbeddedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedStore").finish_non_exhaustive()
    }
}
