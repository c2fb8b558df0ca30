//! The audit of a session, out of its log.

use super::SessionManager;
use crate::actor::store_failure;
use lockkeeper_domain::{AuditLog, Event, Failure, Seq, SessionId, SessionRecord};
use lockkeeper_ports::{Principal, StoreError};

impl SessionManager {
    /// The audit of a session, for its owner.
    pub async fn audit(&self, id: &SessionId, by: &Principal) -> Result<AuditLog, Failure> {
        let record = self.owned(id, by).await?;
        self.audit_of(record).await
    }

    pub(crate) async fn audit_of(&self, record: SessionRecord) -> Result<AuditLog, Failure> {
        let events = self.whole_log(&record.id).await?;
        let head = record.state.audit_head();
        Ok(AuditLog::of(
            record.id,
            record.owner,
            &events,
            head,
            self.shared.now(),
            self.shared.ports.audit_key.as_ref(),
        ))
    }

    /// All events that are kept.
    async fn whole_log(&self, id: &SessionId) -> Result<Vec<Event>, Failure> {
        const BATCH: usize = 512;
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
