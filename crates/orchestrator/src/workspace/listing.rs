//! What the built-in server writes for models, read by a program. It is held to the real one end to end: `files::` in `tests`.

use super::{Entry, EntryKind, Listing};
use crate::output::Output;

/// What `text` lists. Lines of no known form are passed over: they are notices for models.
pub(super) fn listed(path: String, text: &str, output: &Output) -> Listing {
    let entries = text.lines().filter_map(|line| entry(line, output)).collect();
    Listing { path, entries, left_out: text.lines().find_map(left_out).unwrap_or(0) }
}

/// `file  a.txt  3`, `dir   b/`, `link  c -> d`, `other  e  0`, `gone  f`.
fn entry(line: &str, output: &Output) -> Option<Entry> {
    let (kind, rest) = line.split_once("  ")?;
    let shown = |text: &str| output.text(text);
    let plain = |name: &str, kind| Entry { name: shown(name), kind, size: None, target: None };
    match kind {
        "dir" => Some(plain(rest.trim_start().strip_suffix('/')?, EntryKind::Directory)),
        "link" => {
            let (name, target) = rest.split_once(" -> ")?;
            Some(Entry { target: Some(shown(target)), ..plain(name, EntryKind::Link) })
        }
        "gone" => Some(plain(rest, EntryKind::Other)),
        "file" | "other" => {
            // A name may hold two spaces; a size does not.
            let (name, size) = rest.rsplit_once("  ")?;
            let kind = if kind == "file" { EntryKind::File } else { EntryKind::Other };
            Some(Entry { size: Some(size.parse().ok()?), ..plain(name, kind) })
        }
        _ => None,
    }
}

/// `[Cut at 1000 entries; at least 7 more were left out. ..]`
fn left_out(line: &str) -> Option<u64> {
    line.strip_prefix("[Cut at ")?.split_once("at least ")?.1.split_once(' ')?.0.parse().ok()
}

/// `[Bytes 0 to 16 of 40. Next offset: 16.]`
pub(super) fn next_offset(notice: &str) -> Option<u64> {
    notice.split_once("Next offset: ")?.1.split_once('.')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_sanitizer::Config;

    fn check(text: &str, expected: &[(&str, EntryKind, Option<u64>, Option<&str>)], left_out: u64) {
        let output = Output::new(&Config::default(), &[], &[]);
        let listing = listed(".".to_owned(), text, &output);
        let entries: Vec<_> =
            listing.entries.iter().map(|e| (e.name.as_str(), e.kind, e.size, e.target.as_deref())).collect();
        assert_eq!((entries.as_slice(), listing.left_out), (expected, left_out), "{text}");
    }

    #[test]
    fn lines_are_entries() {
        let text = "file  a.txt  3\ndir   b/\nlink  c -> /etc\nother  p  0\ngone  g\nfile  two  spaces  12\n";
        let expected = [
            ("a.txt", EntryKind::File, Some(3), None),
            ("b", EntryKind::Directory, None, None),
            ("c", EntryKind::Link, None, Some("/etc")),
            ("p", EntryKind::Other, Some(0), None),
            ("g", EntryKind::Other, None, None),
            ("two  spaces", EntryKind::File, Some(12), None),
        ];
        check(text, &expected, 0);
    }

    #[test]
    fn notices_are_no_entries() {
        check("[The directory is empty.]", &[], 0);
        let cut = "file  a  1\n[Cut at 1 entries; at least 41 more were left out. Narrow it with execute_command.]";
        check(cut, &[("a", EntryKind::File, Some(1), None)], 41);
        check("[b/ could not be listed: permission denied]\nfile  odd\n\n", &[], 0);
    }

    #[test]
    fn a_notice_says_where_a_file_goes_on() {
        assert_eq!(next_offset("[Bytes 0 to 16 of 40. Next offset: 16.]"), Some(16));
        assert_eq!(next_offset("[The file is empty.]"), None);
    }

    #[test]
    fn names_are_cleaned_as_output_is() {
        check("file  a\u{202e}b  1\n", &[("a\\u{202E}b", EntryKind::File, Some(1), None)], 0);
    }
}
