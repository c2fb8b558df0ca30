//! The output of a command: its start and its end, whatever its length.

use std::collections::VecDeque;

use tokio::io::{AsyncRead, AsyncReadExt as _};

const CHUNK_BYTES: usize = 16 * 1024;

/// One output stream as it is reported.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Captured {
    /// The output, with a note in place of what was left out.
    pub(crate) text: String,
    pub(crate) truncated: bool,
}

/// Keeps the first and the last bytes of a stream, half of the cap each.
pub(super) struct HeadTail {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    half: usize,
    omitted: u64,
}

impl HeadTail {
    pub(super) fn new(most: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), half: most / 2, omitted: 0 }
    }

    fn push(&mut self, chunk: &[u8]) {
        let (first, rest) = chunk.split_at(chunk.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..excess);
        self.omitted += excess as u64;
    }

    pub(super) fn finish(mut self) -> Captured {
        let tail = self.tail.make_contiguous();
        if self.omitted == 0 {
            self.head.extend_from_slice(tail);
            return Captured { text: into_text(self.head), truncated: false };
        }
        // A cut may have split a character; its pieces are left out as well.
        let kept = whole_characters(&self.head);
        let stray = tail.iter().take(3).take_while(|&&byte| byte & 0b1100_0000 == 0b1000_0000);
        let stray = stray.count();
        let omitted = self.omitted + (self.head.len() - kept + stray) as u64;
        self.head.truncate(kept);
        let tail = into_text(tail[stray..].to_vec());
        let text = format!("{}\n[... {omitted} bytes omitted ...]\n{tail}", into_text(self.head));
        Captured { text, truncated: true }
    }
}

/// Reads a pipe to its end into `kept`, so that its writer never blocks.
pub(super) async fn drain(pipe: Option<impl AsyncRead + Unpin>, kept: &mut HeadTail) {
    let Some(mut pipe) = pipe else { return };
    let mut chunk = vec![0; CHUNK_BYTES];
    // A pipe that cannot be read has nothing more to tell.
    while let Ok(length @ 1..) = pipe.read(&mut chunk).await {
        kept.push(&chunk[..length]);
    }
}

fn whole_characters(bytes: &[u8]) -> usize {
    match str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        // An invalid byte in the middle hides whether the end is whole; it is then shown replaced.
        _ => bytes.len(),
    }
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(chunks: &[&[u8]], most: usize, text: &str, truncated: bool) {
        let mut kept = HeadTail::new(most);
        for chunk in chunks {
            kept.push(chunk);
        }
        assert_eq!(kept.finish(), Captured { text: text.to_owned(), truncated });
    }

    #[test]
    fn short_output_is_kept_whole() {
        check(&[], 8, "", false);
        check(&[b"abc", b"defgh"], 8, "abcdefgh", false);
    }

    #[test]
    fn long_output_keeps_its_start_and_its_end() {
        let expected = "abcd\n[... 18 bytes omitted ...]\nwxyz";
        check(&[b"abcdefghijklmnopqrstuvwxyz"], 8, expected, true);
        check(&[b"ab", b"cdefghijk", b"lmnopqrstuvwx", b"yz"], 8, expected, true);
    }

    #[test]
    fn a_cut_never_leaves_half_a_character() {
        check(&["aéébcdefé".as_bytes()], 8, "aé\n[... 5 bytes omitted ...]\nefé", true);
        check(&["日本語日本語".as_bytes()], 8, "日\n[... 12 bytes omitted ...]\n語", true);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        check(&[b"a\xffb"], 8, "a\u{fffd}b", false);
    }
}
