use lockkeeper_domain::{Attachment, CallResult, Content, KnownContent, UserMessage};
use lockkeeper_llm_common::media::{self, Shown};
use serde_json::{Value, json};

/// The blocks of what a user said. Never empty, as the vendor refuses a message without content.
pub(super) fn user(message: &UserMessage) -> Vec<Value> {
    let mut blocks: Vec<Value> = message.attachments.iter().map(attachment).collect();
    if !message.text.trim().is_empty() {
        blocks.push(text(&message.text));
    }
    if blocks.is_empty() {
        blocks.push(text("(an empty message)"));
    }
    blocks
}

/// The block of what a call came to; `id` is what the call before it is called.
pub(super) fn result(result: &CallResult, id: &str) -> Value {
    let is_error = result.result.is_error();
    // An error may hold text alone.
    let part = |part: &Content| match part {
        Content::Known(KnownContent::Text { text: words }) => (!words.trim().is_empty()).then(|| text(words)),
        Content::Known(KnownContent::Image { mime_type, .. }) if is_error => Some(left_out("an image", mime_type)),
        Content::Known(KnownContent::Image { data, mime_type }) => Some(image("an image", mime_type, data)),
        Content::Other(value) => Some(text(&value.to_string())),
    };
    let mut content: Vec<Value> = result.result.content.iter().filter_map(part).collect();
    if let (true, Some(structured)) = (content.is_empty(), &result.result.structured) {
        content.push(text(&structured.to_string()));
    }
    if content.is_empty() {
        content.push(text("(the tool returned nothing)"));
    }
    let mut block = json!({"type": "tool_result", "tool_use_id": id, "content": content});
    if let (true, Some(fields)) = (is_error, block.as_object_mut()) {
        fields.insert("is_error".to_owned(), json!(true));
    }
    block
}

pub(super) fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn attachment(attachment: &Attachment) -> Value {
    let Attachment { name, mime_type, data } = attachment;
    if mime_type == "application/pdf" {
        return json!({"type": "document", "source": source(mime_type, data)});
    }
    image(name.as_deref().unwrap_or("a file"), mime_type, data)
}

/// The block of an image of a type that the vendor takes, whatever it is called; else a line about it.
fn image(what: &str, mime_type: &str, data: &str) -> Value {
    match media::image(what, mime_type, data, &["image/png", "image/jpeg", "image/gif", "image/webp"]) {
        Shown::As(mime_type) => json!({"type": "image", "source": source(mime_type, data)}),
        Shown::LeftOut(line) => text(&line),
    }
}

fn source(mime_type: &str, data: &str) -> Value {
    json!({"type": "base64", "media_type": mime_type, "data": data})
}

fn left_out(what: &str, mime_type: &str) -> Value {
    text(&format!("({what} of type {mime_type}, which cannot be shown here)"))
}
