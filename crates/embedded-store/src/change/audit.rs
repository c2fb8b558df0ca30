//! The audit trail: records are written along with the step that they belong to, and stay when the log goes.

use super::Tables;
use crate::{
    failure::Halt,
    schema::{self, Log},
};
use lockkeeper_domain::{Event, PrincipalId, Seq, SessionId, Timestamp};
use lockkeeper_ports::{AuditEntry, AuditRemoval, StoreError};
use redb::ReadableTable;

/// What precedes the number of a linked event in its JSON. Arguments of tools may hold it too.
const LINKED: &[u8] = b"\"link\":{\"number\":";
/// About what the keys and the index of a record occupy, in bytes.
const OVERHEAD: u64 = 96;
/// How many records one transaction removes.
const AT_ONCE: usize = 4_096;

/// A record of the audit, encoded.
#[derive(Debug)]
pub(super) struct Audited {
    number: u64,
    at: i64,
    entry: Vec<u8>,
}

/// Where the audit of a session begins and ends.
struct Head {
    owner: String,
    last: u64,
    removed: u64,
    removed_for_size: u64,
}

/// What the records of a step go on from.
pub(super) struct Before {
    head: Head,
    missing: Vec<Audited>,
}

impl Audited {
    pub(super) fn of(event: &Event) -> Result<Option<Self>, StoreError> {
        let Some(entry) = AuditEntry::of(event) else { return Ok(None) };
        let (number, at) = (entry.link.number, entry.at.as_millis());
        Ok(Some(Self { number, at, entry: schema::encode("audit record", &entry)? }))
    }
}

impl Tables<'_> {
    /// Looks up what the records of a step go on from, and those that an earlier version wrote to the log alone.
    pub(super) fn audit_before(&mut self, id: &SessionId, log: &Log, step: &[Audited]) -> Result<Option<Before>, Halt> {
        let Some(first) = step.first() else { return Ok(None) };
        let head = if let Some(head) = self.audit_head(id, log.born)? {
            head
        } else {
            let Some(entry) = self.entry(id)? else { return Err(StoreError::Fenced.into()) };
            Head::new(&entry.record.owner)
        };
        let has_gap = first.number > head.last.saturating_add(1);
        let missing = if has_gap { self.unaudited(id, head.last, log.last.seq)? } else { Vec::new() };
        Ok(Some(Before { head, missing }))
    }

    /// Writes the records of a step.
    pub(super) fn audit_step(
        &mut self,
        id: &SessionId,
        log: &Log,
        before: Option<Before>,
        step: &[Audited],
    ) -> Result<(), Halt> {
        let Some(Before { mut head, missing }) = before else { return Ok(()) };
        self.append_audit(id, log, &mut head, &missing)?;
        self.append_audit(id, log, &mut head, step)
    }

    /// Writes those records of the log up to `through` that an earlier version wrote to the log alone.
    pub(super) fn audit_through(
        &mut self,
        id: &SessionId,
        owner: &PrincipalId,
        log: &Log,
        through: Seq,
    ) -> Result<(), Halt> {
        let mut head = self.audit_head(id, log.born)?.unwrap_or_else(|| Head::new(owner));
        let missing = self.unaudited(id, head.last, through)?;
        self.append_audit(id, log, &mut head, &missing)
    }

    fn audit_head(&mut self, id: &SessionId, born: u64) -> Result<Option<Head>, Halt> {
        let row = self.audit_heads.open()?.get((id.as_str(), born))?;
        Ok(row.map(|row| {
            let (owner, last, removed, removed_for_size) = row.value();
            Head { owner: owner.to_owned(), last, removed, removed_for_size }
        }))
    }

    fn put_audit_head(&mut self, id: &str, born: u64, head: &Head) -> Result<(), Halt> {
        let row = (head.owner.as_str(), head.last, head.removed, head.removed_for_size);
        self.audit_heads.open()?.insert((id, born), row)?;
        Ok(())
    }

    /// Returns the records of the log up to `through` with a number above `last`.
    fn unaudited(&self, id: &SessionId, last: u64, through: Seq) -> Result<Vec<Audited>, Halt> {
        let mut missing = Vec::new();
        for event in self.events.range((id.as_str(), 0)..=(id.as_str(), through.get()))? {
            let (_, event) = event?;
            if linked_number(event.value()).is_none_or(|number| number <= last) {
                continue;
            }
            match schema::decode_event(event.value()) {
                Ok(event) => missing.extend(Audited::of(&event)?.filter(|record| record.number > last)),
                // It must not keep a log from being trimmed, nor a session from being deleted.
                Err(_) => {
                    tracing::warn!(session.id = %id, "an event cannot be read and is left out of the audit trail");
                }
            }
        }
        Ok(missing)
    }

    fn append_audit(&mut self, id: &SessionId, log: &Log, head: &mut Head, records: &[Audited]) -> Result<(), Halt> {
        if records.is_empty() {
            return Ok(());
        }
        let mut place = self.number(schema::AUDIT_KEY)?;
        let mut bytes = self.number(schema::AUDIT_BYTES_KEY)?;
        for record in records.iter().filter(|record| record.number > head.last) {
            place += 1;
            let row = (id.as_str(), log.born, record.number, record.at, record.entry.as_slice());
            self.audit.open()?.insert(place, row)?;
            self.audit_of.open()?.insert((id.as_str(), log.born, record.number), place)?;
            bytes += record_bytes(id.as_str(), &record.entry);
        }
        head.last = records.last().map_or(head.last, |record| record.number.max(head.last));
        self.put_number(schema::AUDIT_KEY, place)?;
        self.put_number(schema::AUDIT_BYTES_KEY, bytes)?;
        self.put_audit_head(id.as_str(), log.born, head)?;
        self.touched.audit = true;
        Ok(())
    }

    /// Removes the head of a session that goes, if none of its records are kept.
    pub(super) fn forget_audit(&mut self, id: &SessionId, log: &Log) -> Result<(), Halt> {
        if self.audit_head(id, log.born)?.is_some_and(|head| head.removed >= head.last) {
            self.audit_heads.open()?.remove((id.as_str(), log.born))?;
        }
        Ok(())
    }

    /// Removes some records, and returns whether there are more to remove.
    pub(crate) fn remove_audit(&mut self, before: Timestamp, max_bytes: u64) -> Result<(AuditRemoval, bool), Halt> {
        let mut bytes = self.number(schema::AUDIT_BYTES_KEY)?;
        let mut removal = AuditRemoval::default();
        let mut more = true;
        for _ in 0..AT_ONCE {
            let Some((place, old, id, born, number, size)) = self.oldest_audit(before)? else {
                (bytes, more) = (0, false);
                break;
            };
            let too_large = max_bytes > 0 && bytes > max_bytes;
            if !old && !too_large {
                more = false;
                break;
            }
            self.audit.open()?.remove(place)?;
            self.audit_of.open()?.remove((id.as_str(), born, number))?;
            self.audit_removed(&id, born, number, !old)?;
            bytes = bytes.saturating_sub(size);
            *(if old { &mut removal.by_age } else { &mut removal.by_size }) += 1;
        }
        if removal != AuditRemoval::default() {
            self.put_number(schema::AUDIT_BYTES_KEY, bytes)?;
        }
        Ok((AuditRemoval { bytes, ..removal }, more))
    }

    /// Returns the oldest record's place, whether it is from before `before`, its key, and its size.
    #[expect(clippy::type_complexity, reason = "one caller takes it apart at once")]
    fn oldest_audit(&mut self, before: Timestamp) -> Result<Option<(u64, bool, String, u64, u64, u64)>, Halt> {
        let Some((place, row)) = self.audit.open()?.first()? else { return Ok(None) };
        let (id, born, number, at, entry) = row.value();
        let size = record_bytes(id, entry);
        Ok(Some((place.value(), at < before.as_millis(), id.to_owned(), born, number, size)))
    }

    fn audit_removed(&mut self, id: &str, born: u64, number: u64, for_size: bool) -> Result<(), Halt> {
        let row = self.audit_heads.open()?.get((id, born))?.map(|row| {
            let (owner, last, removed, removed_for_size) = row.value();
            Head { owner: owner.to_owned(), last, removed, removed_for_size }
        });
        let Some(mut head) = row else { return Ok(()) };
        head.removed = head.removed.max(number);
        if for_size {
            head.removed_for_size = head.removed_for_size.max(number);
        }
        let is_stored = self.logs.get(id)?.is_some_and(|row| Log::from_row(row.value()).born == born);
        if head.removed >= head.last && !is_stored {
            self.audit_heads.open()?.remove((id, born))?;
            return Ok(());
        }
        self.put_audit_head(id, born, &head)
    }

    fn number(&mut self, key: &'static str) -> Result<u64, Halt> {
        Ok(self.meta.open()?.get(key)?.map_or(0, |number| number.value()))
    }

    fn put_number(&mut self, key: &'static str, number: u64) -> Result<(), Halt> {
        self.touched.anything = true;
        self.meta.open()?.insert(key, number)?;
        Ok(())
    }
}

impl Head {
    fn new(owner: &PrincipalId) -> Self {
        Self { owner: owner.as_str().to_owned(), last: 0, removed: 0, removed_for_size: 0 }
    }
}

fn record_bytes(id: &str, entry: &[u8]) -> u64 {
    (entry.len() + id.len()) as u64 + OVERHEAD
}

/// Returns the highest number that the JSON of an event may be linked by, without decoding it.
fn linked_number(event: &[u8]) -> Option<u64> {
    let starts = event.windows(LINKED.len()).enumerate().filter(|(_, window)| *window == LINKED);
    let numbers = starts.map(|(at, _)| {
        let digits = event[at + LINKED.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0_u64, |number, digit| number.saturating_mul(10).saturating_add(u64::from(digit - b'0')))
    });
    numbers.max()
}
