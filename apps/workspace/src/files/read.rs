//! `read_file`: text by lines or bytes, and images whole.

mod text;

use std::{fs::File, io, os::unix::fs::FileExt as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustix::fs::{Mode, OFlags, openat};
use serde::Deserialize;

use super::{Missing, Workspace, printable};
use crate::{limits::Limits, tool_error::ToolError};

/// How much of a file decides whether it is text.
const SNIFFED_BYTES: usize = 8 * 1024;

/// The arguments of `read_file`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadFile {
    path: String,
    offset: Option<u64>,
    limit: Option<u64>,
    unit: Option<Unit>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unit {
    #[default]
    Lines,
    Bytes,
}

/// What `read_file` found.
#[derive(Debug)]
pub(crate) enum Reading {
    /// Text, and what a reader must know about it, such as that it is not all.
    Text {
        text: String,
        notice: Option<String>,
    },
    Image(Picture),
}

/// An image as MCP carries it.
#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) base64: String,
    pub(crate) mime_type: &'static str,
}

/// Reads a file, or the asked part of it, and gives up once `cancelled` says so.
pub(crate) fn read(
    workspace: &Workspace,
    limits: &Limits,
    request: &ReadFile,
    cancelled: &dyn Fn() -> bool,
) -> Result<Reading, ToolError> {
    let file = open_regular(workspace, &request.path)?;
    let failed = |error: io::Error| workspace.explain(&request.path, &error);
    let size = file.metadata().map_err(failed)?.len();
    let mut start = vec![0; SNIFFED_BYTES];
    let sniffed = file.read_at(&mut start, 0).map_err(failed)?;
    start.truncate(sniffed);

    if let Some(mime_type) = image_type(&start) {
        return picture(&file, size, mime_type, limits, request).map(Reading::Image);
    }
    if !looks_like_text(&start) {
        return Err(ToolError::new(format!(
            "{} is a binary file of {size} bytes, not UTF-8 text. \
             Inspect it through execute_command, for example with `od -c`.",
            printable(&request.path)
        )));
    }
    let most = limits.max_read_bytes;
    let part = match request.unit.unwrap_or_default() {
        Unit::Lines => text::lines(file, request.offset, request.limit, most, cancelled),
        Unit::Bytes => text::bytes(file, size, request.offset, request.limit, most),
    };
    let (text, notice) = part.map_err(failed)??;
    Ok(Reading::Text { text, notice })
}

/// Opens without ever waiting for the writer of a FIFO, and takes regular files only.
fn open_regular(workspace: &Workspace, path: &str) -> Result<File, ToolError> {
    let (folder, name) = workspace.open_parent(path, Missing::Refuse)?;
    let failed = |error: io::Error| workspace.explain(path, &error);
    let refuse = |is_dir: bool| {
        let error = if is_dir { io::ErrorKind::IsADirectory.into() } else { not_regular() };
        Err(workspace.explain(path, &error))
    };
    // Opening a device can itself have an effect, so look before; a swap in
    // between is caught by the look at the open file.
    let before = folder.symlink_metadata(&name).map_err(failed)?;
    if before.is_symlink() {
        return Err(workspace.linked(path, &name));
    }
    if !before.is_file() {
        return refuse(before.is_dir());
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = openat(&folder, &name, flags, Mode::empty());
    let file = File::from(opened.map_err(|error| workspace.refuse(path, &folder, &name, &error.into()))?);
    let opened = file.metadata().map_err(failed)?;
    if !opened.is_file() {
        return refuse(opened.is_dir());
    }
    Ok(file)
}

fn not_regular() -> io::Error {
    io::Error::other("not a regular file, so it cannot be read or written here")
}

fn picture(
    file: &File,
    size: u64,
    mime_type: &'static str,
    limits: &Limits,
    request: &ReadFile,
) -> Result<Picture, ToolError> {
    use std::io::Read as _;

    let path = printable(&request.path);
    let too_large = || {
        ToolError::new(format!(
            "{path} is an image above the limit of {} bytes. \
             Make a smaller copy with execute_command and read that.",
            limits.max_image_bytes
        ))
    };
    if size > limits.max_image_bytes {
        return Err(too_large());
    }
    let mut image = Vec::new();
    // The file may grow while it is read.
    file.take(limits.max_image_bytes.saturating_add(1))
        .read_to_end(&mut image)
        .map_err(|error| ToolError::new(format!("{path}: {error}.")))?;
    if image.len() as u64 > limits.max_image_bytes {
        return Err(too_large());
    }
    Ok(Picture { base64: STANDARD.encode(image), mime_type })
}

fn image_type(start: &[u8]) -> Option<&'static str> {
    match start {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

fn looks_like_text(start: &[u8]) -> bool {
    let valid = match str::from_utf8(start) {
        Ok(_) => true,
        // A character may be cut at the end of what was sniffed.
        Err(error) => error.error_len().is_none() && start.len() == SNIFFED_BYTES,
    };
    valid && !start.contains(&0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_known_by_their_first_bytes() {
        assert_eq!(image_type(b"\x89PNG\r\n\x1a\n...."), Some("image/png"));
        assert_eq!(image_type(b"\xff\xd8\xff\xe0"), Some("image/jpeg"));
        assert_eq!(image_type(b"GIF89a.."), Some("image/gif"));
        assert_eq!(image_type(b"RIFF\x01\x02\x03\x04WEBPVP8 "), Some("image/webp"));
        assert_eq!(image_type(b"RIFF\x01\x02\x03\x04WAVE"), None);
        assert_eq!(image_type(b""), None);
    }

    #[test]
    fn text_is_utf8_without_nul() {
        assert!(looks_like_text("grüße 日本".as_bytes()));
        assert!(looks_like_text(b""));
        assert!(!looks_like_text(b"a\0b"));
        assert!(!looks_like_text(b"caf\xe9 au lait"));
        assert!(!looks_like_text(b"cut \xe6\x97"));
    }

    #[test]
    fn a_character_cut_by_the_sniffing_is_still_text() {
        let mut start = vec![b'a'; SNIFFED_BYTES - 1];
        start.push(0xe6);
        assert!(looks_like_text(&start));
    }
}
