use redb::StorageBackend;
use std::{
    hash::{BuildHasher, RandomState},
    io::{Error, ErrorKind, Result},
    sync::{Arc, Mutex, MutexGuard},
};

const SECTOR: usize = 512;

/// A disk in memory that keeps apart what is synced and what is not. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    current: Vec<u8>,
    synced: Vec<u8>,
    /// What was written since: where, and what.
    unsynced: Vec<(usize, Vec<u8>)>,
    full_at: Option<usize>,
    refuses: bool,
    writes_left: Option<usize>,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// From now on the file can, or cannot, be written to beyond its present end.
    pub(super) fn limit_growth(&self, limited: bool) {
        let mut state = self.state();
        state.full_at = limited.then_some(state.current.len());
    }

    pub(super) fn refuse_writes(&self, refuses: bool) {
        self.state().refuses = refuses;
    }

    pub(super) fn cut_power_after(&self, writes: usize) {
        self.state().writes_left = Some(writes);
    }

    /// What is found when the power is back: all that was synced, and of the rest some sectors.
    pub(super) fn after_power_cut(&self) -> Self {
        let state = self.state();
        let mut found = state.synced.clone();
        let chance = RandomState::new();
        for (nth, (start, bytes)) in state.unsynced.iter().enumerate() {
            for (sector, piece) in bytes.chunks(SECTOR).enumerate() {
                if chance.hash_one((nth, sector)) % 2 == 0 {
                    put(&mut found, start + sector * SECTOR, piece);
                }
            }
        }
        Self(Arc::new(Mutex::new(State { current: found.clone(), synced: found, ..State::default() })))
    }
}

fn put(content: &mut Vec<u8>, start: usize, bytes: &[u8]) {
    let end = start + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

impl State {
    fn has_power(&self) -> Result<()> {
        if self.writes_left == Some(0) { Err(Error::other("there is no power")) } else { Ok(()) }
    }

    fn takes(&mut self, end: usize) -> Result<()> {
        self.has_power()?;
        if let Some(left) = &mut self.writes_left {
            *left -= 1;
        }
        if self.refuses || self.full_at.is_some_and(|full_at| end > full_at) {
            return Err(Error::from(ErrorKind::StorageFull));
        }
        Ok(())
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64> {
        Ok(self.state().current.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let state = self.state();
        let start = position(offset);
        let stored = state.current.get(start..start + out.len()).ok_or(ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(stored);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut state = self.state();
        state.has_power()?;
        // As of a file with holes: its length alone takes no room. The length is kept at once, which a journal does.
        state.current.resize(position(len), 0);
        state.synced.resize(position(len), 0);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        let mut state = self.state();
        state.has_power()?;
        for (start, bytes) in std::mem::take(&mut state.unsynced) {
            put(&mut state.synced, start, &bytes);
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> Result<()> {
        let mut state = self.state();
        let start = position(offset);
        state.takes(start + data.len())?;
        put(&mut state.current, start, data);
        state.unsynced.push((start, data.to_vec()));
        Ok(())
    }
}
