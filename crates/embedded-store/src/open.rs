//! Opening the file: one process alone, a known format, and nobody's lease.

use crate::{Config, failure::Failure, schema};
use redb::{Builder, Database, DatabaseError, ReadableTable, ReadableTableMetadata, TableHandle, backends};
use std::{
    fs::{self, File, OpenOptions},
    hash::{BuildHasher, RandomState},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

/// Why the store's file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store of this one, has it open.
    #[error("the store's file {} is in use: end the process that has it open, or configure another path", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is something else.
    #[error("{} is not a file of this store: configure another path, or move the file away", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// A later version of this program wrote it.
    #[error(
        "the store's file {} has format {found}, and this program knows formats up to {known}: use the program's later version",
        path.display()
    )]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The highest that is known.
        known: u64,
    },
    /// It cannot be read, wholly or in part. Nothing was repaired or thrown away.
    #[error("the store's file {} is damaged ({reason}): restore it from a backup, or move it away to begin anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// The operating system refuses.
    #[error("the store's file {} cannot be opened", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Opens the file, or makes it, and ends the leases of whoever had it before.
pub(crate) fn open(path: &Path, config: &Config) -> Result<Database, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    if !path.try_exists().map_err(io)? {
        create(path).map_err(|error| refusal(path, error))?;
    }
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let database = builder(config).create(path).map_err(|error| refusal(path, error))?;
        prepare(&database).map_err(|error| error.into_refusal(path))?;
        Ok(database)
    }));
    opened.unwrap_or_else(|_| Err(damaged(path, "its structure is broken")))
}

/// Opens a file that this process has had open before.
pub(crate) fn reopen(path: &Path, config: &Config) -> Result<Database, DatabaseError> {
    builder(config).open(path)
}

/// An empty database in memory, whose numbers for epochs and logs begin after `first`.
pub(crate) fn in_memory(first: u64) -> Database {
    let database = Builder::new().create_with_backend(backends::InMemoryBackend::new());
    let database = database.expect("memory does not refuse to be written to");
    prepare(&database).expect("an empty database takes its tables");
    begin_after(&database, first).expect("memory does not refuse to be written to");
    database
}

fn begin_after(database: &Database, first: u64) -> Result<(), redb::Error> {
    let txn = database.begin_write()?;
    txn.open_table(schema::META)?.insert(schema::COUNTER_KEY, first)?;
    txn.commit()?;
    Ok(())
}

fn builder(config: &Config) -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(config.cache_bytes).set_check_integrity_on_open(config.verify_on_open).set_repair_callback(
        |repair| {
            tracing::debug!(progress = repair.progress(), "the store's file is being checked");
        },
    );
    builder
}

/// Makes the file under another name first: one that was cut off while it was made would be taken for damaged.
fn create(path: &Path) -> Result<(), DatabaseError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".new-{:016x}", RandomState::new().hash_one(std::process::id())));
    let unfinished = folder.join(name);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = options.open(&unfinished).map_err(DatabaseError::from).and_then(|file| {
        Builder::new().create_with_backend(backends::FileBackend::new(file)?)?.close()?;
        // Where another process was faster, its file stays.
        match fs::hard_link(&unfinished, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // Some file systems have no links.
            Err(_) => Ok(fs::rename(&unfinished, path)?),
            Ok(()) => Ok(()),
        }
    });
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => tracing::warn!(%error, "a file was left behind"),
        _ => {}
    }
    made?;
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    Ok(())
}

/// What keeps a database from being used, though it could be opened.
#[derive(Debug)]
pub(crate) enum Unfit {
    Foreign,
    TooNew(u64),
    Broken(Failure),
}

impl<E: Into<Failure>> From<E> for Unfit {
    fn from(error: E) -> Self {
        Self::Broken(error.into())
    }
}

impl Unfit {
    fn into_refusal(self, path: &Path) -> OpenError {
        match self {
            Self::Foreign => OpenError::NotAStore { path: path.to_owned() },
            Self::TooNew(found) => OpenError::TooNew { path: path.to_owned(), found, known: schema::FORMAT },
            Self::Broken(failure) => match failure.into_io() {
                Ok(source) => OpenError::Io { path: path.to_owned(), source },
                Err(failure) => damaged(path, &failure.to_string()),
            },
        }
    }
}

/// Checks the format, makes the tables, and ends all leases: their holders had this file open, and have not any more.
pub(crate) fn prepare(database: &Database) -> Result<(), Unfit> {
    let txn = database.begin_write()?;
    let tables: Vec<String> = txn.list_tables()?.map(|table| table.name().to_owned()).collect();
    if !tables.is_empty() && !tables.iter().any(|name| name == schema::META.name()) {
        return Err(Unfit::Foreign);
    }
    {
        let mut meta = match txn.open_table(schema::META) {
            Err(redb::TableError::Storage(error)) => return Err(error.into()),
            Err(_) => return Err(Unfit::Foreign),
            Ok(meta) => meta,
        };
        let found = meta.get(schema::FORMAT_KEY)?.map(|format| format.value());
        match found {
            Some(found) if found > schema::FORMAT => return Err(Unfit::TooNew(found)),
            None if !tables.is_empty() => return Err(Unfit::Foreign),
            Some(_) => {}
            None => drop(meta.insert(schema::FORMAT_KEY, schema::FORMAT)?),
        }
        txn.open_table(schema::RECORDS)?;
        txn.open_table(schema::LOGS)?;
        txn.open_table(schema::EVENTS)?;
        txn.open_table(schema::HISTORY)?;
        txn.open_table(schema::OWNED)?;
        txn.open_table(schema::IDLE)?;
        txn.open_table(schema::RULES)?;
        txn.open_table(schema::SIZES)?;
        txn.open_table(schema::AUDIT)?;
        txn.open_table(schema::AUDIT_OF)?;
        txn.open_table(schema::AUDIT_HEADS)?;
        txn.open_table(schema::BUDGETS)?;
        txn.open_table(schema::HOLDS)?;
        txn.open_table(schema::SETTLED)?;
        txn.open_table(schema::SETTLED_UNTIL)?;
        let mut leases = txn.open_table(schema::LEASES)?;
        let mut busy = txn.open_table(schema::BUSY)?;
        if leases.len()? > 0 {
            leases.retain(|_, _| false)?;
            let sessions = busy.iter()?.map(|entry| Ok(entry?.0.value().1.to_owned()));
            let sessions = sessions.collect::<Result<Vec<_>, redb::StorageError>>()?;
            busy.retain(|_, ()| false)?;
            for id in sessions {
                busy.insert((schema::NO_LEASE, id.as_str()), ())?;
            }
        }
    }
    txn.commit()?;
    Ok(())
}

fn refusal(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => OpenError::InUse { path },
        DatabaseError::Storage(redb::StorageError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
            OpenError::NotAStore { path }
        }
        DatabaseError::Storage(redb::StorageError::Io(source)) => OpenError::Io { path, source },
        other => damaged(&path, &other.to_string()),
    }
}

fn damaged(path: &Path, reason: &str) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), reason: reason.to_owned() }
}
