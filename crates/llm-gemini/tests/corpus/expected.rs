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
    let malformed = ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL"];
    if case.status != 200 || case.has("error") || malformed.iter().any(|tag| case.has(tag)) {
        return fails_as_recorded(case, whole);
    }
    says_what_is_recorded(case, decode(case, usize::MAX).await.map_err(|e| e.to_string())?)
}

fn fails_as_recorded(case: &Case, (_, error): (Vec<ModelEvent>, Option<LlmError>)) -> Result<(), String> {
    let expected = match case.status {
        400 if case.has("auth") => Code::ProviderAuthentication,
        401 | 403 => Code::ProviderAuthentication,
        429 => Code::ProviderRateLimited,
        400 | 404 => Code::ProviderBadRequest,
        200 => Code::ProviderBadResponse,
        _ => Code::ProviderOverloaded,
    };
    if let (true, Some(LlmError::RateLimited { retry_after, .. })) = (case.has("RetryInfo"), &error) {
        let delay =
            case.body_text().split("retryDelay\"").nth(1).and_then(|t| t.split('"').nth(1)).map(ToOwned::to_owned);
        let ours = retry_after.map(|after| format!("{}s", after.as_secs_f64()));
        equal("the time to wait", &ours, &delay)?;
    }
    equal("the error", &error.map(|error| error.code()), &Some(expected))
}

/// The recording in the terms of the port.
#[derive(Default)]
struct Recorded {
    text: String,
    reasoning: String,
    calls: Vec<Value>,
    stop: Option<StopReason>,
    usage: Value,
}

fn says_what_is_recorded(case: &Case, said: Completion) -> Result<(), String> {
    let recorded = if case.api.ends_with("interactions") { interaction(case) } else { generated(case) };
    equal("the text", &said.text, &recorded.text)?;
    equal("the reasoning", &said.reasoning.unwrap_or_default(), &recorded.reasoning)?;
    let calls: Vec<Value> = said.calls.iter().map(|c| json!([c.provider_id, c.name, c.args])).collect();
    equal("the calls", &calls, &recorded.calls)?;
    equal("the reason to stop", &Some(said.stop), &recorded.stop)?;
    let count = |keys: &[&str]| keys.iter().filter_map(|key| recorded.usage[*key].as_u64()).sum::<u64>();
    let ours = (said.usage.input_tokens, said.usage.output_tokens, said.usage.cached_input_tokens);
    let theirs = (
        count(&["promptTokenCount", "toolUsePromptTokenCount", "total_input_tokens", "total_tool_use_tokens"]),
        count(&["candidatesTokenCount", "thoughtsTokenCount", "total_output_tokens", "total_thought_tokens"]),
        count(&["cachedContentTokenCount", "total_cached_tokens"]),
    );
    equal("the usage", &ours, &theirs)
}

fn generated(case: &Case) -> Recorded {
    let mut recorded = Recorded { usage: json!({}), ..Recorded::default() };
    for chunk in case.events() {
        for (name, count) in chunk["usageMetadata"].as_object().into_iter().flatten() {
            recorded.usage[name] = count.clone();
        }
        if chunk["promptFeedback"]["blockReason"].is_string() {
            recorded.stop = Some(StopReason::Safety);
            recorded.text.push_str(chunk["promptFeedback"]["blockReasonMessage"].as_str().unwrap_or_default());
        }
        let candidate = &chunk["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            let text = part["text"].as_str().unwrap_or_default();
            let to = if part["thought"] == true { &mut recorded.reasoning } else { &mut recorded.text };
            to.push_str(text);
            let call = &part["functionCall"];
            if call["name"].is_string() {
                recorded.calls.push(json!([call["id"], call["name"], call.get("args").unwrap_or(&json!({}))]));
            }
            for piece in call["partialArgs"].as_array().into_iter().flatten() {
                // The recordings hold texts at the root alone.
                let key = piece["jsonPath"].as_str().and_then(|path| path.strip_prefix("$.")).expect("a key");
                let args = &mut recorded.calls.last_mut().expect("a call")[2];
                args[key] = json!(format!(
                    "{}{}",
                    args[key].as_str().unwrap_or_default(),
                    piece["stringValue"].as_str().expect("text")
                ));
            }
        }
        recorded.stop = match candidate["finishReason"].as_str() {
            None => recorded.stop,
            Some("STOP") => Some(StopReason::EndTurn),
            Some("MAX_TOKENS") => Some(StopReason::MaxTokens),
            Some("SAFETY") => Some(StopReason::Safety),
            Some(other) => panic!("{other} is new"),
        };
    }
    recorded
}

fn interaction(case: &Case) -> Recorded {
    let mut recorded = Recorded { stop: Some(StopReason::EndTurn), ..Recorded::default() };
    for event in case.events() {
        let whole = event["steps"].as_array().cloned().unwrap_or_default();
        for step in whole.iter().chain([&event["step"]]) {
            let texts = |key: &str| -> String {
                step[key].as_array().into_iter().flatten().filter_map(|item| item["text"].as_str()).collect()
            };
            recorded.text.push_str(&texts("content"));
            recorded.reasoning.push_str(&texts("summary"));
            if step["type"] == "function_call" {
                recorded.calls.push(json!([step["id"], step["name"], step["arguments"]]));
            }
        }
        recorded.text.push_str(event["delta"]["text"].as_str().unwrap_or_default());
        recorded.reasoning.push_str(event["delta"]["content"]["text"].as_str().unwrap_or_default());
        if let Some(arguments) = event["delta"]["arguments"].as_str() {
            recorded.calls.last_mut().expect("a call")[2] = serde_json::from_str(arguments).expect("JSON");
        }
        for usage in [&event["usage"], &event["interaction"]["usage"]] {
            if usage.is_object() {
                recorded.usage = usage.clone();
            }
        }
    }
    recorded
}

/// What `request` carries of earlier answers: their signatures and ids, in order. The two alphabets of base64 are one here, as
/// the vendor takes both.
pub(crate) fn marks(request: &Value, answers: &str) -> Vec<String> {
    let plain = |text: &str| text.replace('-', "+").replace('_', "/");
    let answers = plain(answers);
    let mut marks = Vec::new();
    collect(request, &mut marks);
    let marks = marks.into_iter().map(|mark| plain(&mark));
    marks.filter(|mark| answers.contains(&format!("\"{}\"", mark.split_once(' ').expect("a name").1))).collect()
}

fn collect(value: &Value, marks: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, marks)),
        Value::Object(fields) => {
            for key in ["thoughtSignature", "signature", "id", "call_id"] {
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
