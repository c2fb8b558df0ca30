//! The audit: what was decided over calls, and what became of them, as a chain that shows each change of it.

mod export;
mod record;

pub use export::{AuditLog, AuditSeal, AuditedSession, Entry, Flaw, Verified};
pub use record::{AuditRecord, JudgedRecord};

use crate::{Digest, Event, EventId, SessionId, Timestamp, TurnId};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::fmt;

/// Where a chain ends, or where what is kept of it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// How many records there are up to here.
    pub number: u64,
    /// The hash of the last one.
    pub hash: Digest,
}

impl Default for ChainHead {
    /// Before the first record.
    fn default() -> Self {
        Self { number: 0, hash: Digest::from_bytes([0; 32]) }
    }
}

/// An event's place in its session's audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its number, from 1, without a gap.
    pub number: u64,
    /// The hash of the record before it.
    pub previous: Digest,
    /// The hash of this record, which is over the one before it as well.
    pub hash: Digest,
    /// The hash under the server's key, if it has one: who can write to the store alone cannot make it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mac: Option<Digest>,
}

/// The key that seals audits.
#[derive(Clone)]
pub struct AuditKey(Vec<u8>);

impl fmt::Debug for AuditKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditKey")
    }
}

/// What a record's hash is over.
#[derive(Serialize)]
struct Hashed<'a> {
    session: &'a SessionId,
    number: u64,
    previous: Digest,
    event: EventId,
    turn: Option<TurnId>,
    at: Timestamp,
    record: &'a AuditRecord,
}

impl AuditKey {
    /// The shortest key, in bytes.
    pub const MIN_BYTES: usize = 32;

    /// A key of these bytes; none if they are too few.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() >= Self::MIN_BYTES).then_some(Self(bytes))
    }

    /// The HMAC-SHA256 of a digest, for this purpose alone.
    fn mac(&self, purpose: &str, of: &Digest) -> Digest {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("an HMAC takes a key of any length");
        mac.update(purpose.as_bytes());
        mac.update(&[0]);
        mac.update(of.as_bytes());
        Digest::from_bytes(mac.finalize().into_bytes().into())
    }
}

impl ChainHead {
    /// Gives an event that belongs into the audit its place after this one. The chain then ends there.
    pub fn link(&mut self, session: &SessionId, event: &mut Event, key: Option<&AuditKey>) {
        let Some(record) = AuditRecord::of(&event.body) else { return };
        let (number, previous) = (self.number + 1, self.hash);
        let Event { id, turn, at, .. } = *event;
        let hash = Digest::of(&Hashed { session, number, previous, event: id, turn, at, record: &record });
        let mac = key.map(|key| key.mac("record", &hash));
        event.link = Some(Link { number, previous, hash, mac });
        *self = Self { number, hash };
    }
}

impl From<Link> for ChainHead {
    fn from(link: Link) -> Self {
        Self { number: link.number, hash: link.hash }
    }
}
