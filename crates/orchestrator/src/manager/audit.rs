//! The audit of a session, out of the trail and the session's log. The export reads a store in the same way.

use super::SessionManager;
use crate::actor::store_failure;
use lockkeeper_domain::{AuditLog, Event, Failure, Seq, SessionId, SessionRecord};
use lockkeeper_ports::{AuditEntry, Principal, SessionStore, StoreError};
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
        let store = self.shared.ports.store.as_ref();
        let read = async {
            let events = whole_log(store, &record.id).await?;
            let entries = match store.audits(&record.id).await?.into_iter().rfind(|audit| audit.is_stored) {
                Some(audit) => trail(store, &record.id, &audit.born).await?,
                None => BTreeMap::new(),
            };
            Ok((events, entries))
        };
        let (events, mut entries) = read.await.map_err(|error| store_failure(&error))?;
        entries.extend(events.iter().filter_map(AuditEntry::of).map(|entry| (entry.link.number, entry)));
        let (head, entries) = (record.state.audit_head(), entries.into_values().collect());
        let key = self.shared.ports.audit_key.as_ref();
        Ok(AuditLog::of_entries(record.id, record.owner, entries, head, self.shared.now(), key))
    }
}

/// Returns the entries that the trail keeps of the session that had this id and birth, by number.
pub async fn trail(
    store: &dyn SessionStore,
    id: &SessionId,
    born: &str,
) -> Result<BTreeMap<u64, AuditEntry>, StoreError> {
    let (mut entries, mut after) = (BTreeMap::new(), 0);
    loop {
        let page = store.audit(id, born, after, BATCH).await?;
        let Some(last) = page.last() else { return Ok(entries) };
        after = last.link.number;
        entries.extend(page.into_iter().map(|entry| (entry.link.number, entry)));
    }
}

/// Returns all events of a log that are kept.
pub async fn whole_log(store: &dyn SessionStore, id: &SessionId) -> Result<Vec<Event>, StoreError> {
    let (mut events, mut after) = (Vec::new(), Seq::default());
    loop {
        match store.read(id, after, BATCH).await {
            Ok(batch) => {
                let Some(last) = batch.last() else { return Ok(events) };
                after = last.id.seq;
                events.extend(batch);
            }
            // A server that still writes may trim between two readings: what was read before is then older than what is kept.
            Err(StoreError::Trimmed(through)) => {
                events.clear();
                after = through;
            }
            Err(error) => return Err(error),
        }
    }
}
