//! A part of a text file, with a notice of what was left out.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
};

use crate::tool_error::ToolError;

const BUFFER_BYTES: usize = 64 * 1024;
/// A UTF-8 character has at most this many bytes after its first.
const MOST_CONTINUATION_BYTES: usize = 3;

type Part = Result<(String, Option<String>), ToolError>;

/// Lines from the 1-based `offset` on, at most `limit` of them and `most` bytes.
pub(super) fn lines(
    file: File,
    offset: Option<u64>,
    limit: Option<u64>,
    most: u64,
    cancelled: &dyn Fn() -> bool,
) -> io::Result<Part> {
    let first = offset.unwrap_or(1);
    if first == 0 || limit == Some(0) {
        return Ok(Err(ToolError::new("Lines count from 1, and limit must be at least 1.")));
    }
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let skipped = match skip_lines(&mut reader, first - 1, cancelled)? {
        Skipped::To(position) => position,
        Skipped::End { lines } if lines == 0 && first == 1 => 0,
        Skipped::End { lines } => {
            return Ok(Err(ToolError::new(format!("Offset {first} is past the end: the file has {lines} lines."))));
        }
        Skipped::Cancelled => return Ok(Err(ToolError::new("Cancelled."))),
    };

    let mut text = Vec::new();
    let mut shown = 0;
    while limit.is_none_or(|limit| shown < limit) {
        let before = text.len();
        let room = most - before as u64;
        if reader.by_ref().take(room + 1).read_until(b'\n', &mut text)? == 0 {
            break;
        }
        if text.len() as u64 > most {
            if shown > 0 {
                text.truncate(before);
                break;
            }
            text.pop();
            let cut = trim_end(&mut text);
            let next = skipped + cut;
            let notice = format!("[Line {first} is cut at {cut} bytes. Go on with unit \"bytes\", offset {next}.]");
            return Ok(Ok(decode(text, Some(notice))));
        }
        shown += 1;
    }
    // More is left if the last read gave a line back or the limit stopped it.
    let end = skipped + text.len() as u64;
    let size = reader.get_ref().metadata()?.len();
    let notice = if size == 0 {
        Some("[The file is empty.]".to_owned())
    } else {
        (end < size).then(|| {
            let next = first + shown;
            let last = next - 1;
            format!("[Lines {first} to {last}; the file goes on, {size} bytes in all. Next offset: {next}.]")
        })
    };
    Ok(Ok(decode(text, notice)))
}

/// Bytes from the 0-based `offset` on, at most `limit` of them and `most`,
/// less what would cut a character.
pub(super) fn bytes(mut file: File, size: u64, offset: Option<u64>, limit: Option<u64>, most: u64) -> io::Result<Part> {
    let offset = offset.unwrap_or(0);
    if limit == Some(0) {
        return Ok(Err(ToolError::new("limit must be at least 1.")));
    }
    if offset > 0 && offset >= size {
        return Ok(Err(ToolError::new(format!("Offset {offset} is past the end: the file has {size} bytes."))));
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut text = Vec::new();
    // A limit below the length of one character would never get past it.
    let wanted = limit.unwrap_or(most).min(most).max(1 + MOST_CONTINUATION_BYTES as u64);
    file.take(wanted).read_to_end(&mut text)?;
    let mut start = offset;
    if offset > 0 {
        let stray = text.iter().take(MOST_CONTINUATION_BYTES).take_while(|byte| is_continuation(**byte));
        let stray = stray.count();
        text.drain(..stray);
        start += stray as u64;
    }
    let mut end = start + text.len() as u64;
    if end < size {
        end = start + trim_end(&mut text);
    }
    let notice = if size == 0 {
        Some("[The file is empty.]".to_owned())
    } else {
        (end < size).then(|| format!("[Bytes {start} to {end} of {size}. Next offset: {end}.]"))
    };
    Ok(Ok(decode(text, notice)))
}

enum Skipped {
    /// The position, in bytes, of the wanted line.
    To(u64),
    End {
        lines: u64,
    },
    Cancelled,
}

fn skip_lines(reader: &mut BufReader<File>, wanted: u64, cancelled: &dyn Fn() -> bool) -> io::Result<Skipped> {
    let mut position = 0;
    let mut lines = 0;
    let mut inside_a_line = false;
    loop {
        if cancelled() {
            return Ok(Skipped::Cancelled);
        }
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(Skipped::End { lines: lines + u64::from(inside_a_line) });
        }
        if lines == wanted {
            return Ok(Skipped::To(position));
        }
        let newline = buffer.iter().position(|byte| *byte == b'\n');
        let used = newline.map_or(buffer.len(), |at| at + 1);
        lines += u64::from(newline.is_some());
        inside_a_line = newline.is_none();
        reader.consume(used);
        position += used as u64;
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Takes off a character that was cut at the end; returns the length left.
fn trim_end(text: &mut Vec<u8>) -> u64 {
    let tail = text.len().saturating_sub(1 + MOST_CONTINUATION_BYTES);
    let start = (tail..text.len()).rev().find(|at| !is_continuation(text[*at]));
    if let Some(start) = start
        && str::from_utf8(&text[start..]).is_err_and(|error| error.error_len().is_none())
    {
        text.truncate(start);
    }
    text.len() as u64
}

fn decode(text: Vec<u8>, notice: Option<String>) -> (String, Option<String>) {
    match String::from_utf8(text) {
        Ok(text) => (text, notice),
        Err(error) => {
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            let replaced = "[Bytes that are not UTF-8 are shown as U+FFFD.]";
            let notice = notice.map_or(replaced.to_owned(), |notice| format!("{notice} {replaced}"));
            (text, Some(notice))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().expect("a temporary file");
        file.write_all(content).expect("written");
        file.rewind().expect("rewound");
        file
    }

    fn check_lines(content: &str, offset: u64, limit: Option<u64>, most: u64, expected: &str) {
        let part = lines(file(content.as_bytes()), Some(offset), limit, most, &|| false);
        check(part, expected);
    }

    fn check_bytes(content: &str, offset: u64, limit: Option<u64>, most: u64, expected: &str) {
        let size = content.len() as u64;
        check(bytes(file(content.as_bytes()), size, Some(offset), limit, most), expected);
    }

    fn check(part: io::Result<Part>, expected: &str) {
        let shown = match part.expect("no i/o error") {
            Ok((text, notice)) => format!("{text}|{}", notice.unwrap_or_default()),
            Err(error) => format!("error: {error}"),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn lines_are_returned_as_they_are() {
        check_lines("a\r\nb", 1, None, 100, "a\r\nb|");
        check_lines("a\nb\n", 2, None, 100, "b\n|");
        check_lines("", 1, None, 100, "|[The file is empty.]");
    }

    #[test]
    fn the_notice_says_where_to_go_on() {
        let goes_on = "[Lines 2 to 2; the file goes on, 6 bytes in all. Next offset: 3.]";
        check_lines("a\nb\nc\n", 2, Some(1), 100, &format!("b\n|{goes_on}"));
        check_lines("a\nb\nc\n", 2, Some(2), 100, "b\nc\n|");
    }

    #[test]
    fn the_byte_cap_stops_at_a_whole_line() {
        let goes_on = "[Lines 1 to 2; the file goes on, 9 bytes in all. Next offset: 3.]";
        check_lines("aa\nbb\ncc\n", 1, None, 8, &format!("aa\nbb\n|{goes_on}"));
        check_lines("aa\nbb\ncc\n", 1, None, 9, "aa\nbb\ncc\n|");
    }

    #[test]
    fn a_line_above_the_cap_is_cut_between_characters() {
        let cut = "[Line 2 is cut at 3 bytes. Go on with unit \"bytes\", offset 5.]";
        check_lines("x\néééé\n", 2, None, 4, "éé|[Line 2 is cut at 4 bytes. Go on with unit \"bytes\", offset 6.]");
        check_lines("x\naéé\n", 2, None, 4, &format!("aé|{cut}"));
    }

    #[test]
    fn an_offset_past_the_end_is_an_error() {
        check_lines("a\nb", 3, None, 9, "error: Offset 3 is past the end: the file has 2 lines.");
        check_lines("a\n", 2, None, 9, "error: Offset 2 is past the end: the file has 1 lines.");
        check_lines("a\n", 0, None, 9, "error: Lines count from 1, and limit must be at least 1.");
        check_bytes("ab", 2, None, 9, "error: Offset 2 is past the end: the file has 2 bytes.");
    }

    #[test]
    fn bytes_never_cut_a_character() {
        check_bytes("aéb", 0, Some(4), 100, "aéb|");
        check_bytes("aéébc", 2, Some(4), 100, "éb|[Bytes 3 to 6 of 7. Next offset: 6.]");
        check_bytes("日本語", 0, Some(5), 100, "日|[Bytes 0 to 3 of 9. Next offset: 3.]");
    }

    #[test]
    fn reading_on_by_the_notices_yields_the_whole_file() {
        let content = "ä日b😀".repeat(50);
        let (mut offset, mut collected) = (0, String::new());
        while offset < content.len() as u64 {
            let part = bytes(file(content.as_bytes()), content.len() as u64, Some(offset), Some(1), 16);
            let (text, _) = part.expect("no i/o error").expect("inside of the file");
            offset += text.len() as u64;
            collected.push_str(&text);
        }
        assert_eq!(collected, content);
    }

    #[test]
    fn stray_bytes_are_replaced_and_said_so() {
        let part = lines(file(b"ok\nbad \xff\n"), None, None, 100, &|| false);
        check(part, "ok\nbad \u{fffd}\n|[Bytes that are not UTF-8 are shown as U+FFFD.]");
    }

    #[test]
    fn a_cancelled_scan_stops() {
        let part = lines(file(b"a\nb\n"), Some(2), None, 100, &|| true);
        check(part, "error: Cancelled.");
    }
}
