//! The requests as they go over the wire.

use crate::{Api, Config, failure::Feature};
use lockkeeper_domain::{Attachment, Code, Content, Replay, StopReason, ToolResult, Usage};
use lockkeeper_ports::{Completion, GenerateRequest, ProposedCall};
use lockkeeper_testkit::llm::history::{History, tool};
use serde_json::{Value, json};

fn image() -> Attachment {
    Attachment { name: Some("a.png".to_owned()), mime_type: "image/png".to_owned(), data: "iVBORw0KGgo=".to_owned() }
}

fn pdf() -> Attachment {
    Attachment { name: None, mime_type: "application/pdf".to_owned(), data: "JVBERi0=".to_owned() }
}

fn said(replay: Option<Replay>, calls: &[(&str, &str, Value)]) -> Completion {
    let call = |(id, name, args): &(&str, &str, Value)| ProposedCall {
        provider_id: Some((*id).to_owned()),
        name: (*name).to_owned(),
        args: args.clone(),
    };
    Completion {
        text: "I look.".to_owned(),
        reasoning: Some("Hm.".to_owned()),
        calls: calls.iter().map(call).collect(),
        stop: StopReason::EndTurn,
        usage: Usage::default(),
        replay,
    }
}

fn replay(provider: &str, api: Api, raw: Value) -> Replay {
    Replay { provider: provider.to_owned(), model: "m-0".to_owned(), api: api.name().to_owned(), raw }
}

fn responses_items() -> Value {
    json!([
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "ENC"},
        {"type": "message", "id": "msg_1", "role": "assistant", "phase": "commentary", "status": "completed",
         "content": [{"type": "output_text", "text": "I look.", "annotations": []}]},
        {"type": "function_call", "id": "fc_1", "call_id": "call_a", "name": "fs__read", "arguments": "{ \"path\": \"a\" }"},
        {"type": "function_call", "id": "fc_2", "call_id": "call_b", "name": "fs__read", "arguments": "{}"},
        {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "ENC2"},
    ])
}

fn chat_message() -> Value {
    json!({
        "role": "assistant", "content": "I look.", "reasoning_content": "Hm.",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "ENC"}],
        "tool_calls": [
            {"id": "call_a", "type": "function", "function": {"name": "fs__read", "arguments": "{ \"path\": \"a\" }"},
             "extra_content": {"google": {"thought_signature": "SIG"}}},
            {"id": "call_b", "type": "function", "function": {"name": "fs__read", "arguments": "{\"pa"}},
        ],
    })
}

/// A turn of everything, whose step was said with `replay`.
fn conversation(replay: Option<Replay>) -> GenerateRequest {
    let rich = ToolResult::succeeded(vec![
        Content::text("line"),
        Content::image("iVBORw0KGgo=", "image/png"),
        Content::Other(json!({"type": "resource_link", "uri": "file:///a"})),
    ]);
    let structured = ToolResult { structured: Some(json!({"lines": 1})), ..ToolResult::succeeded(Vec::new()) };
    let calls = [("call_a", "fs__read", json!({"path": "a"})), ("call_c", "no such.tool", json!("words"))];
    History::asked("Hello")
        .answer("Hello!")
        .user_with("What is this?", [image(), pdf()])
        .with_tool(tool("fs", "read", &json!({"path": {"type": "string"}})))
        .completed(said(replay, &calls), [rich, ToolResult::failed(Code::UnknownTool, "There is no such tool.")])
        .step(
            "",
            [
                ("fs__read", json!({"path": "b"}), structured),
                ("fs__read", Value::Null, ToolResult::succeeded(Vec::new())),
            ],
        )
        .request("m-1")
}

fn responses_body(replay: Option<Replay>) -> Value {
    super::responses_body(&Config::default(), &conversation(replay), &[])
}

fn chat_body(replay: Option<Replay>) -> Value {
    let config = Config { base_url: Some("http://127.0.0.1:1/v1".to_owned()), ..Config::default() };
    super::chat_body(&config, &conversation(replay), &[])
}

#[test]
fn a_conversation_goes_to_the_responses_api_with_its_items_as_they_came() {
    insta::assert_json_snapshot!(responses_body(Some(replay("openai", Api::Responses, responses_items()))));
}

#[test]
fn a_conversation_goes_to_the_responses_api_as_text_and_calls() {
    let degraded = responses_body(None);
    insta::assert_json_snapshot!(degraded);
    for foreign in [
        replay("claude", Api::Responses, responses_items()),
        replay("openai", Api::Chat, chat_message()),
        replay("openai", Api::Responses, json!("torn")),
    ] {
        assert_eq!(responses_body(Some(foreign)), degraded);
    }
}

#[test]
fn a_conversation_goes_to_chat_completions_with_what_the_server_wants_back() {
    insta::assert_json_snapshot!(chat_body(Some(replay("openai", Api::Chat, chat_message()))));
}

#[test]
fn a_conversation_goes_to_chat_completions_as_text_and_calls() {
    let degraded = chat_body(None);
    insta::assert_json_snapshot!(degraded);
    for foreign in [replay("gemini", Api::Chat, chat_message()), replay("openai", Api::Responses, responses_items())] {
        assert_eq!(chat_body(Some(foreign)), degraded);
    }
}

fn fields(body: &Value) -> Vec<&str> {
    body.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn what_a_server_refused_is_left_out() {
    let config = Config { reasoning_effort: Some("low".to_owned()), ..Config::default() };
    let local = Config { base_url: Some("http://127.0.0.1:1/v1".to_owned()), ..Config::default() };
    let request = History::asked("Hello").request("m");
    let with = |without: &[Feature]| super::responses_body(&config, &request, without);
    assert_eq!(with(&[])["reasoning"], json!({"effort": "low", "summary": "auto"}));
    assert_eq!(with(&[Feature::Summary])["reasoning"], json!({"effort": "low"}));
    assert!(!fields(&with(&[Feature::Encrypted])).contains(&"include"));
    let plain = with(&[Feature::Reasoning]);
    assert!(!fields(&plain).contains(&"include") && !fields(&plain).contains(&"reasoning"));
    let raw = replay("openai", Api::Responses, responses_items());
    let without = super::responses_body(&Config::default(), &conversation(Some(raw)), &[Feature::Replay]);
    assert_eq!(without, responses_body(None));
    let blind = [
        super::responses_body(&Config::default(), &conversation(None), &[Feature::Images]),
        super::chat_body(&local, &conversation(None), &[Feature::Images]),
    ];
    for body in blind.map(|body| body.to_string()) {
        assert!(!body.contains("base64"), "{body}");
        assert_eq!(body.matches("cannot see").count(), 3, "{body}");
    }
    let chat_with = |config: &Config, without: &[Feature]| super::chat_body(config, &request, without);
    assert!(!fields(&chat_with(&config, &[Feature::StreamOptions])).contains(&"stream_options"));
    assert!(fields(&chat_with(&config, &[])).contains(&"max_completion_tokens"));
    assert!(fields(&chat_with(&config, &[Feature::TokenLimit])).contains(&"max_tokens"));
    assert!(fields(&chat_with(&local, &[])).contains(&"max_tokens"));
    assert!(fields(&chat_with(&local, &[Feature::TokenLimit])).contains(&"max_completion_tokens"));
}

#[test]
fn reasoning_stays_here_where_its_server_does_not_want_it_back() {
    let config = Config { echo_reasoning: false, ..Config::default() };
    let body = super::chat_body(&config, &conversation(Some(replay("openai", Api::Chat, chat_message()))), &[]);
    assert!(!body.to_string().contains("reasoning_content"));
    assert!(body.to_string().contains("reasoning_details"));
}

#[test]
fn a_request_of_little_has_few_fields() {
    let mut request = History::asked("Hello").request("m");
    request.system = "".into();
    request.max_output_tokens = 1;
    let config = Config { reasoning_summary: String::new(), ..Config::default() };
    let body = super::responses_body(&config, &request, &[]);
    assert_eq!(
        fields(&body),
        ["model", "input", "max_output_tokens", "store", "stream", "prompt_cache_key", "include"]
    );
    assert_eq!(body["max_output_tokens"], 16);
    let chat = super::chat_body(&config, &request, &[]);
    assert_eq!(fields(&chat), ["model", "messages", "stream", "stream_options", "max_completion_tokens"]);
}
