use lockkeeper_ports::StoreError;
use std::{
    io::{self, ErrorKind},
    sync::Arc,
};

/// Why a change or a query ended early.
#[derive(Debug)]
pub(crate) enum Halt {
    /// It must not be, or cannot be: this is the answer. Nothing was changed.
    Refused(StoreError),
    /// The database does not do its work.
    Broken(Failure),
}

/// What is wrong with the database. Every write of a batch gets the same one.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Failure(Arc<Reason>);

#[derive(Debug, thiserror::Error)]
enum Reason {
    #[error(transparent)]
    Redb(#[from] redb::Error),
    #[error("{0}")]
    Told(&'static str),
}

impl Failure {
    pub(crate) fn told(reason: &'static str) -> Self {
        Self(Arc::new(Reason::Told(reason)))
    }

    /// Whether the disk, or this process's share of it, is full: the one failure of a disk that passes by itself.
    pub(crate) fn is_full(&self) -> bool {
        let full = |kind| matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge);
        matches!(&*self.0, Reason::Redb(redb::Error::Io(error)) if full(error.kind()))
    }

    /// The operating system's error, where it is one.
    pub(crate) fn into_io(self) -> Result<io::Error, Self> {
        match Arc::try_unwrap(self.0) {
            Ok(Reason::Redb(redb::Error::Io(error))) => Ok(error),
            Ok(reason) => Err(Self(Arc::new(reason))),
            Err(shared) => Err(Self(shared)),
        }
    }

    /// Whether another write may succeed where this one failed, as when a single session's pages are damaged.
    pub(crate) fn may_spare_others(&self) -> bool {
        matches!(&*self.0, Reason::Redb(redb::Error::Corrupted(_) | redb::Error::ValueTooLarge(_)))
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        match &*failure.0 {
            Reason::Redb(redb::Error::Corrupted(_)) => Self::Corrupt { what: "page", source: Box::new(failure) },
            _ => Self::Unavailable(Box::new(failure)),
        }
    }
}

impl From<Halt> for StoreError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Refused(error) => error,
            Halt::Broken(failure) => failure.into(),
        }
    }
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Broken(failure)
    }
}

macro_rules! from_redb {
    ($($error:ty),*) => {
        $(
            impl From<$error> for Failure {
                fn from(error: $error) -> Self {
                    Self(Arc::new(Reason::Redb(error.into())))
                }
            }

            impl From<$error> for Halt {
                fn from(error: $error) -> Self {
                    Self::Broken(error.into())
                }
            }
        )*
    };
}

from_redb!(
    redb::StorageError,
    redb::TableError,
    redb::TransactionError,
    redb::CommitError,
    redb::SetDurabilityError,
    redb::DatabaseError
);

#[cfg(test)]
mod tests {
    use super::*;

    fn io_failure(kind: ErrorKind) -> Failure {
        redb::StorageError::Io(io::Error::from(kind)).into()
    }

    #[test]
    fn a_full_disk_is_unavailable_and_passes() {
        let failure = io_failure(ErrorKind::StorageFull);
        assert!(failure.is_full());
        assert!(matches!(StoreError::from(failure), StoreError::Unavailable(_)));
        assert!(!io_failure(ErrorKind::Other).is_full());
    }

    #[test]
    fn a_damaged_page_is_corrupt() {
        let failure = Failure::from(redb::StorageError::Corrupted("bad checksum".to_owned()));
        assert!(failure.may_spare_others());
        assert!(matches!(StoreError::from(failure), StoreError::Corrupt { what: "page", .. }));
    }
}
