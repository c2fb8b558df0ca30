use super::{Entry, Tables};
use crate::{
    failure::Halt,
    schema::{self, Log},
};
use lockkeeper_domain::{EventId, Seq, SessionId, SessionRecord, SessionTitle, Timestamp};
use lockkeeper_ports::{Account, StoreError};

impl Tables<'_> {
    pub(crate) fn create(&mut self, record: &SessionRecord) -> Result<(), Halt> {
        let id = &record.id;
        if self.entry(id)?.is_some() {
            return Err(StoreError::AlreadyExists.into());
        }
        let entry = Entry { record: record.clone(), lease: None };
        self.replace(id, None, Some(&entry))?;
        let log = Log { born: self.draw()?, last: EventId::default(), trimmed: Seq::default() };
        self.put_log(id, &log, None)
    }

    pub(crate) fn touch(&mut self, id: &SessionId, at: Timestamp) -> Result<(), Halt> {
        let before = self.entry(id)?.ok_or(StoreError::NotFound)?;
        if at <= before.record.last_active_at {
            return Ok(());
        }
        let mut after = before.clone();
        after.record.last_active_at = at;
        self.replace(id, Some(&before), Some(&after))
    }

    pub(crate) fn rename(&mut self, id: &SessionId, title: &SessionTitle) -> Result<(), Halt> {
        let before = self.entry(id)?.ok_or(StoreError::NotFound)?;
        let mut after = before.clone();
        after.record.title = Some(title.clone());
        self.replace(id, Some(&before), Some(&after))
    }

    pub(crate) fn delete(&mut self, id: &SessionId, now: Timestamp) -> Result<(), Halt> {
        let Some(entry) = self.entry(id)? else { return Ok(()) };
        if let Some(lease) = &entry.lease
            && now.as_millis() < lease.until
        {
            return Err(lease.held().into());
        }
        if let Some(log) = self.log(id)? {
            self.audit_through(id, &entry.record.owner, &log, log.last.seq)?;
            self.forget_audit(id, &log)?;
        }
        self.replace(id, Some(&entry), None)?;
        let key = id.as_str();
        self.close_account(&schema::account_name(&Account::Session(id.clone())))?;
        self.logs.remove(key)?;
        self.sizes.open()?.remove(key)?;
        self.events.retain_in((key, 0)..=(key, u64::MAX), |_, _| false)?;
        self.history.open()?.retain_in((key, 0)..=(key, u64::MAX), |_, _| false)?;
        self.touched.log(id, None);
        Ok(())
    }
}
