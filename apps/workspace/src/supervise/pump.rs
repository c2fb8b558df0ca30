//! Standard input, passed on to the command.

use std::{
    os::fd::{AsFd, OwnedFd},
    process::ChildStdin,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::{Errno, ioctl_fionbio, read, write},
};
use tokio::sync::oneshot;

const BUFFER_BYTES: usize = 64 * 1024;
const HUNG_UP: PollFlags = PollFlags::HUP.union(PollFlags::RDHUP).union(PollFlags::ERR);

/// Copies `source` to the command until the source ends, and then closes the
/// command's input. `hang_up` is dropped or sent on at the end of the source, also
/// while the command does not read, when its full pipe would hide that end.
pub(super) fn pump(source: &impl AsFd, sink: ChildStdin, hang_up: oneshot::Sender<()>) {
    let mut pump = Pump {
        source, // Only this end of the pipe: the command's stays blocking.
        sink: Some(sink).filter(|sink| ioctl_fionbio(sink, true).is_ok()).map(OwnedFd::from),
        hang_up: Some(hang_up),
        buffer: vec![0; BUFFER_BYTES],
        pending: 0..0,
    };
    // An error ends the pump like the end of the source does.
    while let Ok(true) = pump.step() {}
    pump.announce();
}

struct Pump<'a, S> {
    source: &'a S,
    /// `None` once the command closed its input; the source is then read on to
    /// see its end.
    sink: Option<OwnedFd>,
    hang_up: Option<oneshot::Sender<()>>,
    buffer: Vec<u8>,
    pending: std::ops::Range<usize>,
}

impl<S: AsFd> Pump<'_, S> {
    /// Waits for one event and handles it; false at the end of the source.
    fn step(&mut self) -> rustix::io::Result<bool> {
        if self.sink.is_none() {
            self.pending = 0..0;
        }
        let (from_source, from_sink) = self.wait()?;
        if from_sink.intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL) {
            self.sink = None;
            return Ok(true);
        }
        if !self.pending.is_empty() {
            if from_source.intersects(HUNG_UP) {
                self.announce();
            }
            if from_sink.contains(PollFlags::OUT) {
                self.pass_on();
            }
            return Ok(true);
        }
        if from_source.is_empty() {
            return Ok(true);
        }
        match read(self.source, &mut self.buffer[..]) {
            Ok(0) => Ok(false),
            Ok(length) => {
                self.pending = 0..length;
                self.pass_on();
                Ok(true)
            }
            Err(Errno::INTR | Errno::AGAIN) => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn wait(&self) -> rustix::io::Result<(PollFlags, PollFlags)> {
        let idle = self.pending.is_empty();
        let input = if idle { PollFlags::IN } else { PollFlags::empty() };
        let output = if idle { PollFlags::empty() } else { PollFlags::OUT };
        // A hang-up that was announced would end every further wait at once.
        let watched = idle || self.hang_up.is_some();
        let mut events = Vec::with_capacity(2);
        if watched {
            events.push(PollFd::new(self.source, input | PollFlags::RDHUP));
        }
        if let Some(sink) = &self.sink {
            events.push(PollFd::new(sink, output));
        }
        while let Err(error) = poll(&mut events, None) {
            if error != Errno::INTR {
                return Err(error);
            }
        }
        let mut found = events.iter().map(PollFd::revents);
        let from_source = if watched { found.next() } else { None };
        Ok((from_source.unwrap_or(PollFlags::empty()), found.next().unwrap_or(PollFlags::empty())))
    }

    fn pass_on(&mut self) {
        let Some(sink) = &self.sink else { return };
        match write(sink, &self.buffer[self.pending.clone()]) {
            Ok(length) => self.pending.start += length,
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.sink = None,
        }
    }

    fn announce(&mut self) {
        if let Some(hang_up) = self.hang_up.take() {
            // Nobody listens any more once the tree is being ended.
            let _ = hang_up.send(());
        }
    }
}
