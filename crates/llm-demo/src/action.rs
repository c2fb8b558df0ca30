//! The sentences that ask for one call of a tool.

use crate::phrase::{after, after_any, is_path_like, operand, quoted, skip};
use serde_json::{Value, json};

/// What a sentence asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    List { path: String },
    Read { path: String },
    Write { path: String, content: String },
    Run { command: String },
    Call { name: String, args: Value },
}

const LEAD_INS: &[&str] = &[
    "please",
    "can you",
    "could you",
    "would you",
    "will you",
    "i want you to",
    "i would like you to",
    "let us",
    "let's",
    "go ahead and",
    "now",
    "also",
    "first",
    "next",
    "finally",
    "just",
    "hey",
    "hi",
    "hello",
    "ok",
    "okay",
    "yes",
    "both",
];
const LIST: &[&str] = &["list", "ls"];
const FILES_THERE: &[&str] = &[
    "show me the files",
    "show me all files",
    "show the files",
    "show files",
    "show all files",
    "what files are there",
    "which files are there",
    "what files are",
    "which files are",
    "what files do you see",
    "what is here",
];
const READ: &[&str] = &["read", "cat"];
const SHOW: &[&str] = &["show", "open", "print", "display", "what is in", "what's in", "what\u{2019}s in", "view"];
const WRITE: &[&str] = &["write", "save"];
const CREATE: &[&str] = &["create", "make", "add", "touch"];
const RUN: &[&str] = &["run", "execute", "exec"];
const TOGETHER: &[&str] =
    &["at once", "in parallel", "at the same time", "in one step", "together", "simultaneously", "concurrently"];
/// How many bytes after a word show whether another action begins there.
const LOOK_AHEAD: usize = 64;
const JOINS: &[&str] = &["and", "then", "also", "&"];

/// The sentence's first action and the text that follows it.
pub(crate) fn first_action(input: &str) -> Option<(Action, &str)> {
    let input = skip_lead_ins(input);
    list(input)
        .or_else(|| read(input))
        .or_else(|| after_any(input, WRITE).and_then(|rest| write(rest, false)))
        .or_else(|| after_any(input, CREATE).and_then(|rest| write(rest, true)))
        .or_else(|| after_any(input, RUN).and_then(run))
        .or_else(|| input.strip_prefix("$ ").and_then(run))
        .or_else(|| after(input, "call").and_then(call))
}

/// What follows the words that join two actions.
pub(crate) fn skip_joins(input: &str) -> &str {
    skip(input.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';' | '.')), JOINS)
}

/// What follows the words that say that several things are to happen at once, if it begins with them.
pub(crate) fn after_together(input: &str) -> Option<&str> {
    after_any(skip_lead_ins(input), TOGETHER).map(|rest| rest.trim_start_matches([',', ':']).trim_start())
}

fn skip_lead_ins(input: &str) -> &str {
    skip(input, LEAD_INS)
}

fn list(input: &str) -> Option<(Action, &str)> {
    const FILES: &[&str] = &["files", "file", "contents", "content", "directory", "folder", "workspace", "everything"];
    const FILLERS: &[&str] = &["me", "all", "the", "my", "of", "here", "there"];
    let short = after(input, "ls");
    let clear = short.or_else(|| after_any(input, FILES_THERE));
    let said = skip(clear.or_else(|| after_any(input, LIST))?, FILLERS);
    let rest = skip(said, FILES);
    let clear = clear.is_some() || rest.len() < said.len() || rest.is_empty();
    let rest = skip(rest, &["here", "there", "please", "now"]);
    match folder(rest, short.is_some()) {
        Some((path, rest)) => Some((Action::List { path: path.to_owned() }, rest)),
        None => clear.then(|| (Action::List { path: ".".to_owned() }, rest)),
    }
}

fn folder(input: &str, any_word: bool) -> Option<(&str, &str)> {
    if after_together(input).is_some() || after_any(input, JOINS).is_some() {
        return None;
    }
    let placed = after_any(input, &["in", "of", "under", "inside", "from", "at", "within"]);
    let rest = skip(placed.unwrap_or(input), &["the", "this", "my", "folder", "directory"]);
    let sure = placed.is_some() || any_word || quoted(rest).is_some();
    let (path, rest) = operand(rest)?;
    let named = match path.to_ascii_lowercase().as_str() {
        "workspace" | "sandbox" | "here" => ".",
        _ => path,
    };
    let ends = rest.is_empty() || after_any(rest, JOINS).is_some();
    (sure || ends || is_path_like(path)).then_some((named, rest))
}

fn read(input: &str) -> Option<(Action, &str)> {
    const FILLERS: &[&str] = &["me", "us", "the", "my", "contents", "content", "of", "file", "called", "named", "in"];
    const NO_FILE: &[&str] = &["a", "an", "some", "something", "this", "that", "it", "more", "and", "then", "back"];
    let (rest, any_word) = match after_any(input, READ) {
        Some(rest) => (rest, true),
        None => (after_any(input, SHOW)?, false),
    };
    let rest = skip(rest, FILLERS);
    let is_quoted = quoted(rest).is_some();
    if !is_quoted && after_any(rest, NO_FILE).is_some() {
        return None;
    }
    let (path, rest) = operand(rest)?;
    (any_word || is_quoted || is_path_like(path)).then(|| (Action::Read { path: path.to_owned() }, rest))
}

fn write(input: &str, creates: bool) -> Option<(Action, &str)> {
    const FILLERS: &[&str] = &["to", "a", "an", "the", "new", "empty", "me", "called", "named", "into"];
    let to_file = |path: &str, content: &str| Action::Write { path: path.to_owned(), content: content.to_owned() };
    let before = skip(input, FILLERS);
    let rest = skip(skip(before, &["file"]), FILLERS);
    let says_file = rest.len() < before.len();
    let (first, tail) = operand(rest)?;
    if let Some(text) = tail.strip_prefix(':') {
        return Some((to_file(first, literal(text)), ""));
    }
    let target = after_any(tail, &["to", "into", "in", "as"]).filter(|_| quoted(rest).is_some());
    if let Some((path, rest)) = target.and_then(|t| operand(skip(t, &["a", "the", "new", "file", "called", "named"]))) {
        return Some((to_file(path, first), rest));
    }
    if let Some(text) = after_any(tail, &["with", "containing", "that says", "saying", "holding"]) {
        let text = skip(text, &["the", "text", "content", "contents", "words"]);
        let text = text.strip_prefix(':').unwrap_or(text).trim_start();
        return Some(match quoted(text) {
            Some((content, rest)) => (to_file(first, content), rest),
            None => (to_file(first, text.trim_end()), ""),
        });
    }
    if let Some((text, path)) = rest.rsplit_once(" to ").or_else(|| rest.rsplit_once(" into ")) {
        let (path, rest) = operand(skip(path, &["the", "file"]))?;
        return is_path_like(path).then(|| (to_file(path, text.trim()), rest));
    }
    (creates && (says_file || is_path_like(first))).then(|| (to_file(first, ""), tail))
}

/// Text up to the end, without the quotation marks around all of it.
fn literal(text: &str) -> &str {
    let text = text.trim();
    match quoted(text) {
        Some((body, "")) => body,
        _ => text,
    }
}

fn run(input: &str) -> Option<(Action, &str)> {
    let input = skip(input, &["the", "this", "following", "shell", "command"]);
    let input = after(input, "command").unwrap_or(input);
    let input = input.strip_prefix(':').unwrap_or(input).trim_start();
    let (command, rest) = match quoted(input) {
        Some((command, rest)) if input.starts_with('`') || rest.is_empty() => (command, rest),
        _ => bare_command(input),
    };
    (!command.trim().is_empty()).then(|| (Action::Run { command: command.to_owned() }, rest))
}

/// A command without backticks: up to a word that joins it with another action, or the end.
fn bare_command(input: &str) -> (&str, &str) {
    let begins_action = |rest: &str| {
        let rest = skip_lead_ins(skip_joins(rest));
        let verbs = [LIST, READ, SHOW, WRITE, CREATE, RUN, &["call"]];
        verbs.iter().any(|verbs| after_any(rest, verbs).is_some())
    };
    let joins =
        |rest: &str| after_together(rest).is_some() || (after_any(rest, JOINS).is_some() && begins_action(rest));
    // A look ahead of bounded length keeps a huge command from costing the square of its length.
    let ahead = |from: usize| &input[from..input.floor_char_boundary(from + LOOK_AHEAD)];
    let mut starts = input.match_indices(char::is_whitespace).map(|(at, space)| (at, at + space.len()));
    let cut = starts.find(|(_, word)| joins(ahead(*word))).map_or(input.len(), |(at, _)| at);
    let command = input[..cut].trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ',' | ';'));
    let sentence = command.strip_suffix('.').filter(|c| c.ends_with(char::is_alphanumeric));
    (sentence.unwrap_or(command), &input[cut..])
}

fn call(input: &str) -> Option<(Action, &str)> {
    let input = skip(input, &["the tool", "tool"]);
    let unquoted = quoted(input);
    let end = input.find(|c: char| c.is_whitespace() || c == '{').unwrap_or(input.len());
    let (name, rest) = unquoted.unwrap_or_else(|| (&input[..end], input[end..].trim_start()));
    let rest = skip(rest, &["with", "arguments", "args"]);
    if name.is_empty() {
        return None;
    }
    let asked = |args: Value| Action::Call { name: name.to_owned(), args };
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
    match values.next() {
        Some(Ok(args)) => Some((asked(args), rest[values.byte_offset()..].trim_start())),
        // As a model that writes broken JSON.
        Some(Err(_)) if rest.starts_with(['{', '[', '"']) => Some((asked(json!(rest)), "")),
        Some(Err(_)) if after_together(rest).is_none() && after_any(rest, JOINS).is_none() => None,
        _ => Some((asked(json!({})), rest)),
    }
}
