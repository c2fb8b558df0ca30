//! What a recording says, read as simply as possible: whole, and trusting its form.

use crate::case::{Case, Heard};
use lockkeeper_domain::StopReason;
use lockkeeper_llm_openai::Api;
use lockkeeper_ports::LlmError;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, time::Duration};

/// What must come of a case.
#[derive(Debug)]
pub(crate) enum Expected {
    Error { kind: &'static str, retry_after: Option<Duration> },
    Whole(Whole),
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct Whole {
    text: String,
    reasoning: String,
    /// The provider's id, the name and the arguments.
    calls: Vec<(String, String, Value)>,
    stop: Option<StopReason>,
    /// Tokens read, written, cached and thought.
    usage: [u64; 4],
    /// The items of a response, as they ended.
    items: Vec<Value>,
}

impl Expected {
    pub(crate) fn of(case: &Case) -> Self {
        let error = |kind| Self::Error { kind, retry_after: None };
        let body = String::from_utf8_lossy(&case.body);
        match case.status {
            429 if case.has("fatal") => error("Quota"),
            429 => {
                let millis = case.header("retry-after-ms").and_then(|value| value.parse().ok());
                Self::Error { kind: "RateLimited", retry_after: millis.map(Duration::from_millis) }
            }
            400 if case.has("context-exceeded") => error("ContextTooLong"),
            400..=499 => error("BadRequest"),
            500.. => error("Overloaded"),
            _ if case.has("overloaded") => error("Overloaded"),
            _ if case.has("rate_limit_exceeded") => error("RateLimited"),
            _ if case.has("error") && body.contains("insufficient_quota") => error("Quota"),
            _ => Self::Whole(match case.api() {
                Api::Responses => response(case),
                Api::Chat => chat(case),
            }),
        }
    }

    pub(crate) fn is_error(&self) -> bool {
        matches!(self, Self::Error { .. })
    }

    pub(crate) fn check(&self, heard: &Heard) {
        match self {
            Self::Error { kind, retry_after } => {
                let error = heard.error.as_ref().expect("an error");
                assert!(format!("{error:?}").starts_with(kind), "{error:?} is not {kind}");
                if let LlmError::RateLimited { retry_after: hint, .. } = error {
                    assert!(retry_after.is_none() || hint == retry_after, "{hint:?} is not {retry_after:?}");
                }
            }
            Self::Whole(expected) => {
                let found = heard.completion().unwrap_or_else(|| panic!("{:?}", heard.error));
                let id = |call: &lockkeeper_ports::ProposedCall| call.provider_id.clone().unwrap_or_default();
                let usage = found.usage;
                let raw = found.replay.as_ref().map(|replay| replay.raw.clone()).unwrap_or_default();
                let found = Whole {
                    text: found.text.clone(),
                    reasoning: found.reasoning.clone().unwrap_or_default(),
                    calls: found.calls.iter().map(|c| (id(c), c.name.clone(), c.args.clone())).collect(),
                    stop: Some(found.stop),
                    usage: [usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.reasoning_tokens],
                    items: raw.as_array().cloned().unwrap_or_default(),
                };
                assert_eq!(&found, expected);
            }
        }
    }
}

/// The data of a stream's events, or the whole of an answer that is no stream.
fn events(case: &Case) -> Vec<Value> {
    if !case.is_stream() {
        return vec![serde_json::from_slice(&case.body).expect("JSON")];
    }
    let body = String::from_utf8(case.body.clone()).expect("UTF-8");
    let data = body.lines().filter_map(|line| line.strip_prefix("data:"));
    data.filter(|data| data.trim() != "[DONE]").map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

/// Where the event ends that ends the answer: anything less is not whole. Some recordings go on with a second answer.
pub(crate) fn end_of(case: &Case) -> usize {
    let body = String::from_utf8_lossy(&case.body);
    let ends = match case.api() {
        Api::Chat => vec!["data: [DONE]"],
        Api::Responses => vec!["\"type\":\"response.completed\"", "\"type\":\"response.incomplete\""],
    };
    let begin = ends.iter().filter_map(|end| body.find(end)).min();
    begin.and_then(|begin| Some(begin + body[begin..].find("\n\n")? + 2)).unwrap_or(body.len())
}

fn response(case: &Case) -> Whole {
    let mut events = events(case);
    let is_last = |event: &Value| matches!(event["response"]["status"].as_str(), Some("completed" | "incomplete"));
    let end = events.iter().position(is_last);
    events.truncate(end.map_or(1, |end| end + 1));
    let last = &events[events.len() - 1];
    let last = if end.is_some() { &last["response"] } else { last };
    let mut items: BTreeMap<u64, Value> = BTreeMap::new();
    for (index, event) in events.iter().enumerate().filter(|(_, event)| event["type"] == "response.output_item.done") {
        items.insert(event["output_index"].as_u64().unwrap_or(index as u64), event["item"].clone());
    }
    let mut items: Vec<Value> = items.into_values().collect();
    if items.is_empty() {
        items = last["output"].as_array().cloned().unwrap_or_default();
    }
    let parts = |kind: &str, list: &str, field: &str| -> Vec<String> {
        let of_kind = items.iter().filter(|item| item["type"] == kind);
        let parts = of_kind.filter_map(|item| item[list].as_array()).flatten();
        parts.filter_map(|part| part[field].as_str()).filter(|t| !t.is_empty()).map(str::to_owned).collect()
    };
    let refusals = parts("message", "content", "refusal");
    let text = [parts("message", "content", "text"), refusals.clone()].concat().join("\n\n");
    let summary = parts("reasoning", "summary", "text");
    let reasoning = if summary.is_empty() { parts("reasoning", "content", "text") } else { summary }.join("\n\n");
    let stop = match last["incomplete_details"]["reason"].as_str() {
        Some("max_output_tokens") => StopReason::MaxTokens,
        Some(_) => StopReason::Safety,
        None if !refusals.is_empty() => StopReason::Refusal,
        None => StopReason::EndTurn,
    };
    let text_of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let call = |item: &Value| {
        let args = match item["type"].as_str()? {
            "function_call" => serde_json::from_str(item["arguments"].as_str()?).expect("JSON"),
            "custom_tool_call" => item["input"].clone(),
            _ => return None,
        };
        Some((text_of(&item["call_id"]), text_of(&item["name"]), args))
    };
    let calls = if stop == StopReason::EndTurn { items.iter().filter_map(call).collect() } else { Vec::new() };
    let usage = &last["usage"];
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    let usage = [
        count(&usage["input_tokens"]),
        count(&usage["output_tokens"]),
        count(&usage["input_tokens_details"]["cached_tokens"]),
        count(&usage["output_tokens_details"]["reasoning_tokens"]),
    ];
    Whole { text, reasoning, calls, stop: Some(stop), usage, items }
}

fn chat(case: &Case) -> Whole {
    let mut whole = Whole::default();
    let mut calls: BTreeMap<u64, (String, String, String)> = BTreeMap::new();
    let nothing = Value::Object(Map::new());
    let mut refused = false;
    for event in events(case) {
        let choice = event["choices"].get(0).unwrap_or(&nothing);
        let message = choice.get("delta").or_else(|| choice.get("message")).unwrap_or(&nothing);
        whole.text.push_str(message["content"].as_str().unwrap_or_default());
        whole.text.push_str(message["refusal"].as_str().unwrap_or_default());
        refused |= message["refusal"].is_string();
        whole.reasoning.push_str(message["reasoning_content"].as_str().unwrap_or_default());
        for piece in message["tool_calls"].as_array().into_iter().flatten() {
            let call = calls.entry(piece["index"].as_u64().unwrap_or_default()).or_default();
            call.0.push_str(piece["id"].as_str().unwrap_or_default());
            call.1.push_str(piece["function"]["name"].as_str().unwrap_or_default());
            call.2.push_str(piece["function"]["arguments"].as_str().unwrap_or_default());
        }
        whole.stop = match choice["finish_reason"].as_str() {
            None => whole.stop,
            Some("length") => Some(StopReason::MaxTokens),
            Some("content_filter") => Some(StopReason::Safety),
            Some(_) if refused => Some(StopReason::Refusal),
            Some(_) => Some(StopReason::EndTurn),
        };
        if let Some(usage) = event["usage"].as_object() {
            let count = |pointer: &str| event["usage"].pointer(pointer).and_then(Value::as_u64).unwrap_or_default();
            let (read, written) = (usage["prompt_tokens"].as_u64(), usage["completion_tokens"].as_u64());
            whole.usage = [
                read.expect("a count"),
                written.expect("a count"),
                count("/prompt_tokens_details/cached_tokens"),
                count("/completion_tokens_details/reasoning_tokens"),
            ];
        }
    }
    let call = |(id, name, args): (String, String, String)| (id, name, serde_json::from_str(&args).expect("JSON"));
    whole.calls = calls.into_values().map(call).collect();
    whole
}
