//! Cleans a text that arrives in pieces, such as a model's answer.
//!
//! A terminal sequence or a secret may be split between pieces. What could still become a secret is held back: the last word,
//! and a private key until its end. Where the text stalls, a short last word is shown; if it turns out to be the beginning of
//! a secret, the rest of that is redacted.

use crate::{Sanitizer, characters::Flow};
use std::sync::Arc;

/// The longest text without a space that is held back.
const MAX_WORD: usize = 8 << 10;
/// The longest text that is held back when it begins with a secret.
const MAX_SECRET: usize = 16 << 10;
/// A heading of a private key that is not complete may be this long.
const HEADING: usize = 80;
/// A longer last word is not shown where the text stalls.
const SHORT_WORD: usize = 32;
/// The last, short line of a private key may be this long, with what stands before it.
const LAST_LINE: usize = 100;

/// Cleans one text piece by piece. The concatenation of what it returns is the cleaned text.
pub struct Stream {
    sanitizer: Arc<Sanitizer>,
    flow: Flow,
    held: String,
    /// How many bytes of `held` were shown already.
    shown: usize,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl Stream {
    /// Returns a stream that has seen no text.
    pub fn new(sanitizer: Arc<Sanitizer>) -> Self {
        Self { sanitizer, flow: Flow::default(), held: String::new(), shown: 0 }
    }

    /// Adds a piece. Returns what can be shown now, which may be empty.
    pub fn push(&mut self, piece: &str) -> String {
        self.flow.push(piece);
        self.held.push_str(&self.flow.take());
        let ready = self.ready();
        if ready <= self.shown {
            return String::new();
        }
        let rest = self.held.split_off(ready);
        let ready = std::mem::replace(&mut self.held, rest);
        self.redacted_after(&ready)
    }

    /// Ends the text. Returns the rest of it.
    pub fn finish(&mut self) -> String {
        let rest = std::mem::take(&mut self.held);
        self.flow = Flow::default();
        self.redacted_after(&rest)
    }

    /// Whether there is something that [`stall`](Self::stall) would show.
    pub fn holds_word(&self) -> bool {
        (self.shown + 1..=SHORT_WORD).contains(&self.held.len())
            && !self.held.contains("-----")
            && self.sanitizer.secrets.places(&self.held).is_empty()
    }

    /// Returns what is held back, if it is a short word: nothing has come for a while, and people wait.
    pub fn stall(&mut self) -> String {
        if !self.holds_word() {
            return String::new();
        }
        let word = self.held[self.shown..].to_owned();
        self.shown = self.held.len();
        word
    }

    /// The part of a text that was not shown yet, without secrets: nor the end of one whose beginning was shown.
    fn redacted_after(&mut self, text: &str) -> String {
        let shown = std::mem::take(&mut self.shown);
        if shown == 0 {
            return self.redacted(text);
        }
        let places = if self.sanitizer.config.redact { self.sanitizer.secrets.places(text) } else { Vec::new() };
        match places.into_iter().find(|(place, _)| place.start < shown && place.end > shown) {
            Some((place, _)) => self.redacted(&text[place.clone()]) + &self.redacted(&text[place.end..]),
            None => self.redacted(&text[shown..]),
        }
    }

    fn redacted(&self, text: &str) -> String {
        if self.sanitizer.config.redact { self.sanitizer.secrets.redact(text) } else { text.to_owned() }
    }

    /// How much of what is held can be shown: no secret stands across that place, whatever comes next.
    fn ready(&self) -> usize {
        let held = &self.held;
        if !self.sanitizer.config.redact {
            return held.len();
        }
        let mut most = held.len().saturating_sub(self.sanitizer.secrets.longest_spaced());
        while !held.is_char_boundary(most) {
            most -= 1;
        }
        let after_space = held[..most].rfind(ends_word).map_or(0, |at| at + 1);
        let mut cut = ceil(held, after_space);
        if held.len() - cut > MAX_WORD {
            cut = ceil(held, held.len() - MAX_WORD / 2);
        }
        // A heading has spaces in it.
        if let Some(heading) = held.rfind("-----").filter(|at| held.len() - at < HEADING) {
            cut = cut.min(held[..heading].rfind("-----").filter(|at| heading - at < HEADING).unwrap_or(heading));
        }
        if cut == 0 {
            return 0;
        }
        for (place, kind) in self.sanitizer.secrets.places(held) {
            let is_open = kind == "private_key" && !held[place.clone()].contains("-----END");
            let goes_on = place.end >= held.trim_end().len() || (is_open && held.len() - place.end < LAST_LINE);
            if place.start < cut && (place.end > cut || goes_on) {
                cut = if held.len() - place.start > MAX_SECRET { held.len() } else { place.start };
                break;
            }
        }
        cut
    }
}

/// Whether no pattern of a secret goes on after the character: a space, or a letter of a script that is written without
/// spaces (Thai, and what comes after it in Unicode). Without the latter, an answer in Chinese would not stream.
pub(crate) fn ends_word(c: char) -> bool {
    c.is_whitespace() || c >= '\u{e00}'
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
    use crate::Config;
    use secrecy::SecretString;

    fn streamed(text: &str, size: usize) -> String {
        let known = [SecretString::from("correct horse battery")];
        let mut stream = Stream::new(Arc::new(Sanitizer::new(Config::default(), &known)));
        let chars: Vec<char> = text.chars().collect();
        let mut said: String = chars.chunks(size).map(|piece| stream.push(&piece.iter().collect::<String>())).collect();
        said += &stream.finish();
        said
    }

    /// Covers: S2-6
    #[test]
    fn split_sequences_and_secrets_do_not_come_through() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let line = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2";
        let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{line}\n{line}\nQUJD\n-----END RSA PRIVATE KEY-----");
        let text = format!("hi \u{1b}]52;c;AA AA\u{7} \u{202e}x {token} correct horse battery {key} and\nthe end.");
        for size in [1, 2, 3, 7, 50, 10_000] {
            let said = streamed(&text, size);
            assert!(said.starts_with("hi  \\u{202E}x [REDACTED:github_token:"), "{size}: {said}");
            assert!(!said.contains("horse") && !said.contains("QUJD") && !said.contains('\u{1b}'), "{size}: {said}");
            assert!(said.ends_with(" and\nthe end."), "{size}: {said}");
        }
    }

    /// Covers: S2-6
    #[test]
    fn short_word_is_shown_where_the_text_stalls() {
        let mut stream = Stream::new(Arc::new(Sanitizer::new(Config::default(), &[])));
        assert_eq!((stream.push("I wai"), stream.stall(), stream.stall()), ("I ".into(), "wai".into(), String::new()));
        assert_eq!((stream.push("t. So"), stream.finish()), ("t. ".into(), "So".into()));
        // The beginning of a token is shown, and the rest is not.
        assert_eq!((stream.push("ghp_"), stream.stall()), (String::new(), "ghp_".into()));
        let said = stream.push(&"a1B2".repeat(9)) + &stream.stall() + &stream.push(" end") + &stream.finish();
        assert!(said.starts_with("[REDACTED:github_token:") && said.ends_with("] end"), "{said}");
    }

    #[test]
    fn ordinary_text_comes_through_word_by_word() {
        let mut stream = Stream::new(Arc::new(Sanitizer::new(Config::default(), &[])));
        assert_eq!(stream.push("Hello wor"), "Hello ");
        assert_eq!(stream.push("ld, it"), "world, ");
        assert_eq!(stream.finish(), "it");
        assert_eq!(stream.push("\u{4f60}\u{597d}\u{4e16}\u{754c}a"), "\u{4f60}\u{597d}\u{4e16}\u{754c}");
        assert_eq!(stream.finish(), "a");
        let long = "x".repeat(30_000);
        assert_eq!(streamed(&long, 100), long);
    }
}
