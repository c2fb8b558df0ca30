//! `POST /v1/messages`.

use super::speech::{CACHED, Call, End, READ, SUMMARY, Speech, THOUGHT, WRITTEN};
use serde_json::{Value, json};

/// Of the tokens read, those that were put into the cache.
const CREATED: u64 = 10;

pub(super) fn frame(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default())
}

/// What must come back as it is.
pub(super) fn sealed(speech: &Speech) -> Vec<Value> {
    let Some(seal) = &speech.seal else { return Vec::new() };
    let mut blocks = vec![
        json!({ "type": "thinking", "thinking": SUMMARY, "signature": seal }),
        json!({ "type": "redacted_thinking", "data": format!("redacted {seal}") }),
    ];
    blocks.extend(speech.call.as_ref().map(tool_use));
    blocks
}

fn tool_use(call: &Call) -> Value {
    json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": call.args })
}

pub(super) fn frames(speech: &Speech) -> Vec<String> {
    let usage = json!({
        "input_tokens": READ - CACHED - CREATED,
        "cache_creation_input_tokens": CREATED,
        "cache_read_input_tokens": CACHED,
        "output_tokens": 1,
    });
    let message = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": null, "usage": usage,
    });
    let mut events = vec![json!({ "type": "message_start", "message": message }), json!({ "type": "ping" })];
    let mut blocks: Vec<(Value, Vec<Value>)> = Vec::new();
    if let Some(seal) = &speech.seal {
        let empty = json!({ "type": "thinking", "thinking": "", "signature": "" });
        let thinking = json!({ "type": "thinking_delta", "thinking": SUMMARY });
        blocks.push((empty, vec![thinking, json!({ "type": "signature_delta", "signature": seal })]));
        blocks.push((json!({ "type": "redacted_thinking", "data": format!("redacted {seal}") }), Vec::new()));
    }
    if !speech.text.is_empty() {
        let delta = json!({ "type": "text_delta", "text": speech.text });
        blocks.push((json!({ "type": "text", "text": "" }), vec![delta]));
    }
    if let Some(call) = &speech.call {
        let args = call.args.to_string();
        let (first, rest) = args.split_at(1);
        let delta = |piece: &str| json!({ "type": "input_json_delta", "partial_json": piece });
        let empty = json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": {} });
        blocks.push((empty, vec![delta(""), delta(first), delta(rest)]));
    }
    for (index, (block, deltas)) in blocks.into_iter().enumerate() {
        events.push(json!({ "type": "content_block_start", "index": index, "content_block": block }));
        let delta = |delta| json!({ "type": "content_block_delta", "index": index, "delta": delta });
        events.extend(deltas.into_iter().map(delta));
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    let details = json!({ "thinking_tokens": THOUGHT });
    let usage = json!({ "output_tokens": WRITTEN, "output_tokens_details": details });
    let delta = json!({ "stop_reason": stop(speech), "stop_sequence": null });
    events.push(json!({ "type": "message_delta", "delta": delta, "usage": usage }));
    events.push(json!({ "type": "message_stop" }));
    events.iter().map(frame).collect()
}

fn stop(speech: &Speech) -> &'static str {
    match speech.end {
        End::Turn if speech.call.is_some() => "tool_use",
        End::Turn => "end_turn",
        End::MaxTokens => "max_tokens",
        End::Refusal | End::Safety => "refusal",
    }
}
