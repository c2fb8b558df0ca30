//! Files within a history: of which type they are by their first bytes, and what stands in the place of those that a vendor
//! refuses.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use lockkeeper_ports::Notice;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    hash::{DefaultHasher, Hash, Hasher},
};

/// How much of a file's base64 is looked at.
const HEAD: usize = 64;

/// The type of a file by its first bytes. `None` where they are of no known type.
pub fn sniffed(data: &str) -> Option<&'static str> {
    let data = data.trim_start();
    let head = data.get(..data.len().min(HEAD) / 4 * 4)?;
    let bytes = STANDARD.decode(head).ok()?;
    let is = |magic: &[u8]| bytes.starts_with(magic);
    let at = |place: usize, magic: &[u8]| bytes.get(place..).is_some_and(|rest| rest.starts_with(magic));
    Some(match () {
        () if is(b"\x89PNG\r\n") => "image/png",
        () if is(b"\xff\xd8\xff") => "image/jpeg",
        () if is(b"GIF8") => "image/gif",
        () if is(b"RIFF") && at(8, b"WEBP") => "image/webp",
        () if at(4, b"ftypavif") => "image/avif",
        () if at(4, b"ftyphei") || at(4, b"ftyphev") => "image/heic",
        () if at(4, b"ftypmif1") || at(4, b"ftypmsf1") => "image/heif",
        () if is(b"BM") && bytes.len() > 13 => "image/bmp",
        () if is(b"II*\0") || is(b"MM\0*") => "image/tiff",
        () if is(b"\0\0\x01\0") => "image/x-icon",
        () if is(b"%PDF-") => "application/pdf",
        () => return of_text(&bytes),
    })
}

fn of_text(bytes: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').trim_start().to_ascii_lowercase();
    match text.as_str() {
        text if text.starts_with("<svg") => Some("image/svg+xml"),
        text if text.starts_with("<!doctype html") || text.starts_with("<html") => Some("text/html"),
        text if text.starts_with("<?xml") => Some("text/xml"),
        text if text.starts_with('{') => Some("application/json"),
        _ if bytes.len() > 3 && bytes.iter().all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace()) => {
            Some("text/plain")
        }
        _ => None,
    }
}

/// What becomes of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It is sent as of this type: what its bytes are, or what it is called where they are of no known type.
    As(&'static str),
    /// It is not sent; this stands in its place.
    LeftOut(String),
}

/// Whether an image is sent to a vendor that takes the types of `taken`, and as which.
pub fn image(what: &str, mime_type: &str, data: &str, taken: &[&'static str]) -> Shown {
    match sniffed(data) {
        Some(is) if taken.contains(&is) => Shown::As(is),
        Some(is) if is != mime_type => {
            Shown::LeftOut(format!("({what} of type {is}, called {mime_type}, which cannot be shown here)"))
        }
        Some(is) => Shown::LeftOut(format!("({what} of type {is}, which cannot be shown here)")),
        None => match taken.iter().find(|known| **known == mime_type && is_base64(data)) {
            Some(known) => Shown::As(known),
            None => Shown::LeftOut(format!("({what} of type {mime_type}, which cannot be shown here)")),
        },
    }
}

fn is_base64(data: &str) -> bool {
    let data = data.trim();
    !data.is_empty()
        && data.len().is_multiple_of(4)
        && data.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
}

/// What tells one file from others.
pub fn key(data: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}

/// The data of a block that is a file, in any of the vendors' forms.
fn data_of(block: &Value) -> Option<&str> {
    let text = |pointer| block.pointer(pointer).and_then(Value::as_str);
    let kind = text("/type").unwrap_or_default();
    match kind {
        "image_url" => text("/image_url/url"),
        "input_image" => text("/image_url"),
        "image" | "document" | "audio" | "video" => text("/source/data").or_else(|| text("/data")),
        "" => text("/inlineData/data"),
        _ => None,
    }
}

/// The keys of the files below the place that `words` name, as in `messages.3.content.0` or `input[2].content[1]`; of all in
/// `body` where they name none.
pub fn accused(body: &Value, words: &str) -> BTreeSet<u64> {
    let lists = ["messages", "contents", "input"];
    for list in lists {
        for (at, _) in words.match_indices(list) {
            let mut place = body.get(list);
            for index in places(words.get(at + list.len()..).unwrap_or_default()) {
                let Some(here) = place.filter(|place| data_of(place).is_none()) else { break };
                let Some(below) = step(here, &index) else { break };
                place = Some(below);
            }
            let found = place.filter(|place| !std::ptr::eq(*place, body.get(list).unwrap_or(body)));
            let mut keys = BTreeSet::new();
            if let Some(place) = found {
                gather(place, &mut keys);
            }
            if !keys.is_empty() {
                return keys;
            }
        }
    }
    let mut keys = BTreeSet::new();
    lists.iter().filter_map(|list| body.get(*list)).for_each(|list| gather(list, &mut keys));
    keys
}

/// The steps of a path such as `.3.content[0].image`.
fn places(path: &str) -> Vec<String> {
    let path = path.split(|c: char| !(c.is_ascii_alphanumeric() || "_[].".contains(c))).next().unwrap_or_default();
    path.split(['.', '[', ']']).filter(|step| !step.is_empty()).map(ToOwned::to_owned).collect()
}

fn step<'a>(place: &'a Value, name: &str) -> Option<&'a Value> {
    match place {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        // Claude names the type of a block besides.
        Value::Object(fields) if fields.get("type").is_some_and(|kind| kind == name) => Some(place),
        Value::Object(fields) => fields.get(name),
        _ => None,
    }
}

fn gather(value: &Value, keys: &mut BTreeSet<u64>) {
    keys.extend(data_of(value).map(key));
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather(item, keys)),
        Value::Object(fields) => fields.values().for_each(|item| gather(item, keys)),
        _ => {}
    }
}

/// Puts a line of text in the place of each file whose key is refused; returns how many there were.
pub fn strike(value: &mut Value, is_refused: &impl Fn(u64) -> bool) -> usize {
    let mut struck = 0;
    match value {
        Value::Array(items) => {
            items.retain_mut(|item| {
                let Some(line) = data_of(item).filter(|data| is_refused(key(data))).map(|_| line(item)) else {
                    struck += strike(item, is_refused);
                    return true;
                };
                struck += 1;
                *item = line;
                true
            });
        }
        Value::Object(fields) => {
            for (name, item) in fields.iter_mut() {
                // The vendor takes nothing but files here.
                if name == "functionResponse" {
                    struck += strike_parts(item, is_refused);
                } else {
                    struck += strike(item, is_refused);
                }
            }
        }
        _ => {}
    }
    struck
}

fn strike_parts(response: &mut Value, is_refused: &impl Fn(u64) -> bool) -> usize {
    let Some(Value::Array(parts)) = response.get_mut("parts") else { return 0 };
    let before = parts.len();
    parts.retain(|part| !data_of(part).is_some_and(|data| is_refused(key(data))));
    let (left, after) = (parts.is_empty(), parts.len());
    if let (true, Some(fields)) = (left, response.as_object_mut()) {
        fields.shift_remove("parts");
    }
    before - after
}

/// What stands in the place of a refused file, in the form of its block.
fn line(block: &Value) -> Value {
    const WORDS: &str = "(a file that the provider refused, and that cannot be shown here)";
    match block.get("type").and_then(Value::as_str) {
        Some("input_image") => json!({"type": "input_text", "text": WORDS}),
        Some(_) => json!({"type": "text", "text": WORDS}),
        None => json!({"text": WORDS}),
    }
}

/// Puts a line of text in the place of each file that the words of a refusal name, and remembers their keys in `refused`.
/// Returns the notice of it, in which they are called `what`; `None` where there are none.
pub fn strike_accused(body: &mut Value, words: &str, what: &str, refused: &mut BTreeSet<u64>) -> Option<Notice> {
    let accused = accused(body, words);
    let struck = strike(body, &|part| accused.contains(&part));
    if struck == 0 {
        return None;
    }
    refused.extend(accused);
    let text =
        format!("The provider refuses {struck} of the {what} of this conversation; it is asked without: {words}");
    Some(Notice::Adjusted { text })
}

/// Whether the words of a refusal are about a file.
pub fn is_about_files(words: &str) -> bool {
    let lower = words.to_ascii_lowercase();
    let parts = [
        "image",
        "media type",
        "media_type",
        "mime",
        "inline_data",
        "inlinedata",
        "base64",
        "picture",
        "pdf",
        "document",
        "audio",
        "vision",
        "multimodal",
        "multi-modal",
    ];
    parts.iter().any(|part| lower.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_read_from_the_first_bytes() {
        let of = |bytes: &[u8]| sniffed(&STANDARD.encode(bytes));
        assert_eq!(of(b"\x89PNG\r\n\x1a\n"), Some("image/png"));
        assert_eq!(of(b"\xff\xd8\xff\xe0\0\x10JFIF"), Some("image/jpeg"));
        assert_eq!(of(b"RIFF\0\0\0\0WEBPVP8 "), Some("image/webp"));
        assert_eq!(of(b"\0\0\0\x18ftypheic\0\0"), Some("image/heic"));
        assert_eq!(of(b"  <svg xmlns='x'/>"), Some("image/svg+xml"));
        assert_eq!(of(b"<!DOCTYPE html><p>404"), Some("text/html"));
        assert_eq!(of(b"404 page not found"), Some("text/plain"));
        assert_eq!(of(b"\0nothing known"), None);
        assert_eq!(sniffed("not base64 at all"), None);
        assert_eq!(sniffed(""), None);
    }

    #[test]
    fn an_image_is_sent_as_what_it_is() {
        let jpeg = STANDARD.encode(b"\xff\xd8\xff\xe0\0\x10JFIF");
        let taken = ["image/png", "image/jpeg"];
        assert_eq!(image("an image", "image/png", &jpeg, &taken), Shown::As("image/jpeg"));
        let svg = STANDARD.encode(b"<svg xmlns='http://a.example'/>");
        let Shown::LeftOut(line) = image("an image", "image/png", &svg, &taken) else { panic!("it is left out") };
        assert!(line.contains("image/svg+xml") && line.contains("image/png"), "{line}");
        assert_eq!(image("an image", "image/png", "AAAA", &taken), Shown::As("image/png"), "perhaps a newer form");
        for broken in ["", "AAA", "no base64"] {
            assert!(matches!(image("an image", "image/png", broken, &taken), Shown::LeftOut(_)), "{broken}");
        }
    }

    #[test]
    fn the_named_file_is_struck_and_the_others_stay() {
        let file = |data: &str| json!({"type": "image", "source": {"type": "base64", "data": data}});
        let mut body = json!({"messages": [
            {"role": "user", "content": [file("AAAA")]},
            {"role": "user", "content": [{"type": "tool_result", "content": [file("BBBB"), file("CCCC")]}]},
        ]});
        let named = accused(&body, "messages.1.content.0.tool_result.content.1.image.source: Could not process image");
        assert_eq!(named, BTreeSet::from([key("CCCC")]));
        let step = accused(&body, "messages[1].content[0].unknown: bad");
        assert_eq!(step, BTreeSet::from([key("BBBB"), key("CCCC")]), "as far as the path leads");
        let exact = accused(&body, "messages[1].content[0].content[1]: bad");
        assert_eq!(exact, BTreeSet::from([key("CCCC")]));
        assert_eq!(accused(&body, "Could not process image").len(), 3);
        assert_eq!(strike(&mut body, &|part| exact.contains(&part)), 1);
        assert_eq!(body["messages"][0]["content"][0]["type"], "image");
        assert_eq!(body["messages"][1]["content"][0]["content"][1]["type"], "text");
    }

    #[test]
    fn files_are_found_in_every_form() {
        let mut body = json!({"contents": [
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAB"},
            {"inlineData": {"mimeType": "image/png", "data": "AAAC"}},
            {"functionResponse": {"name": "f", "parts": [{"inlineData": {"data": "AAAD"}}]}},
            {"type": "image", "mime_type": "image/png", "data": "AAAE"},
        ]});
        assert_eq!(accused(&body, "").len(), 5);
        assert_eq!(strike(&mut body, &|_| true), 5);
        assert!(!body.to_string().contains("AAA"), "{body}");
        assert_eq!(body["contents"][3], json!({"functionResponse": {"name": "f"}}));
    }
}
