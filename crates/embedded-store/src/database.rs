use crate::{
    change::{Tables, Touched},
    failure::{Failure, Halt},
    follow::Followers,
    writer::Job,
};
use lockkeeper_ports::StoreError;
use redb::{Database, DatabaseError, Durability, ReadTransaction, ReadableDatabase};
use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

/// Opens the file again.
pub(crate) type Reopen = Box<dyn Fn() -> Result<Database, DatabaseError> + Send + Sync>;

/// A commit that takes longer is worth a line in the log: the disk is slow.
const SLOW_COMMIT: Duration = Duration::from_secs(1);

/// The database, for readers and the writer, and who waits for its changes.
pub(crate) struct Shared {
    /// Only `close` and `reopen` hold it for writing. None when it is closed, or could not be opened again.
    database: RwLock<Option<Database>>,
    /// None in memory: there is nothing to open again, and nothing that reads would have to wait for.
    reopen: Option<Reopen>,
    pub(crate) followers: Arc<Followers>,
}

impl Shared {
    pub(crate) fn new(database: Database, reopen: Option<Reopen>) -> Self {
        Self { database: RwLock::new(Some(database)), reopen, followers: Arc::default() }
    }

    /// Runs a query that reads a page or two.
    pub(crate) fn read<T>(&self, query: impl FnOnce(&ReadTransaction) -> Result<T, Halt>) -> Result<T, StoreError> {
        // Only a reopening in progress fails this. It may take its time, and this may be a thread of the runtime.
        let database = self.database.try_read().map_err(|_| Failure::told("the file is being opened again"))?;
        let database = database.as_ref().ok_or_else(not_open)?;
        let txn = database.begin_read().map_err(Failure::from)?;
        Ok(query(&txn)?)
    }

    /// Runs a query that may read much, where it holds up nobody.
    pub(crate) async fn read_much<T: Send + 'static>(
        self: &Arc<Self>,
        query: impl FnOnce(&ReadTransaction) -> Result<T, Halt> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.reopen.is_none() {
            return self.read(query);
        }
        let shared = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || shared.read(query)).await;
        read.unwrap_or_else(|_| Err(Failure::told("a read was broken off").into()))
    }

    /// Makes these changes with one commit, and answers each.
    pub(crate) fn write(&self, jobs: &mut [Box<dyn Job>]) {
        let failure = match self.attempt(jobs) {
            Ok(touched) => {
                self.followers.wake(touched.logs);
                if touched.audit {
                    self.followers.wake_audit();
                }
                return jobs.iter_mut().for_each(|job| job.answer(None));
            }
            Err(failure) => failure,
        };
        if jobs.len() > 1 && failure.may_spare_others() {
            return jobs.iter_mut().for_each(|job| self.write(std::slice::from_mut(job)));
        }
        tracing::error!(error = %failure, writes = jobs.len(), "the store could not write");
        if failure.is_full() {
            // The database refuses all work after a failed write, reads too, until it is opened again.
            self.reopen();
        }
        for job in jobs {
            job.answer(Some(&failure));
        }
    }

    /// Ends reads, writes and followers, and closes the file.
    pub(crate) fn close(&self) {
        self.followers.close();
        drop(self.database.write().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn attempt(&self, jobs: &mut [Box<dyn Job>]) -> Result<Touched, Failure> {
        let mut database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if database.is_none() {
            drop(database);
            self.reopen();
            database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        }
        let started = Instant::now();
        let mut txn = database.as_ref().ok_or_else(not_open)?.begin_write()?;
        // What is in memory alone has nothing to be durable in, and a commit that need not be costs half.
        let durability = if self.reopen.is_some() { Durability::Immediate } else { Durability::None };
        txn.set_durability(durability)?;
        let touched = apply(&txn, jobs)?;
        if touched.anything {
            txn.commit()?;
        } else {
            txn.abort()?;
        }
        let elapsed = started.elapsed();
        tracing::trace!(writes = jobs.len(), ?elapsed, "committed");
        if elapsed > SLOW_COMMIT {
            tracing::warn!(writes = jobs.len(), ?elapsed, "a commit to the store's file was slow");
        }
        Ok(touched)
    }

    fn reopen(&self) {
        let Some(reopen) = &self.reopen else { return };
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // The old one goes first: it holds the lock on the file.
        drop(database.take());
        match reopen() {
            Ok(opened) => *database = Some(opened),
            Err(error) => tracing::error!(%error, "the store's file could not be opened again"),
        }
    }
}

fn apply(txn: &redb::WriteTransaction, jobs: &mut [Box<dyn Job>]) -> Result<Touched, Failure> {
    let broken = |halt| match halt {
        Halt::Broken(failure) => failure,
        Halt::Refused(_) => Failure::told("the tables cannot be opened"),
    };
    let mut tables = Tables::open(txn).map_err(broken)?;
    for job in jobs {
        job.apply(&mut tables)?;
    }
    Ok(tables.finish())
}

fn not_open() -> Failure {
    Failure::told("the file is not open")
}
