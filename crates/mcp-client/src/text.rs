//! What strangers write, made fit for people and models to read.

/// `text` without control characters and without characters that nobody sees or that turn the text around, at most
/// `max` bytes of it. Line breaks and tabs stay.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let mut cleaned = String::new();
    for c in text.chars().filter(|c| is_visible(*c)) {
        if cleaned.len() + c.len_utf8() > max {
            while cleaned.len() + '…'.len_utf8() > max && cleaned.pop().is_some() {}
            cleaned.push('…');
            break;
        }
        cleaned.push(c);
    }
    cleaned
}

/// The end of `bytes`, at most `max` bytes of it, cleaned and on one line.
pub(crate) fn tail(bytes: &[u8], max: usize) -> String {
    let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(max)..]);
    let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut cleaned = clean(&lines.join(" | "), usize::MAX);
    let mut from = cleaned.len().saturating_sub(max);
    while !cleaned.is_char_boundary(from) {
        from += 1;
    }
    cleaned.split_off(from)
}

fn is_visible(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        // Soft hyphen, Arabic letter mark, zero-width and bidirectional marks, invisible operators, byte order mark,
        // interlinear annotations, variation selectors' supplement and tags.
        '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}' => false,
        c => !c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_removed() {
        let text = "a\u{1b}[2J\u{202e}b\u{200b}c\u{e0041}\r\n\td\u{0}\u{9b}";
        assert_eq!(clean(text, 100), "a[2Jbc\n\td");
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
        assert_eq!(tail(&b"a\n".repeat(100), 8), " | a | a");
        assert_eq!(tail(&b"\xff".repeat(8), 8), "\u{fffd}\u{fffd}");
    }
}
