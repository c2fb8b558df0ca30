//! What can be told of a message that is too long, too deep or too broken to be parsed.

/// What a message is, by its beginning.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// An answer to this request.
    Answer(i64),
    /// A request or a notification.
    Method,
    /// It cannot be told.
    Unknown,
}

/// Whether arrays and objects are nested deeper than `max`. Brackets within strings do not count.
pub(crate) fn is_deeper_than(message: &[u8], max: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in message {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Reads the members of the outermost object until one tells what the message is.
pub(crate) fn peek(beginning: &[u8]) -> Head {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(byte) = beginning.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                let Some(end) = string_end(beginning, at) else { return Head::Unknown };
                let text = &beginning[at + 1..end];
                at = end + 1;
                let rest = beginning[at..].trim_ascii_start();
                if depth == 1
                    && let Some(value) = rest.strip_prefix(b":")
                {
                    match text {
                        b"method" => return Head::Method,
                        b"id" => return id(value.trim_ascii_start()).map_or(Head::Unknown, Head::Answer),
                        _ => {}
                    }
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    Head::Unknown
}

/// Reads the members of the outermost object from its end backwards until one tells what the message is. Some SDKs write
/// `id` after `result`, where only the end of a giant message shows it.
pub(crate) fn peek_back(end: &[u8]) -> Head {
    let Some(mut rest) = end.trim_ascii_end().strip_suffix(b"}") else { return Head::Unknown };
    loop {
        let Some((before, value)) = split_value(rest.trim_ascii_end()) else { return Head::Unknown };
        let Some(before) = before.trim_ascii_end().strip_suffix(b":") else { return Head::Unknown };
        let before = before.trim_ascii_end();
        let Some(start) = string_start(before) else { return Head::Unknown };
        match &before[start + 1..before.len() - 1] {
            b"method" => return Head::Method,
            b"id" => return whole_id(value).map_or(Head::Unknown, Head::Answer),
            _ => {}
        }
        let Some(earlier) = before[..start].trim_ascii_end().strip_suffix(b",") else { return Head::Unknown };
        rest = earlier;
    }
}

/// Splits the JSON value off with which `text` ends. `None` where it begins before `text`.
fn split_value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = match text.last()? {
        b'"' => string_start(text)?,
        b'}' | b']' => nested_start(text)?,
        _ => text.iter().rposition(|byte| !is_scalar(*byte)).map(|at| at + 1)?,
    };
    Some((&text[..start], &text[start..]))
}

const fn is_scalar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')
}

/// Where the string begins with which `text` ends. A quote within a string has an odd number of backslashes before it.
fn string_start(text: &[u8]) -> Option<usize> {
    let text = text.strip_suffix(b"\"")?;
    let quotes = text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'"');
    let is_opening = |at: usize| text[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 0;
    quotes.map(|(at, _)| at).find(|at| is_opening(*at))
}

/// Where the array or object begins with which `text` ends.
fn nested_start(text: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0_usize, text.len());
    while at > 0 {
        at -= 1;
        match text[at] {
            b'}' | b']' => depth += 1,
            b'{' | b'[' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            b'"' => at = string_start(&text[..=at])?,
            _ => {}
        }
    }
    None
}

/// The id that is the whole of `value`.
fn whole_id(value: &[u8]) -> Option<i64> {
    let value = value.strip_prefix(b"\"").map_or(Some(value), |value| value.strip_suffix(b"\""))?;
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Where the string that begins at `start` ends.
fn string_end(text: &[u8], start: usize) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.iter().enumerate().skip(start + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at),
            _ => {}
        }
    }
    None
}

fn id(value: &[u8]) -> Option<i64> {
    let value = value.strip_prefix(b"\"").unwrap_or(value);
    let end = value.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&value[..end]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_are_not_nesting() {
        assert!(!is_deeper_than(br#"{"a":"[[[[\"[[["}"#, 2));
        assert!(is_deeper_than(b"[[[", 2));
        assert!(!is_deeper_than(b"[[],[],[]]", 2));
    }

    #[test]
    fn the_id_of_an_answer_is_found_at_its_beginning() {
        for (beginning, expected) in [
            (r#"{"jsonrpc":"2.0","id":17,"result":{"content":"AAAA"#, Head::Answer(17)),
            (r#" { "id" : "17" , "res"#, Head::Answer(17)),
            (r#"{"result":{"id":3,"x":["id",{"id":4}]},"id":5,"#, Head::Answer(5)),
            (r#"{"result":{"content":[{"text":"\",\"id\":9,"#, Head::Unknown),
            (r#"{"jsonrpc":"2.0","method":"notifications/message","id"#, Head::Method),
            (r#"{"id":1"#, Head::Unknown),
            (r#"{"id":null,"#, Head::Unknown),
            ("AAAAAAA", Head::Unknown),
            (r#"[{"id":1,"#, Head::Unknown),
        ] {
            assert_eq!(peek(beginning.as_bytes()), expected, "{beginning}");
        }
    }

    #[test]
    fn the_id_of_an_answer_is_found_at_its_end() {
        for (end, expected) in [
            (r#"AAAA"}]},"jsonrpc":"2.0","id":5}"#, Head::Answer(5)),
            ("AAA\"}]} , \"jsonrpc\" : \"2.0\" , \"id\" : \"17\" } \r", Head::Answer(17)),
            (r#"AAAA"}]},"id":5,"_meta":{"a":[1,{"id":7}],"b":"\"}"}}"#, Head::Answer(5)),
            (r#"AAAA","id":9}}"#, Head::Unknown),
            (r#"A\",\"id\":9}"}]},"id":3}"#, Head::Answer(3)),
            (r#""AAAA"},"method":"notifications/message"}"#, Head::Method),
            (r#"AAAA"}]},"id":null}"#, Head::Unknown),
            (r#"AAAA"}]},"id":5"#, Head::Unknown),
            ("AAAAAAA", Head::Unknown),
            ("}", Head::Unknown),
            (r#":"}"#, Head::Unknown),
            ("", Head::Unknown),
        ] {
            assert_eq!(peek_back(end.as_bytes()), expected, "{end}");
        }
    }
}
