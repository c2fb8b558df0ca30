//! `POST /v1beta/models/{model}:streamGenerateContent`.

use super::speech::{CACHED, Call, End, READ, SUMMARY, Speech, THOUGHT, WRITTEN};
use serde_json::{Value, json};

pub(super) fn frame(chunk: &Value) -> String {
    format!("data: {chunk}\r\n\r\n")
}

/// What must come back as it is.
pub(super) fn sealed(speech: &Speech) -> Vec<Value> {
    speech.seal.iter().map(|_| last_part(speech)).collect()
}

/// The signature is beside the call, or else on an empty text at the end.
fn last_part(speech: &Speech) -> Value {
    let mut part = speech.call.as_ref().map_or_else(|| json!({ "text": "" }), function_call);
    if let Some(seal) = &speech.seal {
        part["thoughtSignature"] = seal.as_str().into();
    }
    part
}

fn function_call(call: &Call) -> Value {
    json!({ "functionCall": { "id": call.id, "name": call.name, "args": call.args } })
}

pub(super) fn frames(speech: &Speech) -> Vec<String> {
    let usage = json!({
        "promptTokenCount": READ,
        "cachedContentTokenCount": CACHED,
        "candidatesTokenCount": WRITTEN - THOUGHT,
        "thoughtsTokenCount": THOUGHT,
        "totalTokenCount": READ + WRITTEN,
    });
    let chunk = |part: Value, reason: Option<&str>| {
        let mut candidate = json!({ "content": { "role": "model", "parts": [part] }, "index": 0 });
        if let Some(reason) = reason {
            candidate["finishReason"] = reason.into();
        }
        json!({ "candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r" })
    };
    let mut chunks = Vec::new();
    if speech.seal.is_some() {
        chunks.push(chunk(json!({ "text": SUMMARY, "thought": true }), None));
    }
    if !speech.text.is_empty() {
        chunks.push(chunk(json!({ "text": speech.text }), None));
    }
    chunks.push(chunk(last_part(speech), None));
    chunks.push(chunk(json!({ "text": "" }), Some(finish(speech.end))));
    chunks.iter().map(frame).collect()
}

fn finish(end: End) -> &'static str {
    match end {
        // Of calls, too.
        End::Turn => "STOP",
        End::MaxTokens => "MAX_TOKENS",
        End::Refusal | End::Safety => "SAFETY",
    }
}
