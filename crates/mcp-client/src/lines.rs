//! Lines out of a byte stream, with a limit that holds while a line is read.

use tokio::io::{AsyncRead, AsyncReadExt};

const CHUNK: usize = 16 << 10;
/// How much of the end of a line over the limit is kept: room for the members that come after a giant one.
const TAIL: usize = 1024;

/// What comes next from a process.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// A line without its end.
    Line(Vec<u8>),
    /// A line that is over the limit, by its beginning. The rest is skipped, and `Skipped` follows where the line ends.
    TooLong(Vec<u8>),
    /// The end of the line that was too long: its last bytes, at most 1 KiB.
    Skipped(Vec<u8>),
    /// So much of such a line was skipped that nothing more is to be expected.
    Endless,
    /// Nothing more comes.
    End,
}

/// Reads lines; never holds more than one line of the limit's length and one chunk.
pub(crate) struct Lines<R> {
    from: R,
    chunk: Box<[u8]>,
    unread: std::ops::Range<usize>,
    line: Vec<u8>,
    max_line: usize,
    max_skipped: u64,
    skipped: Option<u64>,
    tail: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(from: R, max_line: usize, max_skipped: u64) -> Self {
        let chunk = vec![0; CHUNK].into_boxed_slice();
        Self { from, chunk, unread: 0..0, line: Vec::new(), max_line, max_skipped, skipped: None, tail: Vec::new() }
    }

    /// What comes next. Nothing is lost when the future is dropped.
    pub(crate) async fn next(&mut self) -> Read {
        loop {
            if let Some(read) = self.take() {
                return read;
            }
            match self.from.read(&mut self.chunk).await {
                Ok(0) | Err(_) => return self.end(),
                Ok(length) => self.unread = 0..length,
            }
        }
    }

    /// Goes through what was read until something is complete.
    fn take(&mut self) -> Option<Read> {
        while !self.unread.is_empty() {
            let unread = &self.chunk[self.unread.clone()];
            let newline = unread.iter().position(|byte| *byte == b'\n');
            let piece = newline.unwrap_or(unread.len());
            let (start, ends) = (self.unread.start, newline.is_some());
            self.unread.start += piece + usize::from(ends);
            if let Some(skipped) = &mut self.skipped {
                *skipped += piece as u64;
                keep_end(&mut self.tail, &self.chunk[start..start + piece]);
                if ends {
                    return Some(self.skipped_to_end());
                }
                continue;
            }
            let room = self.max_line - self.line.len();
            self.line.extend_from_slice(&self.chunk[start..start + piece.min(room)]);
            if piece > room {
                self.skipped = Some((piece - room) as u64);
                keep_end(&mut self.tail, &self.line);
                keep_end(&mut self.tail, &self.chunk[start + room..start + piece]);
                if ends {
                    // The line's end is read once more, as the end of what is skipped.
                    self.unread.start -= 1;
                }
                return Some(Read::TooLong(std::mem::take(&mut self.line)));
            }
            if ends {
                return Some(Read::Line(std::mem::take(&mut self.line)));
            }
        }
        (self.skipped > Some(self.max_skipped)).then_some(Read::Endless)
    }

    fn skipped_to_end(&mut self) -> Read {
        self.skipped = None;
        Read::Skipped(std::mem::take(&mut self.tail))
    }

    fn end(&mut self) -> Read {
        if self.skipped.is_some() {
            return self.skipped_to_end();
        }
        if self.line.is_empty() { Read::End } else { Read::Line(std::mem::take(&mut self.line)) }
    }
}

/// Appends `more` to `tail`, of which the last bytes stay.
fn keep_end(tail: &mut Vec<u8>, more: &[u8]) {
    tail.extend_from_slice(&more[more.len().saturating_sub(TAIL)..]);
    tail.drain(..tail.len().saturating_sub(TAIL));
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(input: &[u8], expected: &[Read]) {
        let mut lines = Lines::new(input, 8, 32);
        for expected in expected {
            assert_eq!(lines.next().await, *expected);
        }
    }

    fn line(text: &str) -> Read {
        Read::Line(text.into())
    }

    #[tokio::test]
    async fn lines_come_one_by_one_and_the_last_needs_no_end() {
        check(b"a\n\nbc\r\n12345678\nd", &[line("a"), line(""), line("bc\r"), line("12345678"), line("d"), Read::End])
            .await;
    }

    #[tokio::test]
    async fn a_long_line_is_skipped_to_its_end() {
        let skipped = [Read::TooLong("12345678".into()), Read::Skipped("123456789".into())];
        let [too_long, end] = skipped;
        check(b"123456789\nnext\n", &[too_long, end, line("next"), Read::End]).await;
    }

    #[tokio::test]
    async fn a_long_line_keeps_its_last_kibibyte() {
        let input = [vec![b'a'; 3 * CHUNK], vec![b'b'; TAIL], b"\n".to_vec()].concat();
        let mut lines = Lines::new(&input[..], 8, u64::MAX);
        assert_eq!(lines.next().await, Read::TooLong("aaaaaaaa".into()));
        assert_eq!(lines.next().await, Read::Skipped(vec![b'b'; TAIL]));
    }

    #[tokio::test]
    async fn a_line_without_an_end_is_not_read_forever() {
        let endless = vec![b'A'; 8 + 32];
        let end = Read::Skipped(endless.clone());
        check(&endless, &[Read::TooLong("AAAAAAAA".into()), end, Read::End]).await;
        let (mut writer, reader) = tokio::io::duplex(64);
        let mut lines = Lines::new(reader, 8, 32);
        let write = async {
            for _ in 0..42 {
                tokio::io::AsyncWriteExt::write_all(&mut writer, b"A").await.expect("room");
            }
        };
        let read = async { (lines.next().await, lines.next().await) };
        let ((), read) = tokio::join!(write, read);
        assert_eq!(read, (Read::TooLong("AAAAAAAA".into()), Read::Endless));
    }
}
