//! How answers show commands, results and errors.

use crate::history::Done;
use lockkeeper_domain::{Code, Content, KnownContent, Outcome, ToolResult};

/// The most lines of one result that are quoted.
const MAX_LINES: usize = 40;
/// The most bytes of a command or a name inside a sentence.
const MAX_INLINE: usize = 80;

/// `text` as code inside a sentence: one line, and short.
pub(crate) fn inline(text: &str) -> String {
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    let end = line.floor_char_boundary(MAX_INLINE);
    let more = if end < text.len() { "\u{2026}" } else { "" };
    let code = &line[..end];
    let ticks = "`".repeat(longest_run(code) + 1);
    let space = if code.starts_with('`') || code.ends_with('`') || code.is_empty() { " " } else { "" };
    format!("{ticks}{space}{code}{more}{space}{ticks}")
}

/// What a call came to, in words: its result in a code block of at most `max_bytes`, or why there is none.
pub(crate) fn outcome(done: &Done, max_bytes: usize) -> String {
    let said = block(&said(done.result), max_bytes);
    let name = inline(done.call.name.as_str());
    match done.result.outcome {
        Outcome::Succeeded if said.is_empty() => format!("{} It said nothing.", headline(done)),
        Outcome::Succeeded => format!("{}\n\n{said}", headline(done)),
        Outcome::Failed(code) => {
            let what = match code {
                Code::Denied => format!("I was not allowed to call {name}, so I left it. The reason that I was given:"),
                Code::ApprovalExpired => {
                    format!("Nobody answered in time whether I may call {name}, so it did not run:")
                }
                Code::Cancelled => format!("The call of {name} was cancelled:"),
                Code::UnknownTool => format!("There is no tool {name} in this session (`{code}`):"),
                _ => format!("The call of {name} failed (`{code}`). The error was:"),
            };
            if said.is_empty() { format!("{what} none.") } else { format!("{what}\n\n{said}") }
        }
    }
}

fn headline(done: &Done) -> String {
    let arg = |key: &str| done.call.args.get(key).and_then(|v| v.as_str()).map(inline);
    match (done.call.tool.as_str(), arg("path"), arg("command")) {
        ("list_files", Some(path), _) if path == "`.`" => "These files are in the workspace:".to_owned(),
        ("list_files", Some(path), _) => format!("These files are in {path}:"),
        ("read_file", Some(path), _) => format!("{path} holds:"),
        ("write_file", Some(path), _) => format!("{path} is written. The tool says:"),
        ("execute_command", _, Some(command)) => format!("I ran {command}. It gave:"),
        _ => format!("{} answered:", inline(done.call.name.as_str())),
    }
}

fn said(result: &ToolResult) -> String {
    let part = |content: &Content| match content {
        Content::Known(KnownContent::Text { text }) => text.clone(),
        Content::Known(KnownContent::Image { data, mime_type }) => {
            format!("[an image, {mime_type}, about {} bytes]", data.len() / 4 * 3)
        }
        Content::Other(value) => {
            let kind = value.get("type").and_then(|t| t.as_str()).unwrap_or("something");
            format!("[{kind}]")
        }
    };
    match (&result.structured, result.content.is_empty()) {
        (Some(structured), true) => format!("{structured:#}"),
        _ => result.content.iter().map(part).collect::<Vec<_>>().join("\n"),
    }
}

/// `text` in a fence that nothing in it can close; nothing where there is no text.
fn block(text: &str, max_bytes: usize) -> String {
    let text = text.trim_end();
    if text.trim().is_empty() {
        return String::new();
    }
    let lines_end = text.match_indices('\n').nth(MAX_LINES - 1).map_or(text.len(), |(at, _)| at);
    let shown = &text[..lines_end.min(text.floor_char_boundary(max_bytes))];
    let fence = "`".repeat(longest_run(shown).max(2) + 1);
    let left = text.len() - shown.len();
    let more = if left == 0 { String::new() } else { format!("\n\n({left} more bytes are not shown.)") };
    format!("{fence}\n{shown}\n{fence}{more}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}
