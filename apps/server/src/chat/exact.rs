//! JSON text laid out for people without being parsed, so that every number stays as it was written.

/// The text with a member or an item on each line. What is no JSON comes out in some form, with nothing left out of it.
pub(super) fn laid_out(json: &str) -> String {
    let (mut out, mut depth, mut in_string, mut escaped) = (String::with_capacity(json.len()), 0_usize, false, false);
    let mut rest = json.chars().peekable();
    while let Some(c) = rest.next() {
        if in_string {
            out.push(c);
            (in_string, escaped) = (escaped || c != '"', c == '\\' && !escaped);
            continue;
        }
        match c {
            '"' => {
                in_string = true;
                out.push(c);
            }
            '{' | '[' if matches!(rest.peek(), Some('}' | ']')) => out.push(c),
            '{' | '[' => {
                depth += 1;
                out.push(c);
                new_line(&mut out, depth);
            }
            '}' | ']' if out.ends_with(['{', '[']) => out.push(c),
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

fn new_line(out: &mut String, depth: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Covers: S3 numbers
    #[test]
    fn numbers_stay_as_written() {
        let text = r#"{"id":1234567890123456789,"x":[1.50,-0,1e5],"s":"a\"{,:\\","e":{},"n":[]}"#;
        let expected = "{\n  \"id\": 1234567890123456789,\n  \"x\": [\n    1.50,\n    -0,\n    1e5\n  ],\n  \
            \"s\": \"a\\\"{,:\\\\\",\n  \"e\": {},\n  \"n\": []\n}";
        assert_eq!(laid_out(text), expected);
        let value = json!({"a": [1, {"b": "c d"}], "e": {}, "l": [[]], "t": true});
        assert_eq!(laid_out(&value.to_string()), serde_json::to_string_pretty(&value).expect("JSON"));
        assert_eq!(serde_json::from_str::<Value>(&laid_out(text)).ok(), serde_json::from_str(text).ok());
    }
}
