//! Text of models and tools, made harmless for a terminal.

use std::fmt::Write as _;

/// Text to be read: line breaks, tabs and the joiners of emoji stay; what moves the cursor, colours, hides or reorders
/// is shown as an escape.
pub(super) fn prose(text: &str) -> String {
    shown(text, |c| matches!(c, '\n' | '\t' | '\u{200d}' | '\u{fe0f}'))
}

/// Text to be decided on: every character that cannot be seen is shown as an escape, but for line breaks.
pub(super) fn exact(text: &str) -> String {
    shown(text, |c| c == '\n')
}

/// One line of exact text.
pub(crate) fn line(text: &str) -> String {
    shown(text, |_| false)
}

fn shown(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.replace("\r\n", "\n").chars() {
        if !is_hidden(c) || stays(c) {
            out.push(c);
        } else {
            let _ = write!(out, "{}", c.escape_unicode());
        }
    }
    out
}

/// Controls, marks that reorder text, and characters without a shape.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_commands_a_terminal_gets_through() {
        let hostile = "a\u{1b}]52;c;x\u{7}\u{9b}31m\u{8}\rb\u{202e}c\u{e0041}\u{200b}\0\u{7f}";
        for text in [prose(hostile), exact(hostile), line(hostile)] {
            assert!(text.chars().all(|c| !is_hidden(c)), "{text:?}");
            assert!(text.starts_with(r"a\u{1b}]52;c;x\u{7}\u{9b}31m\u{8}\u{d}b\u{202e}c\u{e0041}\u{200b}"), "{text}");
        }
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        let text = "Grüße, 日本, 👩\u{200d}🔧 ⚠\u{fe0f}\n\tx";
        assert_eq!(prose(text), text);
        assert_eq!(prose("a\r\nb"), "a\nb");
    }

    #[test]
    fn what_is_decided_on_hides_nothing() {
        assert_eq!(exact("a\tb\u{200d}\nc"), "a\\u{9}b\\u{200d}\nc");
        assert_eq!(line("a\nb"), "a\\u{a}b");
    }
}
