//! Other readings of a text in which a secret may stand: without its escapes, percent-encoding, or base64.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// Shorter runs of base64 hold no secret.
const SHORTEST_RUN: usize = 12;

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_allow_trailing_bits(true)
    .with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// Returns the text without invisible characters, and what it decodes to where something of it is encoded.
pub(crate) fn readings(text: &str) -> Vec<String> {
    let mut readings = vec![text.to_owned()];
    if text.contains('\\') {
        readings.push(unescaped(text));
    }
    if text.contains('%') {
        readings.push(percent_decoded(text));
    }
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

/// Resolves the escapes of JSON. What is none stays as it is.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let hex = rest.strip_prefix('u').and_then(|rest| rest.get(..4));
        if let Some(c) = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32) {
            out.push(c);
            rest = &rest[5..];
        } else if let Some(c) = rest.chars().next() {
            out.push(match c {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                c => c,
            });
            rest = &rest[c.len_utf8()..];
        }
    }
    out + rest
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let [first, rest @ ..] = bytes {
        let digit = |at: usize| rest.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (*first, digit(0), digit(1)) {
            out.extend(u8::try_from(high * 16 + low));
            bytes = &rest[2..];
        } else {
            out.push(*first);
            bytes = rest;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
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
