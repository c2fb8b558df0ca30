//! A reader of server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>) that knows nothing
//! of connections: bytes go in, cut wherever they are cut, and the data of whole events comes out.
//!
//! It is stricter than a browser where that protects whoever acts on an event: what it keeps is bounded, data that is not
//! UTF-8 is an error, and so is a body that ends within an event. Names, ids and retry times of events are not kept.

/// How much may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one event, without its line ends.
    pub event_bytes: usize,
    /// The most bytes of one body.
    pub body_bytes: usize,
}

/// Why a body is not a stream of events, or not one that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// An event is over [`Limits::event_bytes`].
    #[error("an event is larger than {0} bytes")]
    LargeEvent(usize),
    /// The body is over [`Limits::body_bytes`].
    #[error("an answer is larger than {0} bytes")]
    LargeBody(usize),
    /// The data of an event is not UTF-8.
    #[error("the stream is not UTF-8")]
    NotText,
    /// The body ended within an event.
    #[error("it ended within an event")]
    Cut,
}

/// Reads one body. What it makes of the bytes does not depend on how they are cut into pieces.
#[derive(Clone, Debug)]
pub struct Reader {
    limits: Limits,
    /// The line so far.
    line: Vec<u8>,
    /// The data of the event so far, with a line end after each line.
    data: Vec<u8>,
    /// The bytes of the event so far.
    size: usize,
    /// The bytes of the body so far.
    total: usize,
    /// Whether a line other than a comment came since the last event.
    open: bool,
    /// Whether lines end in CR LF. Then an event is whole only with the last byte of its empty line.
    crlf: bool,
    before: Before,
}

/// What the last byte was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    /// Nothing that matters.
    Other,
    /// A CR, which ended a line.
    Cr,
    /// A CR, which ends an empty line once its LF is there.
    HeldCr,
}

impl Reader {
    /// A reader at the beginning of a body.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            line: Vec::new(),
            data: Vec::new(),
            size: 0,
            total: 0,
            open: false,
            crlf: false,
            before: Before::Other,
        }
    }

    /// Takes more of the body, and adds the data of each event that is whole now to `events`.
    ///
    /// # Errors
    /// When a limit is exceeded or data is not UTF-8. The events before that are in `events`; the reader is of no more use.
    pub fn push(&mut self, bytes: &[u8], events: &mut Vec<String>) -> Result<(), Error> {
        bytes.iter().try_for_each(|byte| self.byte(*byte, events))
    }

    /// Whether the body may end here.
    ///
    /// # Errors
    /// [`Error::Cut`] within an event.
    pub fn end(&self) -> Result<(), Error> {
        if self.open || !self.line.is_empty() { Err(Error::Cut) } else { Ok(()) }
    }

    fn byte(&mut self, byte: u8, events: &mut Vec<String>) -> Result<(), Error> {
        self.total = self.total.saturating_add(1);
        if self.total > self.limits.body_bytes {
            return Err(Error::LargeBody(self.limits.body_bytes));
        }
        let before = std::mem::replace(&mut self.before, if byte == b'\r' { Before::Cr } else { Before::Other });
        let second_half = before != Before::Other && byte == b'\n';
        self.crlf |= second_half;
        if before == Before::HeldCr {
            self.finish(events)?;
        }
        match byte {
            _ if second_half => Ok(()),
            b'\r' | b'\n' if !self.line.is_empty() => {
                self.end_line();
                Ok(())
            }
            b'\r' if self.crlf => {
                self.before = Before::HeldCr;
                Ok(())
            }
            b'\r' | b'\n' => self.finish(events),
            _ => self.grow(byte),
        }
    }

    fn grow(&mut self, byte: u8) -> Result<(), Error> {
        self.size += 1;
        if self.size > self.limits.event_bytes {
            return Err(Error::LargeEvent(self.limits.event_bytes));
        }
        self.line.push(byte);
        Ok(())
    }

    fn end_line(&mut self) {
        let mut line = self.line.as_slice();
        let is_first = self.total == line.len() + 1;
        if is_first {
            line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        }
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.unwrap_or(line.len()));
        self.open |= !name.is_empty();
        if name == b"data" {
            let value = value.strip_prefix(b":").unwrap_or(value);
            self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
            self.data.push(b'\n');
        }
        self.line.clear();
    }

    /// The event is whole. One without data is none.
    fn finish(&mut self, events: &mut Vec<String>) -> Result<(), Error> {
        self.open = false;
        self.size = 0;
        let mut data = std::mem::take(&mut self.data);
        data.pop();
        if !data.is_empty() {
            events.push(String::from_utf8(data).map_err(|_| Error::NotText)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
