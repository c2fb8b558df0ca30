//! Finds secrets: those that are known, in the forms in which they travel, and what looks like one.

use crate::{
    characters,
    decode::{self, Reading},
    patterns::{self, Pattern},
    stream::ends_word,
};
use aho_corasick::{AhoCorasick, MatchKind};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::{fmt, fmt::Write as _, ops::Range};

/// The kind of the secrets that were told.
const KNOWN: &str = "secret";
/// Shorter ones would be found in everything.
const SHORTEST: usize = 8;
/// The longest escape of one byte: `\u0041`.
const LONGEST_ESCAPE: usize = 6;

/// Where a secret stands, and of what kind it is.
type Place = (Range<usize>, &'static str);

/// A secret that was found, without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What kind of secret it is: `secret` for a known one, else who issues those that look like it, as in `github_token`.
    pub kind: &'static str,
}

pub(crate) struct Secrets {
    /// In the forms in which they travel.
    known: Option<AhoCorasick>,
    /// As they stand, for readings that decode a text.
    plain: Option<AhoCorasick>,
    /// In base64 and hexadecimal, which programs break into lines.
    broken: Option<AhoCorasick>,
    longest_spaced: usize,
    patterns: &'static [Pattern],
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").finish_non_exhaustive()
    }
}

impl Secrets {
    pub(crate) fn new(known: &[SecretString]) -> Self {
        let long: Vec<_> =
            known.iter().map(SecretString::expose_secret).filter(|secret| secret.len() >= SHORTEST).collect();
        let encoded: Vec<_> = long.iter().flat_map(|secret| encoded(secret)).collect();
        let forms: Vec<_> = long.iter().flat_map(|secret| forms(secret)).chain(encoded.iter().cloned()).collect();
        let spaced = forms.iter().filter(|form| form.contains(ends_word));
        let longest_spaced = spaced.map(String::len).max().unwrap_or(0).saturating_mul(LONGEST_ESCAPE);
        let plain = long.iter().map(|secret| (*secret).to_owned()).collect();
        let (known, plain, broken) = (automaton(forms), automaton(plain), automaton(encoded));
        Self { known, plain, broken, longest_spaced, patterns: patterns::all() }
    }

    /// The text with each secret replaced by what says that one was there.
    pub(crate) fn redact(&self, text: &str) -> String {
        Self::replace(text, self.places(text))
    }

    /// The same for a whole text, in which a secret may also go on in the next line.
    pub(crate) fn redact_whole(&self, text: &str) -> String {
        let mut places = self.found(text);
        places.extend(within(decode::joined(text), self.broken.as_ref()));
        Self::replace(text, apart(places))
    }

    fn replace(text: &str, found: Vec<Place>) -> String {
        if found.is_empty() {
            return text.to_owned();
        }
        let mut clean = String::with_capacity(text.len());
        let mut from = 0;
        for (place, kind) in found {
            clean.push_str(&text[from..place.start]);
            let hash = Sha256::digest(&text.as_bytes()[place.clone()]);
            // Writing to a string does not fail.
            let _ = write!(clean, "[REDACTED:{kind}:{:02x}{:02x}{:02x}{:02x}]", hash[0], hash[1], hash[2], hash[3]);
            from = place.end;
        }
        clean.push_str(&text[from..]);
        clean
    }

    /// Returns the first secret of a text, also behind one layer of escapes, percent-encoding, or base64.
    pub(crate) fn find(&self, text: &str) -> Option<Found> {
        let found = |text: &str| self.places(text).first().map(|(_, kind)| Found { kind });
        found(text).or_else(|| decode::readings(text).iter().find_map(|text| found(&characters::clean(text))))
    }

    /// The longest form of a known secret that does not end with its first word, each character escaped, in bytes.
    pub(crate) fn longest_spaced(&self) -> usize {
        self.longest_spaced
    }

    /// Where secrets stand, in order, none over another. None of them goes on in the next line, unless it has a line break itself.
    pub(crate) fn places(&self, text: &str) -> Vec<Place> {
        apart(self.found(text))
    }

    fn found(&self, text: &str) -> Vec<Place> {
        let known = self.known.iter().flat_map(|known| known.find_iter(text)).map(|found| (found.range(), KNOWN));
        let mut places: Vec<_> = known.collect();
        for reading in [decode::unescaped(text), decode::percent_decoded(text)] {
            places.extend(within(reading, self.plain.as_ref()));
        }
        for Pattern { kind, regex } in self.patterns {
            places.extend(regex.find_iter(text).map(|found| (found.range(), *kind)));
        }
        places
    }
}

fn automaton(mut forms: Vec<String>) -> Option<AhoCorasick> {
    forms.sort_unstable();
    forms.dedup();
    let build = || AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms).ok();
    (!forms.is_empty()).then(build).flatten()
}

/// Where in the text known secrets stand by this reading of it.
fn within(reading: Option<Reading>, known: Option<&AhoCorasick>) -> Vec<Place> {
    let (Some(reading), Some(known)) = (reading, known) else { return Vec::new() };
    let found = known.find_iter(&reading.bytes).filter_map(|found| reading.source(found.range()));
    found.map(|range| (range, KNOWN)).collect()
}

/// Of two that overlap the one that begins first stays, and takes in what the other has more.
fn apart(mut places: Vec<Place>) -> Vec<Place> {
    places.sort_by_key(|(place, _)| (place.start, std::cmp::Reverse(place.end)));
    let mut apart: Vec<Place> = Vec::new();
    for (place, kind) in places {
        match apart.last_mut() {
            Some((last, _)) if place.start < last.end => last.end = last.end.max(place.end),
            _ => apart.push((place, kind)),
        }
    }
    apart
}

/// A secret as it stands, as it is after cleaning, reversed, as JSON writes it, and percent-encoded.
fn forms(secret: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(secret).to_string();
    let json = quoted.trim_matches('"').to_owned();
    let mut forms = vec![secret.to_owned(), percent(secret), secret.chars().rev().collect(), json];
    let seen = characters::clean(secret);
    if seen.len() >= SHORTEST {
        forms.push(seen);
    }
    forms
}

/// A secret in hexadecimal, and in base64 wherever it may begin within a longer text.
fn encoded(secret: &str) -> Vec<String> {
    let (mut lower, mut upper) = (String::new(), String::new());
    for byte in secret.bytes() {
        let _ = write!(lower, "{byte:02x}");
        let _ = write!(upper, "{byte:02X}");
    }
    let mut forms = vec![lower, upper];
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(secret.as_bytes());
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let text = engine.encode(&bytes);
            // The first and the last characters depend on the neighbours as well.
            let first = (before * 8).div_ceil(6);
            let whole = bytes.len() * 8 / 6;
            forms.push(text[first..whole].to_owned());
        }
    }
    forms
}

fn percent(secret: &str) -> String {
    let mut encoded = String::new();
    for byte in secret.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::STANDARD;

    const SECRET: &str = "hunter2/and+more=";

    fn secrets() -> Secrets {
        Secrets::new(&[SecretString::from(SECRET), SecretString::from("short")])
    }

    #[test]
    fn a_known_secret_is_found_in_the_forms_in_which_it_travels() {
        let secrets = secrets();
        for before in ["", "x", "xy", "xyz"] {
            let text = STANDARD.encode(format!("{before}{SECRET}tail"));
            assert!(secrets.redact(&text).contains("[REDACTED:secret:"), "{text}");
        }
        let hex = "68756e746572322f616e642b6d6f72653d";
        let texts = [SECRET.to_owned(), format!("a={SECRET}&b"), percent(SECRET), hex.to_owned(), hex.to_uppercase()];
        for text in texts {
            let clean = secrets.redact(&text);
            assert!(clean.contains("[REDACTED:secret:") && !clean.contains("hunter2"), "{clean}");
        }
        assert_eq!(secrets.redact("a short text"), "a short text");
    }

    /// Covers: S2-4
    #[test]
    fn known_secret_is_found_across_lines_and_in_any_escape() {
        let secrets = secrets();
        let long = STANDARD.encode(format!("NAME=value\nTOKEN={SECRET}\nOTHER=x"));
        let hex = "68756e746572322f616e642b6d6f72653d";
        let wrapped = |text: &str, width: usize, end: &str| {
            let chars: Vec<char> = text.chars().collect();
            chars.chunks(width).map(|line| line.iter().collect::<String>()).collect::<Vec<_>>().join(end)
        };
        for width in [4, 7, 19, 30] {
            for end in ["\n", "\r\n", "\n  ", "\\n"] {
                for text in [wrapped(&long, width, end), wrapped(hex, width, end)] {
                    let clean = secrets.redact_whole(&text);
                    assert!(clean.contains("[REDACTED:secret:"), "{text:?}");
                }
            }
        }
        for separator in [" ", ":"] {
            let text = format!("é {} x", wrapped(hex, 2, separator));
            assert!(secrets.redact_whole(&text).starts_with("é [REDACTED:secret:"), "{text}");
        }
        for text in [
            "hunter2%2fand%2bmore%3d",
            "hunter2/and%2Bmore=",
            "%68unter2/and+more=",
            r"hunter2\/and+more=",
            r"\u0068unter2/and\u002bmore=",
        ] {
            let clean = secrets.redact(&format!("%é {text} é\\"));
            assert!(clean.starts_with("%é [REDACTED:secret:") && clean.ends_with("] é\\"), "{clean}");
        }
        assert_eq!(secrets.redact_whole("100% of a\\b: c\n"), "100% of a\\b: c\n");
    }

    #[test]
    fn what_overlaps_is_replaced_as_a_whole() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let secrets = Secrets::new(&[SecretString::from(format!("{token}-tail"))]);
        assert_eq!(secrets.places(&format!("x {token}-tail y")), [(2..47, KNOWN)]);
        assert_eq!(secrets.find(&token), Some(Found { kind: "github_token" }));
        assert_eq!(secrets.find("nothing"), None);
    }
}
