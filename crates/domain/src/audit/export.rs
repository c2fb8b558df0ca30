use super::{AuditKey, AuditRecord, ChainHead, Hashed, Link};
use crate::{Digest, Event, EventId, PrincipalId, SessionId, Timestamp, TurnId};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The first line of an export: whose audit it is, and where what is kept of it begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditedSession {
    /// `lockkeeper-audit-1`.
    pub format: String,
    /// The session.
    pub session: SessionId,
    /// Whose it is.
    pub owner: PrincipalId,
    /// When it was exported.
    pub exported_at: Timestamp,
    /// The record before the first one that is kept: number 0 where none was trimmed.
    pub anchor: ChainHead,
}

/// A line of an export: a record with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    /// Its place in the session's log.
    pub event: EventId,
    /// Its turn.
    pub turn: Option<TurnId>,
    /// When.
    pub at: Timestamp,
    /// What.
    pub record: AuditRecord,
    /// Its place in the chain.
    pub link: Link,
}

/// The audit of a session, as it is exported: JSON, one object a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLog {
    /// The first line.
    pub audited: AuditedSession,
    /// The lines between.
    pub entries: Vec<Entry>,
    /// The last line.
    pub seal: AuditSeal,
}

/// The last line of an export: what nobody without the key can make, over the first line and the end of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditSeal {
    /// How many records lie between the two.
    pub entries: u64,
    /// Where the chain ended.
    pub head: ChainHead,
    /// Over all of it; none where the server has no key.
    pub mac: Option<Digest>,
}

/// What is wrong with an export, or with the log that it was to be made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A line is not one that an export has.
    #[error("line {0} is not as an export in the format {format} has it", format = AuditedSession::FORMAT)]
    Line(usize),
    /// Records are missing, or stand in another order.
    #[error("record {expected} is missing: {found} stands in its place")]
    Gap {
        /// Which one should be there.
        expected: u64,
        /// Which one is.
        found: u64,
    },
    /// A record does not go on from the one before it.
    #[error("record {0} does not follow from the one before it")]
    Broken(u64),
    /// A record is not what was written.
    #[error("record {0} is not what was written: its hash is another one")]
    Changed(u64),
    /// A record was not written by who has the key.
    #[error("record {0} does not bear the server's mark: it was not written under this key")]
    Unmarked(u64),
    /// The end is missing, or is not the end of this chain.
    #[error("the end does not fit: the seal is over {sealed} records up to number {number}, and {found} are there")]
    End {
        /// How many the seal counts.
        sealed: u64,
        /// The last one's number.
        number: u64,
        /// How many there are.
        found: u64,
    },
    /// The seal was not made by who has the key.
    #[error("the seal was not made under this key")]
    Unsealed,
}

/// What a check found in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// How many records there are.
    pub entries: u64,
    /// Where they begin.
    pub anchor: ChainHead,
    /// Where they end.
    pub head: ChainHead,
    /// Whether it was checked that only who has the key can have written them.
    pub under_key: bool,
}

impl AuditedSession {
    /// The format that this code writes and reads.
    pub const FORMAT: &str = "lockkeeper-audit-1";

    /// The seal under a chain of so many records that ends at `head`.
    fn seal(&self, entries: u64, head: ChainHead, key: Option<&AuditKey>) -> AuditSeal {
        let mac = key.map(|key| key.mac("seal", &Digest::of(&(self, entries, head))));
        AuditSeal { entries, head, mac }
    }
}

impl Entry {
    /// Returns the record of an event; `None` if the event has no place in the audit.
    pub fn of(event: &Event) -> Option<Self> {
        let (record, link) = (AuditRecord::of(&event.body)?, event.link?);
        Some(Self { event: event.id, turn: event.turn, at: event.at, record, link })
    }

    fn check(&self, session: &SessionId, before: ChainHead, key: Option<&AuditKey>) -> Result<ChainHead, Flaw> {
        let Link { number, previous, hash, mac } = self.link;
        if number != before.number + 1 {
            return Err(Flaw::Gap { expected: before.number + 1, found: number });
        }
        if previous != before.hash {
            return Err(Flaw::Broken(number));
        }
        let Self { event, turn, at, ref record, .. } = *self;
        if !hash.matches(&Digest::of(&Hashed { session, number, previous, event, turn, at, record })) {
            return Err(Flaw::Changed(number));
        }
        let marked = |key: &AuditKey| mac.is_some_and(|mac| mac.matches(&key.mac("record", &hash)));
        if key.is_some_and(|key| !marked(key)) {
            return Err(Flaw::Unmarked(number));
        }
        Ok(self.link.into())
    }
}

impl AuditLog {
    /// The audit in a session's log, of which the beginning may be trimmed. `head` is where the session's record says that the
    /// chain ended at its last checkpoint; the events after that go on from there.
    pub fn of(
        session: SessionId,
        owner: PrincipalId,
        events: &[Event],
        head: ChainHead,
        exported_at: Timestamp,
        key: Option<&AuditKey>,
    ) -> Self {
        let entries = events.iter().filter_map(Entry::of).collect();
        Self::of_entries(session, owner, entries, head, exported_at, key)
    }

    /// Returns the audit that these records make, the first number first. `head` is as for [`of`](Self::of).
    pub fn of_entries(
        session: SessionId,
        owner: PrincipalId,
        entries: Vec<Entry>,
        head: ChainHead,
        exported_at: Timestamp,
        key: Option<&AuditKey>,
    ) -> Self {
        let anchor = entries
            .first()
            .map_or(head, |first| ChainHead { number: first.link.number.saturating_sub(1), hash: first.link.previous });
        // A log whose end is missing does not reach the checkpoint: the seal then says what should be there.
        let last = entries.last().map_or(head, |last| last.link.into());
        let head = if last.number < head.number { head } else { last };
        let format = AuditedSession::FORMAT.to_owned();
        let audited = AuditedSession { format, session, owner, exported_at, anchor };
        let seal = audited.seal(entries.len() as u64, head, key);
        Self { audited, entries, seal }
    }

    /// The lines.
    pub fn to_text(&self) -> String {
        let mut text = line(&self.audited);
        for entry in &self.entries {
            text += &line(entry);
        }
        text + &line(&self.seal)
    }

    /// Reads the lines. Each must be to the letter as [`to_text`](Self::to_text) writes it.
    pub fn parse(text: &str) -> Result<Self, Flaw> {
        let lines: Vec<_> = text.split_inclusive('\n').collect();
        let [first, between @ .., last] = &lines[..] else { return Err(Flaw::Line(lines.len() + 1)) };
        let entries = between.iter().enumerate().map(|(at, line)| read(line, at + 2)).collect::<Result<_, _>>()?;
        Ok(Self { audited: read(first, 1)?, entries, seal: read(last, lines.len())? })
    }

    /// Checks it from its first line to its seal. Without a key it is checked that the chain is whole, and not who wrote it:
    /// whoever can write an export can compute a chain anew.
    pub fn verify(&self, key: Option<&AuditKey>) -> Result<Verified, Flaw> {
        self.verify_marked_after(0, key)
    }

    /// Checks it as [`verify`](Self::verify) does, but does not demand the key's mark of the records up to number `unmarked`:
    /// those that were written before the server had a key. Nothing proves who wrote these.
    pub fn verify_marked_after(&self, unmarked: u64, key: Option<&AuditKey>) -> Result<Verified, Flaw> {
        let Self { audited, entries, seal } = self;
        if audited.format != AuditedSession::FORMAT {
            return Err(Flaw::Line(1));
        }
        if audited.anchor.number == 0 && audited.anchor != ChainHead::default() {
            return Err(Flaw::Broken(1));
        }
        let mut head = audited.anchor;
        for entry in entries {
            let marked_by = key.filter(|_| entry.link.number > unmarked);
            head = entry.check(&audited.session, head, marked_by)?;
        }
        let found = entries.len() as u64;
        if seal.entries != found || seal.head != head {
            return Err(Flaw::End { sealed: seal.entries, number: seal.head.number, found });
        }
        let expected = audited.seal(found, head, key).mac;
        if key.is_some() && !seal.mac.zip(expected).is_some_and(|(made, expected)| made.matches(&expected)) {
            return Err(Flaw::Unsealed);
        }
        Ok(Verified { entries: found, anchor: audited.anchor, head, under_key: key.is_some() })
    }
}

fn line(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("an audit is JSON with string keys") + "\n"
}

fn read<T: DeserializeOwned + Serialize>(text: &str, number: usize) -> Result<T, Flaw> {
    let value = serde_json::from_str(text).map_err(|_| Flaw::Line(number))?;
    if line(&value) == text { Ok(value) } else { Err(Flaw::Line(number)) }
}

#[cfg(test)]
mod tests;
