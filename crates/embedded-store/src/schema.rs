//! The tables of the file, and how their values are written.
//!
//! Session ids hold no structure, so they go into keys as they are. Values are JSON where the domain defines them, and
//! tuples where this crate does.

use crate::{change::StoredAccount, failure::Halt};
use lockkeeper_domain::{Epoch, Event, EventId, Message, Seq, SessionRecord, StoredRule};
use lockkeeper_ports::{Account, AuditEntry, StoreError};
use redb::TableDefinition;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Tokens, calls and milliseconds that are set aside, and the end in milliseconds.
pub(crate) type HoldRow = (u64, u64, u64, i64);

/// The version of the tables. A file with a higher one is refused.
pub(crate) const FORMAT: u64 = 1;

/// Session, birth of its log, number, time in milliseconds, and the record as JSON.
pub(crate) type AuditRow = (&'static str, u64, u64, i64, &'static [u8]);
/// Owner, the last number, and the last numbers that were removed at all and because of the trail's size.
pub(crate) type AuditHeadRow = (&'static str, u64, u64, u64);

/// Numbers of the whole file: [`FORMAT_KEY`], [`COUNTER_KEY`], [`PROBE_KEY`], [`AUDIT_KEY`] and [`AUDIT_BYTES_KEY`].
pub(crate) const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Where [`META`] holds the format.
pub(crate) const FORMAT_KEY: &str = "format";
/// Where [`META`] holds the last number drawn for an epoch or a log.
pub(crate) const COUNTER_KEY: &str = "counter";
/// Where [`META`] holds how often somebody asked whether the file can be written to.
pub(crate) const PROBE_KEY: &str = "probe";

/// Where [`META`] holds the last place of [`AUDIT`].
pub(crate) const AUDIT_KEY: &str = "audit";
/// Where [`META`] holds about how many bytes [`AUDIT`] occupies.
pub(crate) const AUDIT_BYTES_KEY: &str = "audit_bytes";

/// Session to [`SessionRecord`].
pub(crate) const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");
/// Session to the epoch, the end in milliseconds, and the holder of its lease. No entry: nobody has one.
pub(crate) const LEASES: TableDefinition<&str, (u64, i64, &str)> = TableDefinition::new("leases");
/// Session to its [`Log`].
pub(crate) const LOGS: TableDefinition<&str, (u64, u64, u64, u64)> = TableDefinition::new("logs");
/// Session and number to [`Event`].
pub(crate) const EVENTS: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("events");
/// Session and position to [`Message`].
pub(crate) const HISTORY: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("history");
/// Session to its [`Size`]. It may be missing or outdated: an earlier version wrote to the session.
pub(crate) const SIZES: TableDefinition<&str, (u64, u64, u64, u64)> = TableDefinition::new("sizes");
/// Index: owner, last use, session.
pub(crate) const OWNED: TableDefinition<(&str, i64, &str), ()> = TableDefinition::new("owned");
/// Index: last use and session, of sessions that have a sandbox and are not busy.
pub(crate) const IDLE: TableDefinition<(i64, &str), ()> = TableDefinition::new("idle");
/// Index: the lease's end ([`NO_LEASE`] without one) and session, of sessions that are busy.
pub(crate) const BUSY: TableDefinition<(i64, &str), ()> = TableDefinition::new("busy");
/// Account ([`account_name`]) to [`StoredAccount`].
pub(crate) const BUDGETS: TableDefinition<&str, &[u8]> = TableDefinition::new("budgets");
/// Account and key to what is set aside, and when that lapses.
pub(crate) const HOLDS: TableDefinition<(&str, &str), HoldRow> = TableDefinition::new("holds");
/// Account and key of what was counted, to when that may be forgotten.
pub(crate) const SETTLED: TableDefinition<(&str, &str), i64> = TableDefinition::new("settled");
/// Index of [`SETTLED`] by time.
pub(crate) const SETTLED_UNTIL: TableDefinition<(i64, &str, &str), ()> = TableDefinition::new("settled_until");

/// Owner and rule to [`StoredRule`].
pub(crate) const RULES: TableDefinition<(&str, &str), &[u8]> = TableDefinition::new("rules");

/// Place to a record of the audit. It outlives the log that the record was written to.
pub(crate) const AUDIT: TableDefinition<u64, AuditRow> = TableDefinition::new("audit");
/// Index of [`AUDIT`]: session, birth of its log, and number to place.
pub(crate) const AUDIT_OF: TableDefinition<(&str, u64, u64), u64> = TableDefinition::new("audit_of");
/// Session and birth of its log to where its audit begins and ends.
pub(crate) const AUDIT_HEADS: TableDefinition<(&str, u64), AuditHeadRow> = TableDefinition::new("audit_heads");

/// Stands for the end of a lease that is not there.
pub(crate) const NO_LEASE: i64 = i64::MIN;
/// Sorts behind every id of a session and of a rule.
pub(crate) const AFTER_IDS: &str = "\u{7f}";

/// What is known of a log without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// Tells the log from that of an earlier session by the same id.
    pub(crate) born: u64,
    /// Where it ends.
    pub(crate) last: EventId,
    /// The last event that is not kept any more.
    pub(crate) trimmed: Seq,
}

impl Log {
    pub(crate) fn from_row((born, epoch, seq, trimmed): (u64, u64, u64, u64)) -> Self {
        let last = EventId { epoch: Epoch::new(epoch), seq: Seq::new(seq) };
        Self { born, last, trimmed: Seq::new(trimmed) }
    }

    pub(crate) fn row(&self) -> (u64, u64, u64, u64) {
        (self.born, self.last.epoch.get(), self.last.seq.get(), self.trimmed.get())
    }
}

/// The bytes of a session's log and history, with the ends of the log that they were counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// The events.
    pub(crate) log: u64,
    /// The messages.
    pub(crate) history: u64,
}

impl Size {
    /// Returns `None` for a row that was not counted for this log: a version that does not count has written since.
    pub(crate) fn from_row((log, history, last, trimmed): (u64, u64, u64, u64), of: &Log) -> Option<Self> {
        (last == of.last.seq.get() && trimmed == of.trimmed.get()).then_some(Self { log, history })
    }

    pub(crate) fn row(self, of: &Log) -> (u64, u64, u64, u64) {
        (self.log, self.history, of.last.seq.get(), of.trimmed.get())
    }
}

/// A value as it is stored. `what` names it in the error.
pub(crate) fn encode<T: Serialize>(what: &'static str, value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::Corrupt { what, source: Box::new(error) })
}

/// Days come before sessions, and earlier days first.
pub(crate) fn account_name(account: &Account) -> String {
    match account {
        Account::Day(principal, day) => format!("day/{day}/{principal}"),
        Account::Session(id) => format!("session/{id}"),
    }
}

pub(crate) fn decode_account(bytes: &[u8]) -> Result<StoredAccount, Halt> {
    decode("budget", bytes)
}

pub(crate) fn decode_event(bytes: &[u8]) -> Result<Event, Halt> {
    decode("event", bytes)
}

pub(crate) fn decode_audit(bytes: &[u8]) -> Result<AuditEntry, Halt> {
    decode("audit record", bytes)
}

pub(crate) fn decode_message(bytes: &[u8]) -> Result<Message, Halt> {
    decode("message", bytes)
}

pub(crate) fn decode_rule(bytes: &[u8]) -> Result<StoredRule, Halt> {
    decode("stored rule", bytes)
}

pub(crate) fn decode_record(bytes: &[u8]) -> Result<SessionRecord, Halt> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    #[derive(Debug, thiserror::Error)]
    #[error("its version is {0}, and this program knows versions up to {known}", known = SessionRecord::VERSION)]
    struct TooNew(u32);

    const WHAT: &str = "session record";
    // The version is looked at first: a later form may not parse, or worse, parse and mean something else.
    let Versioned { version } = decode(WHAT, bytes)?;
    if version > SessionRecord::VERSION {
        return Err(StoreError::Corrupt { what: WHAT, source: Box::new(TooNew(version)) }.into());
    }
    decode(WHAT, bytes)
}

fn decode<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Halt> {
    serde_json::from_slice(bytes).map_err(|error| StoreError::Corrupt { what, source: Box::new(error) }.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::{PrincipalId, SessionId, Spend, Timestamp};
    use std::error::Error as _;

    #[test]
    fn a_record_of_a_later_version_is_named_as_such() {
        let id = SessionId::parse("a").unwrap();
        let mut record = SessionRecord::opened(id, PrincipalId::parse("ada").unwrap(), None, Timestamp::default());
        assert_eq!(decode_record(&encode("record", &record).unwrap()).unwrap(), record);

        record.version += 1;
        let error = StoreError::from(decode_record(&encode("record", &record).unwrap()).unwrap_err());
        assert!(matches!(error, StoreError::Corrupt { what: "session record", .. }), "{error}");
        assert!(error.source().unwrap().to_string().contains("version is 2"), "{error:?}");
    }

    #[test]
    fn what_an_account_of_an_earlier_version_has_spent_is_read() {
        // Its holds are those of a process that is gone.
        let stored = br#"{"spent":{"tokens":7,"toolCalls":2,"wallMs":9},"holds":{"a":{"held":{"tokens":1},"until":5,"settled":false}},"at":3}"#;
        let account = decode_account(stored).unwrap();
        assert_eq!(account.spent, Spend { tokens: 7, tool_calls: 2, wall_ms: 9 });
    }

    #[test]
    fn what_is_not_json_is_corrupt() {
        for error in [decode_event(b"{").unwrap_err(), decode_message(b"\xff").unwrap_err()] {
            assert!(matches!(StoreError::from(error), StoreError::Corrupt { .. }));
        }
    }
}
