use lockkeeper_domain::{Content, KnownContent, ToolResult};
use lockkeeper_llm_common::media::{self, Shown};
use serde_json::Value;

/// A file that goes with a message or a result.
pub(super) struct Media<'a> {
    pub(super) mime_type: &'a str,
    pub(super) data: &'a str,
}

/// Which images the vendor takes from a user.
const FROM_USER: [&str; 5] = ["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"];
/// Which images it takes within a tool's result.
const FROM_TOOL: [&str; 3] = ["image/png", "image/jpeg", "image/webp"];

/// The type as which a user's file is sent, or the line that stands in its place.
pub(super) fn from_user<'a>(what: &str, mime_type: &'a str, data: &str) -> Result<&'a str, String> {
    let family = |family: &str| mime_type.starts_with(family);
    if mime_type == "application/pdf" || family("audio/") || family("video/") {
        return Ok(mime_type);
    }
    match media::image(what, mime_type, data, &FROM_USER) {
        Shown::As(mime_type) => Ok(mime_type),
        Shown::LeftOut(line) => Err(line),
    }
}

/// The text and the images of a result.
pub(super) fn of_result(result: &ToolResult) -> (String, Vec<Media<'_>>) {
    let mut texts = Vec::new();
    let mut files = Vec::new();
    for part in &result.content {
        match part {
            Content::Known(KnownContent::Text { text }) => texts.push(text.clone()),
            Content::Known(KnownContent::Image { data, mime_type }) => {
                match media::image("an image", mime_type, data, &FROM_TOOL) {
                    Shown::As(mime_type) => files.push(Media { mime_type, data }),
                    Shown::LeftOut(line) => texts.push(line),
                }
            }
            Content::Other(value) => texts.push(value.to_string()),
        }
    }
    if texts.is_empty() && files.is_empty() {
        texts.extend(result.structured.as_ref().map(Value::to_string));
    }
    (texts.join("\n"), files)
}
