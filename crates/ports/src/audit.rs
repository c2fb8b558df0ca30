//! The port of the audit trail: the records of the audit, kept apart from the logs that they were written to. Stores implement
//! it; the export, the sinks and the retention of the audit read it.

use crate::StoreError;
use async_trait::async_trait;
use futures::stream::BoxStream;
use lockkeeper_domain::{PrincipalId, SessionId, Timestamp};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

pub use lockkeeper_domain::Entry as AuditEntry;

/// The audit of one session, as far as the trail keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAudit {
    /// Tells the session from the others that had its id.
    pub born: String,
    /// The session's owner.
    pub owner: PrincipalId,
    /// The number of the last record that was written.
    pub last: u64,
    /// The records up to this number were removed from the trail. The session's log may still hold them.
    pub removed: u64,
    /// The records up to this number were removed because the trail had exceeded its size.
    pub removed_for_size: u64,
    /// Whether the session is still stored.
    pub is_stored: bool,
}

/// A place in the trail of all sessions. Stores name places in ways of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct AuditCursor {
    /// The place, or its time in milliseconds.
    pub major: u64,
    /// The place among those of the same time.
    pub minor: u64,
}

/// The text is not a cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cursor is two numbers, as in `1767225600000-0`")]
pub struct BadCursor;

impl fmt::Display for AuditCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.major, self.minor)
    }
}

impl FromStr for AuditCursor {
    type Err = BadCursor;

    fn from_str(text: &str) -> Result<Self, BadCursor> {
        let (major, minor) = text.split_once('-').ok_or(BadCursor)?;
        let number = |text: &str| text.parse().map_err(|_| BadCursor);
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

impl From<AuditCursor> for String {
    fn from(cursor: AuditCursor) -> Self {
        cursor.to_string()
    }
}

impl TryFrom<String> for AuditCursor {
    type Error = BadCursor;

    fn try_from(text: String) -> Result<Self, BadCursor> {
        text.parse()
    }
}

/// A record of the trail of all sessions. Its JSON is one line of a stream of the audit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditedEntry {
    /// Its place. Whoever follows from here gets what comes after it.
    pub cursor: AuditCursor,
    /// The session.
    pub session: SessionId,
    /// Tells the session from the others that had its id.
    pub born: String,
    /// The session's owner.
    pub owner: PrincipalId,
    /// The record.
    #[serde(flatten)]
    pub entry: AuditEntry,
}

/// The records of all sessions from some place on, and those to come. It never ends by itself.
pub type AuditStream = BoxStream<'static, Result<AuditedEntry, StoreError>>;

/// What a removal did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditRemoval {
    /// The number of records that were removed because of their age.
    pub by_age: u64,
    /// The number of records that were removed because the trail exceeded its size.
    pub by_size: u64,
    /// The bytes that the trail occupies now.
    pub bytes: u64,
}

/// The records of the audit, kept for longer than the logs that they were written to.
///
/// [`SessionStore::commit`](crate::SessionStore::commit) writes to it as part of its step, so a record is in the log and in the trail
/// or in neither. Neither a trim nor a delete nor the expiry of a session removes a record here. Records that an earlier version wrote
/// to a log alone are added with the next commit of a record, and before a trim or a delete removes them from the log.
#[async_trait]
pub trait AuditTrail: Send + Sync {
    /// Returns what is kept of the sessions that have or had this id, the latest last.
    async fn audits(&self, id: &SessionId) -> Result<Vec<KeptAudit>, StoreError>;

    /// Returns the records of one of them after the number `after`, at most `limit`, in the order of their numbers.
    async fn audit(&self, id: &SessionId, born: &str, after: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError>;

    /// Returns the records of all sessions after `after`, or from the first one on, and those to come. Those of one session come in
    /// order. A record may come again after its stream was resumed, and none is left out.
    async fn follow_audit(&self, after: Option<AuditCursor>) -> Result<AuditStream, StoreError>;

    /// Removes the records from before `before`, and then the oldest ones until the trail occupies at most `max_bytes` (0: without
    /// a bound). Idempotent.
    async fn remove_audit(&self, before: Timestamp, max_bytes: u64) -> Result<AuditRemoval, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        let cursor = AuditCursor { major: 1_767_225_600_000, minor: 7 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in ["", "7", "7-", "-7", "a-1", "1-2-3"] {
            assert_eq!(bad.parse::<AuditCursor>(), Err(BadCursor), "{bad}");
        }
    }
}
