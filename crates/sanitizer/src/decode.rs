//! Other readings of a text in which a secret may stand: without its escapes, percent-encoding, line breaks, or base64.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use std::ops::Range;

/// Shorter runs of base64 hold no secret.
const SHORTEST_RUN: usize = 12;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// Returns the text without invisible characters, and what it decodes to where something of it is encoded.
pub(crate) fn readings(text: &str) -> Vec<String> {
    let mut readings = vec![text.to_owned()];
    readings.extend([unescaped(text), percent_decoded(text)].into_iter().flatten().map(|reading| reading.text()));
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_');
    for run in text.split(|c| !is_base64(c)).filter(|run| run.len() >= SHORTEST_RUN) {
        // A single character over a multiple of four encodes nothing.
        let run = if run.len() % 4 == 1 { &run[..run.len() - 1] } else { run };
        if let Ok(bytes) = STANDARD.decode(run.replace('-', "+").replace('_', "/")) {
            readings.push(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    readings
}

/// A reading, and where in the text each of its bytes comes from.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) bytes: Vec<u8>,
    places: Vec<(usize, usize)>,
}

impl Reading {
    /// Adds bytes that stand for this part of the text.
    fn push(&mut self, bytes: &[u8], from: Range<usize>) {
        self.bytes.extend_from_slice(bytes);
        self.places.extend(bytes.iter().map(|_| (from.start, from.end)));
    }

    /// Adds a part of the text as it stands.
    fn copy(&mut self, text: &str, part: Range<usize>) {
        self.bytes.extend_from_slice(&text.as_bytes()[part.clone()]);
        self.places.extend(part.map(|at| (at, at + 1)));
    }

    /// Where in the text this part of the reading comes from.
    pub(crate) fn source(&self, part: Range<usize>) -> Option<Range<usize>> {
        let last = part.end.checked_sub(1)?;
        Some(self.places.get(part.start)?.0..self.places.get(last)?.1)
    }

    /// Adds the rest of the text. `None` where the reading is the text itself.
    fn ended(mut self, text: &str, from: usize) -> Option<Self> {
        self.copy(text, from..text.len());
        (from > 0).then_some(self)
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

/// Resolves the escapes of JSON. What is none stays as it is. `None` where there is no escape.
pub(crate) fn unescaped(text: &str) -> Option<Reading> {
    let mut reading = Reading::default();
    let mut from = 0;
    for (at, _) in text.match_indices('\\') {
        // The second of two that stand for one.
        if at < from {
            continue;
        }
        let rest = &text[at + 1..];
        let hex = rest.strip_prefix('u').and_then(|rest| rest.get(..4));
        let coded = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
        let Some(next) = rest.chars().next() else { continue };
        reading.copy(text, from..at);
        from = at + 1 + if coded.is_some() { 5 } else { next.len_utf8() };
        let plain = coded.unwrap_or(match next {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            other => other,
        });
        reading.push(plain.encode_utf8(&mut [0; 4]).as_bytes(), at..from);
    }
    reading.ended(text, from)
}

/// `None` where nothing is encoded.
pub(crate) fn percent_decoded(text: &str) -> Option<Reading> {
    let mut reading = Reading::default();
    let mut from = 0;
    for (at, _) in text.match_indices('%') {
        let digits = text.as_bytes().get(at + 1..at + 3);
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let value = digits.and_then(|digits| u8::try_from(digit(digits[0])? * 16 + digit(digits[1])?).ok());
        if let Some(value) = value {
            reading.copy(text, from..at);
            from = at + 3;
            reading.push(&[value], at..from);
        }
    }
    reading.ended(text, from)
}

/// Joins what programs break into lines and groups: the text without white space, colons, and escaped line breaks. `None`
/// where there are none.
pub(crate) fn joined(text: &str) -> Option<Reading> {
    let mut reading = Reading::default();
    let mut from = 0;
    for (at, mark) in text.match_indices([' ', '\n', '\r', '\t', ':', '\\']) {
        let escape = mark == "\\";
        if at < from || (escape && !text[at + 1..].starts_with(['n', 'r', 't'])) {
            continue;
        }
        reading.copy(text, from..at);
        from = at + 1 + usize::from(escape);
    }
    reading.ended(text, from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_text_is_read_in_its_plain_form() {
        let has = |text: &str, plain: &str| readings(text).iter().any(|reading| reading.contains(plain));
        assert!(has(r"AK\u0049A\/x\n", "AKIA/x\n"));
        assert!(has("a%41%4b%zz%", "aAK%zz%"));
        assert!(has("data: aGVsbG8gd29ybGQh.", "hello world!"));
        assert!(has("\\", ""));
    }
}
