//! JSON as editors write it: with comments, and with commas behind the last item.

/// The same text with comments and such commas blanked out, so that every byte keeps its place.
pub(super) fn strict(text: &str) -> String {
    let mut strict: Vec<u8> = text.as_bytes().to_vec();
    let mut at = 0;
    // Where a comma stands that may turn out to be the last one.
    let mut comma = None;
    while at < strict.len() {
        let end = match &text.as_bytes()[at..] {
            [b'"', ..] => end_of_string(text, at),
            [b'/', b'/', ..] => blank(&mut strict, at, text[at..].find('\n').map_or(text.len(), |length| at + length)),
            [b'/', b'*', ..] => {
                blank(&mut strict, at, text[at..].find("*/").map_or(text.len(), |length| at + length + 2))
            }
            _ => at + 1,
        };
        match (strict[at], comma) {
            (b',', _) => comma = Some(at),
            (b']' | b'}', Some(last)) => strict[last] = b' ',
            _ => {}
        }
        if !strict[at].is_ascii_whitespace() && strict[at] != b',' {
            comma = None;
        }
        at = end;
    }
    // Only whole characters were replaced, each byte by a space.
    String::from_utf8(strict).unwrap_or_else(|_| text.to_owned())
}

/// Where the string ends that begins at `at`.
fn end_of_string(text: &str, at: usize) -> usize {
    let mut is_escaped = false;
    for (offset, byte) in text.bytes().enumerate().skip(at + 1) {
        match byte {
            b'"' if !is_escaped => return offset + 1,
            b'\\' => is_escaped = !is_escaped,
            _ => is_escaped = false,
        }
    }
    text.len()
}

fn blank(text: &mut [u8], from: usize, to: usize) -> usize {
    text[from..to].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_last_commas_go_and_nothing_moves() {
        let cases = [
            (r#"{"a": 1}"#, r#"{"a": 1}"#),
            ("{\"a\": [1, 2,], // é\n}", "{\"a\": [1, 2 ]       \n}"),
            (r#"{"a": "//,]", /* , */ }"#, r#"{"a": "//,]"            }"#),
            (r#"{"a\"//": 1,}"#, r#"{"a\"//": 1 }"#),
            ("{\"a\": 1, // last\n}", "{\"a\": 1         \n}"),
            ("[1,,2]", "[1,,2]"),
            ("/* open", "       "),
            ("\"open", "\"open"),
        ];
        for (text, expected) in cases {
            let found = strict(text);
            assert_eq!(found.replace(' ', ""), expected.replace(' ', ""), "{text}");
            assert_eq!(found.len(), text.len());
        }
    }
}
