//! The audit of a session, out of the trail and the session's log.

use super::SessionManager;
use crate::actor::store_failure;
use lockkeeper_domain::{AuditLog, Event, Failure, Seq, SessionId, SessionRecord};
use lockkeeper_ports::{AuditEntry, Principal, StoreError};
use std::collections::BTreeMap;

/// How many events or entries are read at once.
const BATCH: usize = 512;

impl SessionManager {
    /// The audit of a session, for its owner.
    pub async fn audit(&self, id: &SessionId, by: &Principal) -> Result<AuditLog, Failure> {
        let record = self.owned(id, by).await?;
        self.audit_of(record).await
    }

    pub(crate) async fn audit_of(&self, record: SessionRecord) -> Result<AuditLog, Failure> {
        // The log first: what is trimmed meanwhile is in the trail by then.
        let events = self.whole_log(&record.id).await?;
        let mut entries = self.trail(&record.id).await.map_err(|error| store_failure(&error))?;
        entries.extend(events.iter().filter_map(AuditEntry::of).map(|entry| (entry.link.number, entry)));
        let (head, entries) = (record.state.audit_head(), entries.into_values().collect());
        let key = self.shared.ports.audit_key.as_ref();
        Ok(AuditLog::of_entries(record.id, record.owner, entries, head, self.shared.now(), key))
    }

    /// The entries that the trail keeps of a stored session, by number.
    async fn trail(&self, id: &SessionId) -> Result<BTreeMap<u64, AuditEntry>, StoreError> {
        let store = &self.shared.ports.store;
        let mut entries = BTreeMap::new();
        let Some(audit) = store.audits(id).await?.into_iter().rfind(|audit| audit.is_stored) else {
            return Ok(entries);
        };
        let mut after = 0;
        loop {
            let page = store.audit(id, &audit.born, after, BATCH).await?;
            let Some(last) = page.last() else { return Ok(entries) };
            after = last.link.number;
            entries.extend(page.into_iter().map(|entry| (entry.link.number, entry)));
        }
    }

    /// All events that are kept.
    async fn whole_log(&self, id: &SessionId) -> Result<Vec<Event>, Failure> {
        let (mut events, mut after) = (Vec::new(), Seq::default());
        loop {
            match self.shared.ports.store.read(id, after, BATCH).await {
                Ok(batch) => {
                    let Some(last) = batch.last() else { return Ok(events) };
                    after = last.id.seq;
                    events.extend(batch);
                }
                // What was read before is older than what is kept.
                Err(StoreError::Trimmed(through)) => {
                    events.clear();
                    after = through;
                }
                Err(error) => return Err(store_failure(&error)),
            }
        }
    }
}
