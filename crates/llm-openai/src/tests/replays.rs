//! What goes back is what came, also after it was stored.

use super::{SSE, hear, runtime, wire};
use crate::{Api, Config};
use lockkeeper_domain::{Message, ToolResult};
use lockkeeper_ports::GenerateRequest;
use lockkeeper_testkit::llm::history::History;
use serde_json::{Value, json};

/// The request after the answer of `wire`, whose calls all succeeded, once the history has been stored and loaded.
fn next_request(api: Api, wire: &str) -> GenerateRequest {
    let heard = runtime().block_on(hear(api, SSE, wire.as_bytes(), 4_096));
    let completion = heard.completion().expect("a whole answer").clone();
    let results: Vec<_> = completion.calls.iter().map(|_| ToolResult::succeeded(Vec::new())).collect();
    let mut request = History::asked("Go").completed(completion, results).request("m");
    let stored = serde_json::to_string(&request.messages).expect("JSON");
    request.messages = serde_json::from_str::<Vec<Message>>(&stored).expect("the same JSON");
    request
}

fn done(index: u64, item: &Value) -> String {
    json!({"type": "response.output_item.done", "output_index": index, "item": item}).to_string()
}

#[test]
fn items_go_back_word_for_word_and_in_their_order() {
    let items = [
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "final", "new_field": [1.5, null]}),
        json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "X"}),
        json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{ \"z\": 1,  \"a\": 2 }", "status": "completed"}),
        json!({"type": "function_call", "id": "fc_2", "call_id": "c2", "name": "g", "arguments": "", "status": "completed"}),
    ];
    let added = json!({"type": "response.output_item.added", "output_index": 0,
        "item": {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "draft"}});
    // The ends come in another order than the items stand.
    let events = [added.to_string(), done(2, &items[2]), done(0, &items[0]), done(3, &items[3]), done(1, &items[1])];
    let mut events: Vec<&str> = events.iter().map(String::as_str).collect();
    events.push(r#"{"type":"response.completed","response":{"status":"completed"}}"#);
    let body = super::responses_body(&Config::default(), &next_request(Api::Responses, &wire(&events)), &[]);
    let input = body["input"].as_array().expect("a list");
    assert_eq!(input[1..5], items, "{body}");
    let text = input[3].to_string();
    assert!(text.contains(r#"{ \"z\": 1,  \"a\": 2 }"#), "{text}");
    assert_eq!(input[5], json!({"type": "function_call_output", "call_id": "c1", "output": "(no output)"}));
    assert_eq!(input[6]["call_id"], "c2");
    assert_eq!(input.len(), 7);
}

#[test]
fn a_call_that_was_not_run_and_the_reasoning_before_it_stay_away() {
    let events = [
        done(0, &json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hm"}]})),
        done(1, &json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "E"})),
        done(
            2,
            &json!({"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"x\"", "status": "incomplete"}),
        ),
        r#"{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}"#.to_owned(),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let body = super::responses_body(&Config::default(), &next_request(Api::Responses, &wire(&events)), &[]);
    let input = body["input"].as_array().expect("a list");
    assert_eq!(input.len(), 2, "{body}");
    assert_eq!(input[1]["type"], "message");
}

#[test]
fn a_custom_call_gets_a_result_of_its_kind() {
    let events = [
        done(0, &json!({"type": "custom_tool_call", "id": "ct", "call_id": "c1", "name": "f", "input": "as is"})),
        r#"{"type":"response.completed","response":{}}"#.to_owned(),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let body = super::responses_body(&Config::default(), &next_request(Api::Responses, &wire(&events)), &[]);
    assert_eq!(body.pointer("/input/1/input"), Some(&json!("as is")));
    assert_eq!(body.pointer("/input/2/type"), Some(&json!("custom_tool_call_output")));
}

#[test]
fn a_chat_message_goes_back_with_its_signatures() {
    let events = [
        r#"{"choices":[{"delta":{"reasoning":"Hm","reasoning_details":[{"type":"reasoning.encrypted","data":"E"}],"extra_content":{"google":{"thought":true}}}}]}"#,
        r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","extra_content":{"google":{"thought_signature":"S"}},"function":{"name":"f","arguments":"{ \"x\": 1 }"}},{"index":1,"id":"","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ];
    let body = super::chat_body(&Config::default(), &next_request(Api::Chat, &wire(&events)), &[]);
    let messages = body["messages"].as_array().expect("a list");
    let expected = json!({
        "role": "assistant", "content": null, "reasoning": "Hm",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "E"}],
        "extra_content": {"google": {"thought": true}},
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{ \"x\": 1 }"},
             "extra_content": {"google": {"thought_signature": "S"}}},
            {"id": "call_1_0_1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        ],
    });
    assert_eq!(messages[2], expected);
    assert_eq!(messages[3]["tool_call_id"], "a");
    assert_eq!(messages[4]["tool_call_id"], "call_1_0_1");
}
