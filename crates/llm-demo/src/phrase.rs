//! Reading a sentence from its front, without regard to case. Every function works on the bytes between two
//! character boundaries, whatever the script of the text is.

/// What follows `phrase`, where `input` begins with it and the word ends there: `a` is not the front of `a.txt`.
pub(crate) fn after<'a>(input: &'a str, phrase: &str) -> Option<&'a str> {
    let head = input.get(..phrase.len())?;
    let rest = &input[phrase.len()..];
    let mut next = rest.chars();
    let ends = match next.next() {
        Some('.') => next.next().is_none_or(char::is_whitespace),
        Some(c) => !(c.is_alphanumeric() || matches!(c, '_' | '-' | '/')),
        None => true,
    };
    (head.eq_ignore_ascii_case(phrase) && ends).then(|| rest.trim_start())
}

/// What follows the first of `phrases` that `input` begins with.
pub(crate) fn after_any<'a>(input: &'a str, phrases: &[&str]) -> Option<&'a str> {
    phrases.iter().find_map(|phrase| after(input, phrase))
}

/// What follows all of `phrases` at the front of `input`, and the punctuation between them. A word before a colon is
/// never skipped: it is what the text after the colon is for.
pub(crate) fn skip<'a>(input: &'a str, phrases: &[&str]) -> &'a str {
    let mut rest = input.trim_start();
    while let Some(next) = after_any(rest, phrases).filter(|next| !next.starts_with(':')) {
        rest = next.trim_start_matches([',', '!']).trim_start();
    }
    rest
}

/// A text in quotation marks or backticks, and what follows it.
pub(crate) fn quoted(input: &str) -> Option<(&str, &str)> {
    const FENCE: &str = "```";
    if let Some(block) = input.strip_prefix(FENCE) {
        let (body, rest) = block.split_once(FENCE)?;
        // The word after an opening fence names a language.
        let body = body.split_once('\n').map_or(body, |(_, code)| code);
        return Some((body.trim_end_matches('\n'), rest.trim_start()));
    }
    let open = input.chars().next()?;
    let close = match open {
        '\'' | '"' | '`' => open,
        '\u{201c}' => '\u{201d}',
        '\u{2018}' => '\u{2019}',
        '\u{ab}' => '\u{bb}',
        _ => return None,
    };
    let (body, rest) = input[open.len_utf8()..].split_once(close)?;
    Some((body, rest.trim_start()))
}

/// A file's name or the like: quoted, or a word without the punctuation after it.
pub(crate) fn operand(input: &str) -> Option<(&str, &str)> {
    if let Some((body, rest)) = quoted(input) {
        return (!body.is_empty()).then_some((body, rest));
    }
    let end = input.find(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | ':')).unwrap_or(input.len());
    let word = &input[..end];
    let name = word.trim_end_matches(['.', '?', '!']);
    let name = if name.is_empty() { word.trim_end_matches(['?', '!']) } else { name };
    (!name.is_empty()).then(|| (name, input[end..].trim_start()))
}

/// Whether a word is more likely a file's name than an English word.
pub(crate) fn is_path_like(word: &str) -> bool {
    word.contains(['.', '/'])
}

/// The words of a text, in lower case.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect()
}

/// A number in digits or, up to twelve, in letters.
pub(crate) fn number(word: &str) -> Option<usize> {
    const NAMES: [&str; 13] =
        ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    word.parse().ok().or_else(|| NAMES.iter().position(|name| *name == word))
}
