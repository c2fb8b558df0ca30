//! Counts the bytes of sessions along with each change of them.

use super::Tables;
use crate::{
    failure::Halt,
    schema::{Log, Size},
};
use lockkeeper_domain::{Epoch, Seq, SessionId};
use lockkeeper_ports::StoreError;
use redb::ReadableTable;

impl Tables<'_> {
    /// Returns the size as it was counted, or counts what an earlier version wrote.
    pub(super) fn size(&mut self, id: &SessionId, log: &Log) -> Result<Size, Halt> {
        let row = self.sizes.open()?.get(id.as_str())?.map(|row| row.value());
        if let Some(size) = row.and_then(|row| Size::from_row(row, log)) {
            return Ok(size);
        }
        let all = (id.as_str(), 0)..=(id.as_str(), u64::MAX);
        let mut size = Size { log: 0, history: 0 };
        for event in self.events.range(all.clone())? {
            size.log += event?.1.value().len() as u64;
        }
        for message in self.history.open()?.range(all)? {
            size.history += message?.1.value().len() as u64;
        }
        Ok(size)
    }

    pub(super) fn put_size(&mut self, id: &SessionId, log: &Log, size: Size) -> Result<(), Halt> {
        self.touched.anything = true;
        self.sizes.open()?.insert(id.as_str(), size.row(log))?;
        Ok(())
    }

    /// Counts a session whose size is not known, and keeps the result.
    pub(crate) fn measure(&mut self, id: &SessionId) -> Result<(), Halt> {
        let Some(log) = self.log(id)? else { return Ok(()) };
        let size = self.size(id, &log)?;
        self.put_size(id, &log, size)
    }

    pub(crate) fn trim_to(&mut self, id: &SessionId, epoch: Epoch, bytes: u64) -> Result<Seq, Halt> {
        let Some(log) = self.log(id)? else { return Err(StoreError::Fenced.into()) };
        let mut left = self.size(id, &log)?.log;
        let mut through = log.trimmed;
        for event in self.events.range((id.as_str(), 0)..=(id.as_str(), u64::MAX))? {
            if left <= bytes {
                break;
            }
            let (key, event) = event?;
            left = left.saturating_sub(event.value().len() as u64);
            through = Seq::new(key.value().1);
        }
        self.trim(id, epoch, through)?;
        Ok(self.log(id)?.map_or(through, |log| log.trimmed))
    }
}
