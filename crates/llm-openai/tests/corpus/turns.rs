//! Conversations: what the provider sends back in a later turn is what the recorded client sent back, as far as the
//! vendor looks at it: kinds, order, ids, signatures, names, arguments.

use crate::case::{Bench, Case};
use lockkeeper_domain::{Content, Message, ToolResult};
use lockkeeper_llm_openai::Api;
use lockkeeper_ports::{Completion, GenerateRequest};
use lockkeeper_testkit::llm::history::History;
use serde_json::{Value, json};

/// Replays the turns of one conversation.
pub(crate) async fn replay(turns: Vec<Case>) {
    let Some(first) = turns.first() else { return };
    let bench = Bench::new(first.api()).await;
    let mut history: Option<History> = None;
    let mut before: Option<(Value, Completion)> = None;
    for case in &turns {
        let said = before.as_ref().map(|(_, said)| said);
        let input = said.map_or_else(|| input(case), |said| with_call_ids(input(case), said));
        let continued = match (history.take(), &before) {
            // The client sent the same again, or leaned on what the vendor had stored: nothing to compare.
            (Some(told), Some((earlier, _))) if told_again(case, &input, earlier) => (told, false),
            (Some(told), Some((earlier, said))) => (go_on(told, said, &input, earlier), true),
            _ => (begin(&input), false),
        };
        let (told, compares) = continued;
        let (heard, body) = bench.hear(case.reply(), stored(told.request("m"))).await;
        let completion = heard.completion().unwrap_or_else(|| panic!("{}: {:?}", case.name, heard.error)).clone();
        if compares {
            let sent = match case.api() {
                Api::Responses => &body["input"],
                Api::Chat => &body["messages"],
            };
            compare(case, sent, &input);
        }
        history = Some(told);
        before = Some((input, completion));
    }
}

fn input(case: &Case) -> Value {
    let field = if case.api() == Api::Chat { "messages" } else { "input" };
    match &case.request[field] {
        Value::String(text) => json!([{"role": "user", "content": text}]),
        input => input.clone(),
    }
}

/// One recorded client sent the id of the item in place of the call's: both name the same call.
fn with_call_ids(mut input: Value, said: &Completion) -> Value {
    let raw = said.replay.as_ref().map(|replay| replay.raw.clone()).unwrap_or_default();
    let call_id = |id: &Value| items(&raw).find(|item| item["id"] == *id).map(|item| item["call_id"].clone());
    for item in input.as_array_mut().into_iter().flatten() {
        if let Some(call_id) = item.get("call_id").and_then(call_id) {
            item["call_id"] = call_id;
        }
    }
    input
}

fn told_again(case: &Case, input: &Value, earlier: &Value) -> bool {
    input == earlier || case.request["previous_response_id"].is_string()
}

/// The request as it is after the history was stored and loaded.
fn stored(mut request: GenerateRequest) -> GenerateRequest {
    let text = serde_json::to_string(&request.messages).expect("JSON");
    request.messages = serde_json::from_str::<Vec<Message>>(&text).expect("the same JSON");
    request
}

fn items(input: &Value) -> impl Iterator<Item = &Value> {
    input.as_array().into_iter().flatten()
}

fn users(input: &Value) -> Vec<String> {
    let text = |item: &Value| match &item["content"] {
        Value::String(text) => text.clone(),
        parts => items(parts).filter_map(|part| part["text"].as_str()).collect::<Vec<_>>().join("\n"),
    };
    items(input).filter(|item| item["role"] == "user").map(text).collect()
}

fn begin(input: &Value) -> History {
    users(input).into_iter().fold(History::default(), History::user)
}

/// The conversation after the model `said` something: with the results and the questions that `input` adds.
fn go_on(told: History, said: &Completion, input: &Value, earlier: &Value) -> History {
    let result = |id: Option<&str>| {
        let is_result =
            |item: &&Value| id.is_some() && (item["call_id"].as_str() == id || item["tool_call_id"].as_str() == id);
        let item = items(input).filter(is_result).find_map(|item| item["output"].as_str().or(item["content"].as_str()));
        ToolResult::succeeded(vec![Content::text(item.unwrap_or_default())])
    };
    let results: Vec<ToolResult> = said.calls.iter().map(|call| result(call.provider_id.as_deref())).collect();
    let told = told.completed(said.clone(), results);
    users(input).into_iter().skip(users(earlier).len()).fold(told, History::user)
}

/// Everything that the recorded client sent back is there, in its order and with its signatures.
fn compare(case: &Case, sent: &Value, recorded: &Value) {
    let expected: Vec<Value> = items(recorded).filter_map(essence).collect();
    let found: Vec<Value> = items(sent).filter_map(essence).collect();
    assert!(!expected.is_empty(), "{}: nothing to compare", case.name);
    // Some clients leave out what they think is not needed, such as ids; what they send must be in ours.
    let mut rest = found.iter();
    for item in &expected {
        let held =
            rest.any(|ours| item.as_object().is_some_and(|fields| fields.iter().all(|(k, v)| ours.get(k) == Some(v))));
        assert!(held, "{}: {item} is not sent, or not in its place: {found:#?}", case.name);
    }
}

/// What a vendor looks at in an item; none for what the client may word as it likes.
fn essence(item: &Value) -> Option<Value> {
    let parsed = |args: &Value| serde_json::from_str::<Value>(args.as_str().unwrap_or("{}")).expect("JSON");
    let keep = |fields: &[&str]| {
        let kept = fields.iter().filter(|field| item.get(**field).is_some_and(|value| !value.is_null()));
        kept.map(|field| ((*field).to_owned(), item[*field].clone())).collect::<Value>()
    };
    match (item["type"].as_str().unwrap_or("message"), item["role"].as_str()) {
        ("reasoning", _) => Some(keep(&["type", "id", "encrypted_content", "summary"])),
        ("function_call", _) => {
            let mut call = keep(&["type", "id", "call_id", "name"]);
            call["arguments"] = parsed(&item["arguments"]);
            Some(call)
        }
        ("function_call_output", _) => Some(keep(&["type", "call_id", "output"])),
        ("message", Some("tool")) => Some(keep(&["role", "tool_call_id", "content"])),
        ("message", Some("assistant")) => {
            let mut message = keep(&["role", "id"]);
            for (at, call) in items(&item["tool_calls"]).enumerate() {
                let args = parsed(&call["function"]["arguments"]);
                message[format!("call_{at}")] = json!([call["id"], call["function"]["name"], args]);
            }
            Some(message)
        }
        _ => None,
    }
}
