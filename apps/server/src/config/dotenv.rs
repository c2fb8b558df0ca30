//! The `.env` file: lines of `NAME=value`, as shells and container tools write them, without anything that is evaluated.

use std::collections::BTreeMap;

/// A variable of the file and the line that sets it, from 1.
pub(crate) type Variables = BTreeMap<String, (String, usize)>;

/// What a line does wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BadLine {
    pub(crate) line: usize,
    pub(crate) what: &'static str,
}

/// The variables of a `.env` file, and the lines that are none. A later line wins over an earlier one.
///
/// `export` in front is allowed. A value is bare (up to a ` #`), in single quotes (as it stands) or in double quotes
/// (with `\n`, `\t`, `\r`, `\"`, `\\` and `\$`).
pub(crate) fn parse(text: &str) -> (Variables, Vec<BadLine>) {
    let mut variables = Variables::new();
    let mut bad = Vec::new();
    for (line, text) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        match variable(text) {
            Ok((name, value)) => {
                variables.insert(name.to_owned(), (value, line));
            }
            Err(what) => bad.push(BadLine { line, what }),
        }
    }
    (variables, bad)
}

fn variable(text: &str) -> Result<(&str, String), &'static str> {
    let text = text.strip_prefix("export ").unwrap_or(text);
    let (name, value) = text.split_once('=').ok_or("the line has no `=`")?;
    let name = name.trim();
    let first = name.chars().next().ok_or("the line has no name before the `=`")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if first.is_ascii_digit() || !name.chars().all(fits) {
        return Err("a variable's name has letters, digits and underscores, and no digit first");
    }
    Ok((name, self::value(value.trim())?))
}

fn value(text: &str) -> Result<String, &'static str> {
    let (value, rest) = match text.chars().next() {
        Some('\'') => {
            let (value, rest) = text[1..].split_once('\'').ok_or("the single quote is not closed on its line")?;
            (value.to_owned(), rest)
        }
        Some('"') => double_quoted(&text[1..])?,
        Some('#') => (String::new(), ""),
        _ => {
            let end = text.find(" #").or_else(|| text.find("\t#")).unwrap_or(text.len());
            (text[..end].trim_end().to_owned(), "")
        }
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') { Ok(value) } else { Err("something follows the closing quote") }
}

fn double_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match chars.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, 't')) => value.push('\t'),
                Some((_, 'r')) => value.push('\r'),
                Some((_, c @ ('"' | '\\' | '$'))) => value.push(c),
                _ => return Err("a `\\` in double quotes stands before n, t, r, \", \\ or $"),
            },
            c => value.push(c),
        }
    }
    Err("the double quote is not closed on its line")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str, usize)]) {
        let (variables, bad) = parse(text);
        assert_eq!(bad, []);
        let found: Vec<_> =
            variables.iter().map(|(name, (value, line))| (name.as_str(), value.as_str(), *line)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn values_are_bare_or_quoted() {
        check("A=1\n\n# note\n B = two words \nexport C=3", &[("A", "1", 1), ("B", "two words", 4), ("C", "3", 5)]);
        check("A='x $B \\n'#c\nB=\"a\\n\\\"b\\\"\" # c", &[("A", "x $B \\n", 1), ("B", "a\n\"b\"", 2)]);
        check(
            "A=a#b\nB=a #b\nC=\nD=#x\nE=a=b",
            &[("A", "a#b", 1), ("B", "a", 2), ("C", "", 3), ("D", "", 4), ("E", "a=b", 5)],
        );
        check("\u{feff}A=1\r\nA=2\r\n", &[("A", "2", 2)]);
    }

    #[test]
    fn what_is_no_variable_is_named_with_its_line() {
        let text = "A=1\nnothing\n=x\n1A=x\nB='x\nC=\"x\nD='x' y\nE=\"\\q\"\nA B=1";
        let (variables, bad) = parse(text);
        assert_eq!(variables.len(), 1);
        assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7, 8, 9]);
    }
}
