use lockkeeper_domain::{Content, KnownContent, ToolResult};
use serde_json::Value;

/// A file that goes with a message or a result.
pub(super) struct Media<'a> {
    pub(super) mime_type: &'a str,
    pub(super) data: &'a str,
}

/// Which types of files the vendor takes from a user.
pub(super) fn takes_from_user(mime_type: &str) -> bool {
    let images = ["image/png", "image/jpeg", "image/webp", "image/heic", "image/heif"];
    images.contains(&mime_type)
        || mime_type == "application/pdf"
        || mime_type.starts_with("audio/")
        || mime_type.starts_with("video/")
}

/// Which types of files the vendor takes within a tool's result.
pub(super) fn takes_from_tool(mime_type: &str) -> bool {
    ["image/png", "image/jpeg", "image/webp"].contains(&mime_type)
}

/// What stands in the place of a file that the vendor does not take.
pub(super) fn left_out(what: &str, mime_type: &str) -> String {
    format!("({what} of type {mime_type}, which cannot be shown here)")
}

/// The text and the images of a result.
pub(super) fn of_result(result: &ToolResult) -> (String, Vec<Media<'_>>) {
    let mut texts = Vec::new();
    let mut media = Vec::new();
    for part in &result.content {
        match part {
            Content::Known(KnownContent::Text { text }) => texts.push(text.clone()),
            Content::Known(KnownContent::Image { data, mime_type }) if takes_from_tool(mime_type) => {
                media.push(Media { mime_type, data });
            }
            Content::Known(KnownContent::Image { mime_type, .. }) => texts.push(left_out("an image", mime_type)),
            Content::Other(value) => texts.push(value.to_string()),
        }
    }
    if texts.is_empty() && media.is_empty() {
        texts.extend(result.structured.as_ref().map(Value::to_string));
    }
    (texts.join("\n"), media)
}
