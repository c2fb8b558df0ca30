//! What writes do to the tables. A change looks first and writes then: once it has written something it is no more
//! refused, so that a refusal leaves nothing behind in the transaction that it shares with others.

mod audit;
mod budget;
mod commit;
mod lazy;
mod lease;
mod rules;
mod session;
mod size;

pub(crate) use budget::{StoredAccount, held};
pub(crate) use commit::step_of;
use lazy::Lazy;

use crate::{
    failure::Halt,
    follow::Tail,
    schema::{self, AuditHeadRow, AuditRow, HoldRow, Log},
};
use lockkeeper_domain::{SessionId, SessionRecord};
use redb::{ReadableTable, Table, WriteTransaction};
use std::collections::HashMap;

/// The tables within a write transaction.
pub(crate) struct Tables<'t> {
    meta: Lazy<'t, &'static str, u64>,
    records: Table<'t, &'static str, &'static [u8]>,
    leases: Table<'t, &'static str, (u64, i64, &'static str)>,
    logs: Table<'t, &'static str, (u64, u64, u64, u64)>,
    events: Table<'t, (&'static str, u64), &'static [u8]>,
    history: Lazy<'t, (&'static str, u64), &'static [u8]>,
    sizes: Lazy<'t, &'static str, (u64, u64, u64, u64)>,
    owned: Lazy<'t, (&'static str, i64, &'static str), ()>,
    idle: Lazy<'t, (i64, &'static str), ()>,
    busy: Lazy<'t, (i64, &'static str), ()>,
    audit: Lazy<'t, u64, AuditRow>,
    audit_of: Lazy<'t, (&'static str, u64, u64), u64>,
    audit_heads: Lazy<'t, (&'static str, u64), AuditHeadRow>,
    rules: Lazy<'t, (&'static str, &'static str), &'static [u8]>,
    spent: Lazy<'t, &'static str, &'static [u8]>,
    holds: Lazy<'t, (&'static str, &'static str), HoldRow>,
    settled: Lazy<'t, (&'static str, &'static str), i64>,
    settled_until: Lazy<'t, (i64, &'static str, &'static str), ()>,
    touched: Touched,
}

/// What the changes of a transaction came to.
#[derive(Default)]
pub(crate) struct Touched {
    /// Whether there is anything to commit.
    pub(crate) anything: bool,
    /// The sessions whose logs are not what they were, and how they have grown where that is all.
    pub(crate) logs: HashMap<SessionId, Option<Tail>>,
    /// Whether the audit trail has grown.
    pub(crate) audit: bool,
}

impl Touched {
    /// The log changed; `grown`, if all that it did is grow once.
    fn log(&mut self, id: &SessionId, grown: Option<Tail>) {
        let before = self.logs.insert(id.clone(), grown);
        if before.is_some() {
            self.logs.insert(id.clone(), None);
        }
    }
}

/// A lease as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
struct StoredLease {
    epoch: u64,
    until: i64,
    holder: String,
}

/// A session but for its log and its history.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    record: SessionRecord,
    lease: Option<StoredLease>,
}

/// Where the indexes have a session.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Places<'e> {
    owned: (&'e str, i64),
    idle: Option<i64>,
    busy: Option<i64>,
}

impl Entry {
    fn places(&self) -> Places<'_> {
        let Self { record, lease } = self;
        let last_active = record.last_active_at.as_millis();
        Places {
            owned: (record.owner.as_str(), last_active),
            idle: (record.sandbox.is_some() && !record.busy).then_some(last_active),
            busy: record.busy.then(|| lease.as_ref().map_or(schema::NO_LEASE, |lease| lease.until)),
        }
    }

    fn is_held_under(&self, epoch: u64) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.epoch == epoch)
    }
}

impl<'t> Tables<'t> {
    pub(crate) fn open(txn: &'t WriteTransaction) -> Result<Self, Halt> {
        Ok(Self {
            meta: Lazy::of(txn, schema::META),
            records: txn.open_table(schema::RECORDS)?,
            leases: txn.open_table(schema::LEASES)?,
            logs: txn.open_table(schema::LOGS)?,
            events: txn.open_table(schema::EVENTS)?,
            history: Lazy::of(txn, schema::HISTORY),
            sizes: Lazy::of(txn, schema::SIZES),
            owned: Lazy::of(txn, schema::OWNED),
            idle: Lazy::of(txn, schema::IDLE),
            busy: Lazy::of(txn, schema::BUSY),
            audit: Lazy::of(txn, schema::AUDIT),
            audit_of: Lazy::of(txn, schema::AUDIT_OF),
            audit_heads: Lazy::of(txn, schema::AUDIT_HEADS),
            rules: Lazy::of(txn, schema::RULES),
            spent: Lazy::of(txn, schema::BUDGETS),
            holds: Lazy::of(txn, schema::HOLDS),
            settled: Lazy::of(txn, schema::SETTLED),
            settled_until: Lazy::of(txn, schema::SETTLED_UNTIL),
            touched: Touched::default(),
        })
    }

    /// Closes the tables.
    pub(crate) fn finish(self) -> Touched {
        self.touched
    }

    /// Writes something that means nothing, to see whether the file can be written to.
    pub(crate) fn probe(&mut self) -> Result<u64, Halt> {
        self.add_to(schema::PROBE_KEY)
    }

    /// A number that was never drawn before.
    fn draw(&mut self) -> Result<u64, Halt> {
        self.add_to(schema::COUNTER_KEY)
    }

    fn add_to(&mut self, key: &'static str) -> Result<u64, Halt> {
        let number = self.meta.open()?.get(key)?.map_or(0, |n| n.value()) + 1;
        self.touched.anything = true;
        self.meta.open()?.insert(key, number)?;
        Ok(number)
    }

    fn entry(&self, id: &SessionId) -> Result<Option<Entry>, Halt> {
        let Some(record) = self.records.get(id.as_str())? else { return Ok(None) };
        let record = schema::decode_record(record.value())?;
        Ok(Some(Entry { record, lease: self.lease(id)? }))
    }

    fn lease(&self, id: &SessionId) -> Result<Option<StoredLease>, Halt> {
        let lease = self.leases.get(id.as_str())?.map(|row| {
            let (epoch, until, holder) = row.value();
            StoredLease { epoch, until, holder: holder.to_owned() }
        });
        Ok(lease)
    }

    fn log(&self, id: &SessionId) -> Result<Option<Log>, Halt> {
        Ok(self.logs.get(id.as_str())?.map(|row| Log::from_row(row.value())))
    }

    fn put_log(&mut self, id: &SessionId, log: &Log, grown: Option<Tail>) -> Result<(), Halt> {
        self.touched.anything = true;
        self.touched.log(id, grown);
        self.logs.insert(id.as_str(), log.row())?;
        Ok(())
    }

    /// Makes the session's entry what it shall be, the indexes included. `None`: there is none.
    fn replace(&mut self, id: &SessionId, before: Option<&Entry>, after: Option<&Entry>) -> Result<(), Halt> {
        if before == after {
            return Ok(());
        }
        let record = |entry: Option<&Entry>| entry.map(|e| e.record.clone());
        let encoded = match after {
            Some(entry) if record(before).as_ref() != Some(&entry.record) => {
                Some(schema::encode("session record", &entry.record)?)
            }
            _ => None,
        };
        self.touched.anything = true;
        let key = id.as_str();
        match (encoded, after) {
            (Some(bytes), _) => drop(self.records.insert(key, bytes.as_slice())?),
            (None, None) => drop(self.records.remove(key)?),
            (None, Some(_)) => {}
        }
        let lease = |entry: Option<&Entry>| entry.and_then(|e| e.lease.clone());
        if lease(before) != lease(after) {
            match lease(after) {
                Some(l) => drop(self.leases.insert(key, (l.epoch, l.until, l.holder.as_str()))?),
                None => drop(self.leases.remove(key)?),
            }
        }
        self.reindex(key, before.map(Entry::places), after.map(Entry::places))
    }

    fn reindex(&mut self, key: &str, before: Option<Places<'_>>, after: Option<Places<'_>>) -> Result<(), Halt> {
        if before == after {
            return Ok(());
        }
        if let Some(Places { owned: (owner, at), idle, busy }) = before {
            self.owned.open()?.remove((owner, at, key))?;
            if let Some(at) = idle {
                self.idle.open()?.remove((at, key))?;
            }
            if let Some(at) = busy {
                self.busy.open()?.remove((at, key))?;
            }
        }
        if let Some(Places { owned: (owner, at), idle, busy }) = after {
            self.owned.open()?.insert((owner, at, key), ())?;
            if let Some(at) = idle {
                self.idle.open()?.insert((at, key), ())?;
            }
            if let Some(at) = busy {
                self.busy.open()?.insert((at, key), ())?;
            }
        }
        Ok(())
    }
}
