//! Cuts what is too long out of the middle of a text: errors tend to stand at the end, and headings at the beginning.

use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// More than the words that say what was cut.
const WORDS: usize = 160;

/// The text, or its beginning and its end with words between them that say how much is missing, in at most `max` bytes.
pub(crate) fn middle(text: String, max: usize) -> String {
    if text.len() <= max {
        return text;
    }
    let room = max.saturating_sub(WORDS);
    // Two thirds of the room for the beginning.
    let head = floor(&text, room / 3 * 2);
    let tail = ceil(&text, text.len() - room / 3);
    let cut = &text[head..tail];
    let mut hash = String::new();
    for byte in Sha256::digest(cut.as_bytes()) {
        let _ = write!(hash, "{byte:02x}");
    }
    format!("{}\n[truncated {} bytes, sha256 {hash}]\n{}", &text[..head], cut.len(), &text[tail..])
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_stay_and_the_cut_is_told() {
        let text = format!("begin{}end", "é".repeat(4000));
        let cut = middle(text, 1024);
        assert!(cut.len() <= 1024 && cut.len() > 800, "{}", cut.len());
        assert!(cut.starts_with("begin") && cut.ends_with("end") && cut.contains("[truncated "), "{cut}");
        assert_eq!(middle("short".to_owned(), 1024), "short");
    }
}
