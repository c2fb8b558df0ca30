//! The texts of MCP servers, made fit for people and models to read. Secrets are redacted by the orchestrator, which knows them.

use lockkeeper_sanitizer::visible;

/// Returns at most `max` bytes of `text` without terminal sequences, control characters, and what hides or reorders text. Line
/// breaks and tabs stay. A cut is made between words where there are any, so that no part of a secret is left.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let mut cleaned = visible(text);
    if cleaned.len() > max {
        let mut at = max.saturating_sub('…'.len_utf8());
        while !cleaned.is_char_boundary(at) {
            at -= 1;
        }
        let space = cleaned[..at].rfind(char::is_whitespace).filter(|space| *space > 0);
        cleaned.truncate(space.unwrap_or(at));
        if max >= '…'.len_utf8() {
            cleaned.push('…');
        }
    }
    cleaned
}

/// Returns the end of `bytes`, at most `max` bytes of it, cleaned and on one line. It begins with a whole word where there is one.
pub(crate) fn tail(bytes: &[u8], max: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut cleaned = visible(&lines.join(" | "));
    if cleaned.len() <= max {
        return cleaned;
    }
    let mut from = cleaned.len() - max;
    while !cleaned.is_char_boundary(from) {
        from += 1;
    }
    let word = cleaned[from..].find(' ').map_or(from, |space| from + space + 1);
    cleaned.split_off(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_removed() {
        let text = "a\u{1b}[2J\u{202e}b\u{200b}c\u{e0041}\r\n\td\u{0}\u{9b}";
        assert_eq!(clean(text, 100), "a\\u{202E}bc\n\td");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let cut = clean(&"é".repeat(100), 16);
        assert!(cut.len() <= 16 && cut.ends_with('…') && cut.starts_with("ééé"), "{cut}");
        assert_eq!(clean("0123456789abcdef", 16), "0123456789abcdef");
    }

    #[test]
    fn a_tail_is_one_line_of_the_end() {
        assert_eq!(tail(b"first\nsecond\r\n\xff third\n", 100), "first | second | \u{fffd} third");
        assert_eq!(tail(b"0123456789", 4), "6789");
        assert_eq!(tail(&b"a\n".repeat(100), 8), "| a | a");
        assert_eq!(tail(&b"\xff".repeat(8), 8), "\u{fffd}\u{fffd}");
        assert_eq!(tail(b"key=secret-value then it ended", 24), "then it ended");
    }
}
