//! `POST /v1/responses` and `POST /v1/chat/completions`.

use super::speech::{CACHED, Call, End, READ, SUMMARY, Speech, THOUGHT, WRITTEN};
use serde_json::{Value, json};

pub(super) fn frame(event: &Value) -> String {
    format!("data: {event}\n\n")
}

/// The items of a response, as they end.
fn items(speech: &Speech) -> Vec<Value> {
    let mut items = Vec::new();
    if let Some(seal) = &speech.seal {
        let summary = json!([{ "type": "summary_text", "text": SUMMARY }]);
        items.push(json!({ "type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": seal }));
    }
    if !speech.text.is_empty() {
        let part = match speech.end {
            End::Refusal => json!({ "type": "refusal", "refusal": speech.text }),
            _ => json!({ "type": "output_text", "text": speech.text, "annotations": [] }),
        };
        let (role, status) = ("assistant", "completed");
        items.push(json!({ "type": "message", "id": "msg_1", "role": role, "status": status, "content": [part] }));
    }
    if let Some(Call { id, name, args }) = &speech.call {
        let (arguments, status) = (args.to_string(), "completed");
        items.push(json!({
            "type": "function_call", "id": "fc_1", "call_id": id, "name": name, "arguments": arguments, "status": status,
        }));
    }
    items
}

/// What must come back as it is over the Responses API.
pub(super) fn sealed_items(speech: &Speech) -> Vec<Value> {
    speech.seal.iter().flat_map(|_| items(speech)).collect()
}

pub(super) fn response_frames(speech: &Speech) -> Vec<String> {
    let mut events =
        vec![json!({ "type": "response.created", "response": { "id": "resp_1", "status": "in_progress" } })];
    let items = items(speech);
    for (index, item) in items.iter().enumerate() {
        let event =
            |kind: &str| json!({ "type": format!("response.{kind}"), "output_index": index, "item_id": item["id"] });
        let with = |kind: &str, field: &str, value: Value| {
            let mut event = event(kind);
            event[field] = value;
            event
        };
        // It is the item at its end that counts: this one is another.
        let mut begun = item.clone();
        for (field, empty) in [
            ("encrypted_content", json!("not yet")),
            ("content", json!([])),
            ("arguments", json!("")),
            ("summary", json!([])),
        ] {
            if begun.get(field).is_some() {
                begun[field] = empty;
            }
        }
        events.push(with("output_item.added", "item", begun));
        match item["type"].as_str() {
            Some("reasoning") => {
                let mut delta = with("reasoning_summary_text.delta", "delta", SUMMARY.into());
                delta["summary_index"] = 0.into();
                events.push(delta);
            }
            Some("function_call") => {
                events.push(with("function_call_arguments.delta", "delta", item["arguments"].clone()));
            }
            _ if speech.end == End::Refusal => events.push(with("refusal.delta", "delta", speech.text.clone().into())),
            _ => events.push(with("output_text.delta", "delta", speech.text.clone().into())),
        }
        events.push(with("output_item.done", "item", item.clone()));
    }
    let usage = json!({
        "input_tokens": READ,
        "input_tokens_details": { "cached_tokens": CACHED },
        "output_tokens": WRITTEN,
        "output_tokens_details": { "reasoning_tokens": THOUGHT },
        "total_tokens": READ + WRITTEN,
    });
    let (status, details) = match speech.end {
        End::Turn | End::Refusal => ("completed", Value::Null),
        End::MaxTokens => ("incomplete", json!({ "reason": "max_output_tokens" })),
        End::Safety => ("incomplete", json!({ "reason": "content_filter" })),
    };
    let response = json!({
        "id": "resp_1", "status": status, "incomplete_details": details, "output": items, "usage": usage,
    });
    events.push(json!({ "type": format!("response.{status}"), "response": response }));
    events.iter().map(frame).collect()
}

/// What must come back as it is over Chat Completions.
pub(super) fn sealed_message(speech: &Speech) -> Vec<Value> {
    let calls = speech.seal.iter().filter_map(|_| Some(tool_call(speech, speech.call.as_ref()?)));
    calls.collect()
}

fn tool_call(speech: &Speech, call: &Call) -> Value {
    let function = json!({ "name": call.name, "arguments": call.args.to_string() });
    let mut call = json!({ "id": call.id, "type": "function", "function": function });
    if let Some(seal) = &speech.seal {
        call["extra_content"] = json!({ "google": { "thought_signature": seal } });
    }
    call
}

pub(super) fn chat_frames(speech: &Speech) -> Vec<String> {
    let chunk = |delta: Value, finish: Option<&str>| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": finish });
        json!({ "id": "chatcmpl_1", "object": "chat.completion.chunk", "model": "m", "choices": [choice] })
    };
    let mut chunks = vec![chunk(json!({ "role": "assistant", "content": "" }), None)];
    if speech.seal.is_some() {
        chunks.push(chunk(json!({ "reasoning_content": SUMMARY }), None));
    }
    if !speech.text.is_empty() {
        let field = if speech.end == End::Refusal { "refusal" } else { "content" };
        chunks.push(chunk(json!({ field: speech.text }), None));
    }
    if let Some(call) = &speech.call {
        let mut piece = tool_call(speech, call);
        piece["index"] = 0.into();
        let arguments = piece["function"]["arguments"].take();
        piece["function"]["arguments"] = "".into();
        chunks.push(chunk(json!({ "tool_calls": [piece] }), None));
        let rest = json!({ "index": 0, "function": { "arguments": arguments } });
        chunks.push(chunk(json!({ "tool_calls": [rest] }), None));
    }
    chunks.push(chunk(json!({}), Some(finish(speech))));
    let usage = json!({
        "prompt_tokens": READ,
        "prompt_tokens_details": { "cached_tokens": CACHED },
        "completion_tokens": WRITTEN,
        "completion_tokens_details": { "reasoning_tokens": THOUGHT },
    });
    chunks.push(json!({ "id": "chatcmpl_1", "object": "chat.completion.chunk", "choices": [], "usage": usage }));
    chunks.iter().map(frame).chain(["data: [DONE]\n\n".to_owned()]).collect()
}

fn finish(speech: &Speech) -> &'static str {
    match speech.end {
        End::Turn if speech.call.is_some() => "tool_calls",
        End::Turn | End::Refusal => "stop",
        End::MaxTokens => "length",
        End::Safety => "content_filter",
    }
}
