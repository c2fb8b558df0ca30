//! What a recorded answer says, read with none of the adapter's code.

use crate::{
    cases::{Case, answer, decode, replies},
    provider,
    server::Server,
};
use lockkeeper_domain::{Code, StopReason};
use lockkeeper_ports::{Completion, LlmError, LlmProvider, ModelEvent};
use serde_json::{Value, json};

/// Decodes the answer, whole and in small chunks, and compares it with what the recording says.
pub(crate) async fn check(case: &Case) -> Result<(), String> {
    if case.is_list() {
        let server = Server::replying(replies(case, usize::MAX)).await;
        let models = provider(&server.url, case).models().await.map_err(|e| e.to_string())?;
        return if models.is_empty() { Err("no models".to_owned()) } else { Ok(()) };
    }
    let [reply] = replies(case, usize::MAX);
    let whole = answer(case, reply).await;
    for chunk in [1, 7, 61] {
        let [reply] = replies(case, chunk);
        if answer(case, reply).await != whole {
            return Err(format!("it says something else in chunks of {chunk}"));
        }
    }
    if case.status != 200 || case.has("error") {
        return fails_as_recorded(case, whole);
    }
    says_what_is_recorded(case, decode(case, usize::MAX).await.map_err(|e| e.to_string())?)
}

fn fails_as_recorded(case: &Case, (_, error): (Vec<ModelEvent>, Option<LlmError>)) -> Result<(), String> {
    let expected = match case.status {
        401 | 403 => Code::ProviderAuthentication,
        429 => Code::ProviderRateLimited,
        400 | 404 => Code::ProviderBadRequest,
        _ => Code::ProviderOverloaded,
    };
    if let (Some(after), Some(LlmError::RateLimited { retry_after, .. })) = (case.header("retry-after"), &error) {
        equal("the time to wait", &retry_after.map(|after| after.as_secs().to_string()), &Some(after.to_owned()))?;
    }
    equal("the error", &error.map(|error| error.code()), &Some(expected))
}

fn says_what_is_recorded(case: &Case, said: Completion) -> Result<(), String> {
    let message = message(case);
    let blocks = message["content"].as_array().cloned().unwrap_or_default();
    let texts = |kind: &str, key: &str| -> String {
        blocks.iter().filter(|b| b["type"] == kind).filter_map(|b| b[key].as_str()).collect()
    };
    let why = message["stop_details"]["explanation"].as_str().unwrap_or_default();
    equal("the text", &said.text, &(texts("text", "text") + why))?;
    equal("the reasoning", &said.reasoning.unwrap_or_default(), &texts("thinking", "thinking"))?;
    let calls: Vec<Value> = said.calls.iter().map(|c| json!([c.provider_id, c.name, c.args])).collect();
    let recorded = blocks.iter().filter(|b| b["type"] == "tool_use");
    let recorded: Vec<Value> = recorded.map(|b| json!([b["id"], b["name"], b["input"]])).collect();
    equal("the calls", &calls, &recorded)?;
    let stop = match message["stop_reason"].as_str() {
        Some("max_tokens") => StopReason::MaxTokens,
        Some("refusal") => StopReason::Refusal,
        Some("stop_sequence") => StopReason::StopSequence,
        _ => StopReason::EndTurn,
    };
    equal("the reason to stop", &said.stop, &stop)?;
    let count = |key: &str| message["usage"][key].as_u64().unwrap_or(0);
    let read = count("input_tokens") + count("cache_creation_input_tokens") + count("cache_read_input_tokens");
    let counts = (said.usage.input_tokens, said.usage.output_tokens, said.usage.cached_input_tokens);
    equal("the usage", &counts, &(read, count("output_tokens"), count("cache_read_input_tokens")))
}

/// The message that the events add up to.
fn message(case: &Case) -> Value {
    let events = case.events();
    if !case.is_stream() {
        return events[0].clone();
    }
    let mut message = json!({"content": [], "usage": {}});
    for event in &events {
        let at = event["index"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or_default();
        match event["type"].as_str().unwrap_or_default() {
            "content_block_start" => {
                message["content"].as_array_mut().expect("blocks").push(event["content_block"].clone());
            }
            "content_block_delta" => {
                let (block, delta) = (&mut message["content"][at], &event["delta"]);
                for (from, to) in [("text", "text"), ("thinking", "thinking"), ("partial_json", "partial")] {
                    if let Some(more) = delta[from].as_str() {
                        block[to] = json!(format!("{}{more}", block[to].as_str().unwrap_or_default()));
                    }
                }
            }
            "content_block_stop" if message["content"][at]["type"] == "tool_use" => {
                let json = message["content"][at]["partial"].as_str().filter(|json| !json.is_empty()).unwrap_or("{}");
                message["content"][at]["input"] = serde_json::from_str(json).expect("JSON");
            }
            "message_delta" => {
                message["stop_reason"] = event["delta"]["stop_reason"].clone();
                message["stop_details"] = event["delta"]["stop_details"].clone();
            }
            _ => {}
        }
        for usage in [&event["message"]["usage"], &event["usage"]] {
            for (name, count) in usage.as_object().into_iter().flatten().filter(|(_, count)| !count.is_null()) {
                message["usage"][name] = count.clone();
            }
        }
    }
    message
}

/// What `request` carries of earlier answers: their signatures and ids, in order.
pub(crate) fn marks(request: &Value, answers: &str) -> Vec<String> {
    let mut marks = Vec::new();
    collect(request, &mut marks);
    marks.retain(|mark| {
        answers.contains(&serde_json::to_string(mark.split_once(' ').expect("a name").1).expect("JSON"))
    });
    marks
}

fn collect(value: &Value, marks: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, marks)),
        Value::Object(fields) => {
            for key in ["signature", "data", "id", "tool_use_id"] {
                if let Some(text) = fields.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()) {
                    marks.push(format!("{key} {text}"));
                }
            }
            fields.values().for_each(|item| collect(item, marks));
        }
        _ => {}
    }
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, ours: &T, recorded: &T) -> Result<(), String> {
    if ours == recorded { Ok(()) } else { Err(format!("{what}: {ours:?}, but the recording says {recorded:?}")) }
}
