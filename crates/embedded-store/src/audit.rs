//! The port of the audit trail. A follower is a cursor into the table of records; the writer only tells it to look again.

use crate::{
    EmbeddedStore,
    database::Shared,
    failure::{Failure, Halt},
    follow::ReadAhead,
    query,
    schema::{self, Log},
};
use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use lockkeeper_domain::{PrincipalId, SessionId, Timestamp};
use lockkeeper_ports::{
    AuditCursor, AuditEntry, AuditRemoval, AuditStream, AuditTrail, AuditedEntry, KeptAudit, StoreError,
};
use redb::ReadTransaction;
use std::{ops::Bound, sync::Arc, vec};
use tokio::sync::watch;

/// About what the removal of records costs.
const REMOVAL_WEIGHT: usize = 1 << 20;

#[async_trait]
impl AuditTrail for EmbeddedStore {
    async fn audits(&self, id: &SessionId) -> Result<Vec<KeptAudit>, StoreError> {
        let id = id.clone();
        self.shared.read_much(move |txn| audits(txn, &id)).await
    }

    async fn audit(&self, id: &SessionId, born: &str, after: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let Ok(born) = born.parse() else { return Ok(Vec::new()) };
        let id = id.clone();
        self.shared.read_much(move |txn| audit(txn, &id, born, after, limit)).await
    }

    async fn follow_audit(&self, after: Option<AuditCursor>) -> Result<AuditStream, StoreError> {
        let cursor = Cursor {
            shared: Arc::clone(&self.shared),
            grown: self.shared.followers.subscribe_audit(),
            read_ahead: self.read_ahead,
            after: match after {
                Some(cursor) => self.shared.read_much(move |txn| known(txn, cursor.major)).await?,
                None => 0,
            },
            ready: Vec::new().into_iter(),
            ended: false,
        };
        Ok(stream::unfold(cursor, |mut cursor| async move { Some((cursor.next().await?, cursor)) }).fuse().boxed())
    }

    async fn remove_audit(&self, before: Timestamp, max_bytes: u64) -> Result<AuditRemoval, StoreError> {
        let mut all = AuditRemoval::default();
        loop {
            let removed = self.write(REMOVAL_WEIGHT, move |tables| tables.remove_audit(before, max_bytes)).await?;
            let (AuditRemoval { by_age, by_size, bytes }, more) = removed;
            all = AuditRemoval { by_age: all.by_age + by_age, by_size: all.by_size + by_size, bytes };
            if !more {
                return Ok(all);
            }
        }
    }
}

struct Cursor {
    shared: Arc<Shared>,
    grown: watch::Receiver<()>,
    read_ahead: ReadAhead,
    after: u64,
    ready: vec::IntoIter<AuditedEntry>,
    ended: bool,
}

impl Cursor {
    async fn next(&mut self) -> Option<Result<AuditedEntry, StoreError>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(entry) = self.ready.next() {
                self.after = entry.cursor.major;
                return Some(Ok(entry));
            }
            if let Err(error) = self.read_on().await {
                self.ended = true;
                return Some(Err(error));
            }
        }
    }

    async fn read_on(&mut self) -> Result<(), StoreError> {
        // Before the look, so that what is written after it is not missed.
        self.grown.mark_unchanged();
        let (after, ahead) = (self.after, self.read_ahead);
        let found = self.shared.read_much(move |txn| audit_after(txn, after, ahead)).await?;
        if found.is_empty() {
            return self.grown.changed().await.map_err(|_| Failure::told("the store is closed").into());
        }
        self.ready = found.into_iter();
        Ok(())
    }
}

/// Returns the place, or the beginning if this file never had such a place: the cursor is that of another store.
fn known(txn: &ReadTransaction, place: u64) -> Result<u64, Halt> {
    let last = txn.open_table(schema::META)?.get(schema::AUDIT_KEY)?.map_or(0, |last| last.value());
    Ok(if place > last { 0 } else { place })
}

fn audits(txn: &ReadTransaction, id: &SessionId) -> Result<Vec<KeptAudit>, Halt> {
    let stored = query::log(txn, id)?;
    let heads = txn.open_table(schema::AUDIT_HEADS)?;
    let mut found = Vec::new();
    for head in heads.range((id.as_str(), 0)..=(id.as_str(), u64::MAX))? {
        let (key, row) = head?;
        let ((_, born), (owner, last, removed, removed_for_size)) = (key.value(), row.value());
        let is_stored = stored.is_some_and(|Log { born: now, .. }| now == born);
        found.push(KeptAudit {
            born: born.to_string(),
            owner: principal(owner)?,
            last,
            removed,
            removed_for_size,
            is_stored,
        });
    }
    Ok(found)
}

fn audit(txn: &ReadTransaction, id: &SessionId, born: u64, after: u64, limit: usize) -> Result<Vec<AuditEntry>, Halt> {
    let (places, records) = (txn.open_table(schema::AUDIT_OF)?, txn.open_table(schema::AUDIT)?);
    let range = (Bound::Excluded((id.as_str(), born, after)), Bound::Included((id.as_str(), born, u64::MAX)));
    let mut found = Vec::new();
    for place in places.range::<(&str, u64, u64)>(range)?.take(limit) {
        if let Some(row) = records.get(place?.1.value())? {
            found.push(schema::decode_audit(row.value().4)?);
        }
    }
    Ok(found)
}

fn audit_after(txn: &ReadTransaction, after: u64, ahead: ReadAhead) -> Result<Vec<AuditedEntry>, Halt> {
    let (heads, records) = (txn.open_table(schema::AUDIT_HEADS)?, txn.open_table(schema::AUDIT)?);
    let (mut found, mut bytes) = (Vec::new(), 0);
    for record in records.range((Bound::Excluded(after), Bound::Unbounded))?.take(ahead.events) {
        let (place, row) = record?;
        let (id, born, _, _, entry) = row.value();
        let Some(head) = heads.get((id, born))? else { continue };
        bytes += entry.len();
        found.push(AuditedEntry {
            cursor: AuditCursor { major: place.value(), minor: 0 },
            session: query::session_id(id)?,
            born: born.to_string(),
            owner: principal(head.value().0)?,
            entry: schema::decode_audit(entry)?,
        });
        if bytes >= ahead.bytes {
            break;
        }
    }
    Ok(found)
}

fn principal(text: &str) -> Result<PrincipalId, Halt> {
    PrincipalId::parse(text)
        .map_err(|error| Halt::from(StoreError::Corrupt { what: "principal", source: Box::new(error) }))
}
