//! Characters: removes what a terminal would obey and what nobody sees, and escapes what reorders text.

use std::fmt::Write as _;
use unicode_general_category::{GeneralCategory, get_general_category};
use vte::{Parser, Perform};

/// Returns the text without terminal sequences, control characters, and characters that hide or reorder text.
pub(crate) fn clean(text: &str) -> String {
    let mut flow = Flow::default();
    flow.push(text);
    flow.take()
}

/// The same for a text that arrives in pieces: a terminal sequence may be split between them.
#[derive(Default)]
pub(crate) struct Flow {
    parser: Parser,
    page: Page,
}

impl Flow {
    pub(crate) fn push(&mut self, piece: &str) {
        self.page.text.reserve(piece.len());
        self.parser.advance(&mut self.page, piece.as_bytes());
    }

    /// Takes what has become visible since the last time.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.page.text)
    }
}

/// What a terminal would have shown.
#[derive(Default)]
struct Page {
    text: String,
    last: Option<char>,
}

impl Page {
    fn push(&mut self, c: char) {
        self.text.push(c);
        self.last = Some(c);
    }
}

impl Perform for Page {
    fn print(&mut self, c: char) {
        match kind(c) {
            Kind::Plain => self.push(c),
            Kind::Space => self.push(' '),
            // It is needed after emoji. After ASCII it would break up secrets.
            Kind::Emoji if self.last.is_some_and(|last| !last.is_ascii() && last != c) => self.push(c),
            Kind::Turning => {
                // Writing to a string does not fail.
                let _ = write!(self.text, "\\u{{{:04X}}}", u32::from(c));
                self.last = Some('}');
            }
            Kind::Emoji | Kind::Hidden => {}
        }
    }

    fn execute(&mut self, byte: u8) {
        if let b'\n' | b'\t' = byte {
            self.push(char::from(byte));
        }
    }
}

enum Kind {
    Plain,
    /// A space of another width.
    Space,
    /// The variation selector of emoji.
    Emoji,
    /// It makes text read in another order than it is written in.
    Turning,
    Hidden,
}

fn kind(c: char) -> Kind {
    match c {
        // ASCII, and the format characters that are drawn: Prepended_Concatenation_Mark.
        ' '..='~'
        | '\u{600}'..='\u{605}'
        | '\u{6dd}'
        | '\u{70f}'
        | '\u{890}'
        | '\u{891}'
        | '\u{8e2}'
        | '\u{110bd}'
        | '\u{110cd}' => Kind::Plain,
        // Bidi_Control.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Kind::Turning,
        '\u{fe0f}' => Kind::Emoji,
        // Default_Ignorable_Code_Point without what the general category tells, and the blank Braille pattern.
        '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{2065}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0e}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fff8}'
        | '\u{1d159}'
        | '\u{e0000}'..='\u{e0fff}' => Kind::Hidden,
        c if is_noncharacter(c) => Kind::Hidden,
        c => match get_general_category(c) {
            GeneralCategory::SpaceSeparator => Kind::Space,
            GeneralCategory::Control
            | GeneralCategory::Format
            | GeneralCategory::LineSeparator
            | GeneralCategory::ParagraphSeparator => Kind::Hidden,
            _ => Kind::Plain,
        },
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
        assert_eq!(clean("a\u{2800}\u{3164}\u{115f}\u{1160}\u{ffa0}\u{1bca0}\u{1bca3}\u{13430}\u{fe0f}b"), "ab");
        assert_eq!(clean("a\u{a0}b\u{2003}c\u{3000}d\u{202f}e"), "a b c d e");
        assert_eq!(clean("Grüße, 世界, \u{1f44d}\u{fe0f}"), "Grüße, 世界, \u{1f44d}\u{fe0f}");
    }
}
