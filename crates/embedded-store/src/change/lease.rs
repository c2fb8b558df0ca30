use super::{Entry, StoredLease, Tables};
use crate::failure::Halt;
use lockkeeper_domain::{Epoch, Lease, SessionId, Timestamp};
use lockkeeper_ports::{Claim, StoreError};
use std::time::Duration;

impl StoredLease {
    /// That somebody else has it.
    pub(super) fn held(&self) -> StoreError {
        StoreError::Held { holder: self.holder.clone(), until: Timestamp::from_millis(self.until) }
    }
}

impl Tables<'_> {
    pub(crate) fn claim(&mut self, id: &SessionId, holder: &str, now: Timestamp, ttl: Duration) -> Result<Claim, Halt> {
        let before = self.entry(id)?.ok_or(StoreError::NotFound)?;
        if let Some(lease) = &before.lease
            && lease.holder != holder
            && now.as_millis() < lease.until
        {
            return Err(lease.held().into());
        }
        let last = self.log(id)?.map(|log| log.last).unwrap_or_default();
        let epoch = self.draw()?;
        let until = now.after(ttl);
        let lease = StoredLease { epoch, until: until.as_millis(), holder: holder.to_owned() };
        let after = Entry { record: before.record.clone(), lease: Some(lease) };
        self.replace(id, Some(&before), Some(&after))?;
        let lease = Lease { holder: holder.to_owned(), epoch: Epoch::new(epoch), expires_at: until };
        Ok(Claim { lease, record: after.record, last })
    }

    pub(crate) fn renew(&mut self, id: &SessionId, epoch: Epoch, now: Timestamp, ttl: Duration) -> Result<(), Halt> {
        let before = self.entry(id)?.ok_or(StoreError::Fenced)?;
        let mut after = before.clone();
        match &mut after.lease {
            Some(lease) if lease.epoch == epoch.get() => lease.until = now.after(ttl).as_millis(),
            _ => return Err(StoreError::Fenced.into()),
        }
        self.replace(id, Some(&before), Some(&after))
    }

    pub(crate) fn release(&mut self, id: &SessionId, epoch: Epoch) -> Result<(), Halt> {
        match self.entry(id)? {
            Some(before) if before.is_held_under(epoch.get()) => {
                let after = Entry { record: before.record.clone(), lease: None };
                self.replace(id, Some(&before), Some(&after))
            }
            _ => Ok(()),
        }
    }
}
