//! Characters: what a terminal would obey goes, what turns text around is shown, and what nobody sees is dropped.

use std::fmt::Write as _;
use vte::{Parser, Perform};

/// The text without terminal sequences, control characters, and characters that hide or turn text around.
pub(crate) fn clean(text: &str) -> String {
    let mut page = Page(String::with_capacity(text.len()));
    Parser::new().advance(&mut page, text.as_bytes());
    page.0
}

/// What a terminal would have shown, without any of its cleverness.
struct Page(String);

impl Perform for Page {
    fn print(&mut self, c: char) {
        match kind(c) {
            Kind::Plain => self.0.push(c),
            // Writing to a string does not fail.
            Kind::Turning => {
                let _ = write!(self.0, "\\u{{{:04X}}}", u32::from(c));
            }
            Kind::Hidden => {}
        }
    }

    fn execute(&mut self, byte: u8) {
        if let b'\n' | b'\t' = byte {
            self.0.push(char::from(byte));
        }
    }
}

enum Kind {
    Plain,
    /// It makes text read in another order than it is written in.
    Turning,
    Hidden,
}

fn kind(c: char) -> Kind {
    match c {
        // Arabic letter mark; left-to-right and right-to-left marks; embeddings and overrides; isolates.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Kind::Turning,
        // Soft hyphen, combining grapheme joiner, Hangul and Khmer fillers, Mongolian separators.
        '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        // Zero-width space, non-joiner, joiner; line and paragraph separators; invisible operators, deprecated formats.
        | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}'
        // Hangul filler, variation selectors but the one of emoji, byte order mark, interlinear annotation.
        | '\u{3164}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        // Musical formats, tags, variation selectors' supplement.
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}' => Kind::Hidden,
        c if c.is_control() || is_noncharacter(c) => Kind::Hidden,
        _ => Kind::Plain,
    }
}

/// The Unicode Standard 16, section 23.7: not meant for interchange.
fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    (0xfdd0..=0xfdef).contains(&code) || code & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_removed() {
        let cases = [
            ("a\u{1b}[31mred\u{1b}[0mb", "aredb"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            ("a\u{1b}]8;;https://evil.example\u{1b}\\link\u{1b}]8;;\u{1b}\\b", "alinkb"),
            ("a\u{1b}Pq#0;1\u{1b}\\b", "ab"),
            ("line\r\nnext\tend\u{0}\u{7f}", "line\nnext\tend"),
            ("a\u{85}b\u{9b}c", "abc"),
        ];
        for (text, cleaned) in cases {
            assert_eq!(clean(text), cleaned, "{text:?}");
        }
    }

    #[test]
    fn what_turns_text_around_is_shown_and_what_hides_is_dropped() {
        assert_eq!(clean("file\u{202e}gpj.exe"), "file\\u{202E}gpj.exe");
        assert_eq!(clean("pass\u{200b}word\u{e0041}\u{ad}\u{feff}"), "password");
        assert_eq!(clean("a\u{fdd0}\u{10ffff}b\u{fff9}"), "ab");
        assert_eq!(clean("Grüße, 世界, \u{1f44d}\u{fe0f}"), "Grüße, 世界, \u{1f44d}\u{fe0f}");
    }
}
