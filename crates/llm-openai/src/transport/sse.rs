//! Server-sent events out of bytes, however they are split (WHATWG HTML, section 9.2.6), with a limit on the size of
//! one event. An event that lacks the empty line at its end is no event.

/// A whole event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Its type; empty where the server names none.
    pub(crate) event: String,
    /// Its data, a line break between lines.
    pub(crate) data: String,
}

/// An event grew beyond the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// Collects events.
#[derive(Debug)]
pub(crate) struct Framer {
    line: Vec<u8>,
    event: String,
    data: Option<String>,
    size: usize,
    max: usize,
    after_cr: bool,
    at_start: bool,
}

impl Framer {
    pub(crate) fn new(max: usize) -> Self {
        let (line, event) = (Vec::new(), String::new());
        Self { line, event, data: None, size: 0, max, after_cr: false, at_start: true }
    }

    /// Takes `bytes` and adds the events that they complete to `frames`.
    pub(crate) fn push(&mut self, bytes: &[u8], frames: &mut impl Extend<Frame>) -> Result<(), TooLarge> {
        for piece in bytes.split_inclusive(|b| matches!(b, b'\n' | b'\r')) {
            let (body, end) = match piece.split_last() {
                Some((end @ (b'\n' | b'\r'), body)) => (body, Some(*end)),
                _ => (piece, None),
            };
            if body.is_empty() && end == Some(b'\n') && std::mem::take(&mut self.after_cr) {
                continue;
            }
            self.after_cr = end == Some(b'\r');
            self.size += piece.len();
            if self.size > self.max {
                return Err(TooLarge);
            }
            self.line.extend_from_slice(body);
            if end.is_some() {
                frames.extend(self.end_line());
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> Option<Frame> {
        let line = std::mem::take(&mut self.line);
        let mut bytes = line.as_slice();
        if std::mem::take(&mut self.at_start) {
            bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
        }
        if bytes.is_empty() {
            self.size = 0;
            let event = std::mem::take(&mut self.event);
            return self.data.take().map(|data| Frame { event, data });
        }
        let text = String::from_utf8_lossy(bytes);
        let (field, value) = text.split_once(':').unwrap_or((&text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event),
            "data" => self.add(value),
            // llama.cpp reports an error within a stream as a field of this name.
            "error" => self.add(&format!("{{\"error\":{value}}}")),
            _ => {}
        }
        None
    }

    fn add(&mut self, line: &str) {
        match &mut self.data {
            Some(data) => {
                data.push('\n');
                data.push_str(line);
            }
            None => self.data = Some(line.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let (mut framer, mut events) = (Framer::new(1_000), Vec::new());
        for chunk in chunks {
            framer.push(chunk, &mut events).expect("small events");
        }
        events.into_iter().map(|f| (f.event, f.data)).collect()
    }

    fn check(wire: &str, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(e, d)| ((*e).to_owned(), (*d).to_owned())).collect();
        for size in [1, 2, 7, 61, 1_000] {
            let chunks: Vec<&[u8]> = wire.as_bytes().chunks(size).collect();
            assert_eq!(read(&chunks), expected, "{wire:?} in chunks of {size}");
        }
    }

    #[test]
    fn events_are_read_whatever_ends_their_lines() {
        check("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]);
        check("event: x\r\ndata: a\r\n\r\ndata:b\r\n\r\n", &[("x", "a"), ("", "b")]);
        check("data: a\rdata: b\r\r", &[("", "a\nb")]);
        check("\u{feff}data: ä☃\n\n", &[("", "ä☃")]);
    }

    #[test]
    fn what_is_no_event_is_skipped() {
        check(": comment\n\n\n\nevent: ping\n\nid: 3\nretry: 1\nother: x\ndata: a\n\n", &[("", "a")]);
        check("data: a\n\ndata: cut off\n", &[("", "a")]);
        check("data\n\n", &[("", "")]);
        check("error: {\"code\":500}\n\n", &[("", "{\"error\":{\"code\":500}}")]);
    }

    #[test]
    fn an_event_that_never_ends_is_refused() {
        let mut framer = Framer::new(100);
        let mut events = Vec::new();
        assert_eq!(framer.push(&[b'a'; 60], &mut events), Ok(()));
        assert_eq!(framer.push(&[b'a'; 60], &mut events), Err(TooLarge));
        let mut framer = Framer::new(100);
        let lines = b"data: 1\n".repeat(20);
        assert_eq!(framer.push(&lines, &mut events), Err(TooLarge));
        let mut framer = Framer::new(100);
        let many = b"data: 1\n\n".repeat(200);
        assert_eq!(framer.push(&many, &mut events), Ok(()));
        assert_eq!(events.len(), 200);
    }

    proptest! {
        #[test]
        fn the_split_of_the_bytes_makes_no_difference(
            wire in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'd'), any::<u8>()], 0..300),
            size in 1_usize..40,
        ) {
            let mut wire = wire;
            wire.splice(0..0, *b"data: ");
            let whole = read(&[&wire]);
            let chunks: Vec<&[u8]> = wire.chunks(size).collect();
            prop_assert_eq!(read(&chunks), whole);
        }
    }
}
