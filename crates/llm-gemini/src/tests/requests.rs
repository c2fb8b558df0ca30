use crate::{Api, Config, request};
use lockkeeper_domain::{Attachment, Code, Content, Message, Replay, StopReason, ToolResult, Usage};
use lockkeeper_ports::{Completion, GenerateRequest, ProposedCall};
use lockkeeper_testkit::llm::history::{History, tool};
use serde_json::{Value, json};

/// The body of the request, after the history went through the store.
fn body(request: GenerateRequest, config: &Config) -> Value {
    let json = serde_json::to_string(&request.messages).expect("JSON");
    let messages: Vec<Message> = serde_json::from_str(&json).expect("a history");
    assert_eq!(messages, request.messages);
    request::of(GenerateRequest { messages, ..request }, config, &lockkeeper_llm_common::Memory::default())
        .expect("a request")
        .body
}

fn interactions() -> Config {
    Config { api: Api::Interactions, ..Config::default() }
}

#[track_caller]
fn check(name: &str, history: &History) {
    insta::assert_json_snapshot!(format!("generate_{name}"), body(history.request(super::MODEL), &Config::default()));
    insta::assert_json_snapshot!(format!("interactions_{name}"), body(history.request(super::MODEL), &interactions()));
}

fn ok(text: &str) -> ToolResult {
    ToolResult::succeeded(vec![Content::text(text)])
}

fn said(api: &str, raw: Value, calls: &[(Option<&str>, &str)]) -> Completion {
    let call = |(id, name): &(Option<&str>, &str)| ProposedCall {
        provider_id: id.map(ToOwned::to_owned),
        name: (*name).to_owned(),
        args: json!({"path": "a"}),
    };
    Completion {
        text: "I look.".to_owned(),
        reasoning: Some("Hm.".to_owned()),
        calls: calls.iter().map(call).collect(),
        stop: StopReason::EndTurn,
        usage: Usage::default(),
        replay: Some(Replay {
            provider: "gemini".to_owned(),
            model: super::MODEL.to_owned(),
            api: api.to_owned(),
            raw,
        }),
    }
}

fn parts() -> Value {
    json!([
        {"text": "I look."},
        {"functionCall": {"id": "c1", "name": "fs__read", "args": {"path": "a"}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "fs__read", "args": {"path": "a"}}},
        {"a_part_to_come": [1, {"b": null}]},
        {"text": "", "thoughtSignature": "ZW5k"},
    ])
}

const CALLS: [(Option<&str>, &str); 2] = [(Some("c1"), "fs__read"), (None, "fs__read")];

#[test]
fn a_question_with_tools() {
    let schema = json!({"path": {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/x"}]}});
    check("plain", &History::asked("Hello").with_tool(tool("fs", "read", &schema)));
    let config = Config { thinking: false, thinking_level: Some("low".to_owned()), ..Config::default() };
    let request = History::asked("Hello").request(super::MODEL);
    let generation = |config: &Config, key: &str| body(request.clone(), config)[key].clone();
    let expected = json!({"maxOutputTokens": 1024, "thinkingConfig": {"thinkingLevel": "low"}});
    assert_eq!(generation(&config, "generationConfig"), expected);
    let expected = json!({"max_output_tokens": 1024, "thinking_level": "low"});
    assert_eq!(generation(&Config { api: Api::Interactions, ..config }, "generation_config"), expected);
}

#[test]
fn what_gemini_said_goes_back_word_for_word() {
    let step = said("generate_content", parts(), &CALLS);
    let history = History::asked("Read").completed(step, [ok("1"), ToolResult::failed(Code::Denied, "no")]);
    let body = body(history.request(super::MODEL), &Config::default());
    assert_eq!(body["contents"][1], json!({"role": "model", "parts": parts()}));
    let responses = json!([
        {"functionResponse": {"id": "c1", "name": "fs__read", "response": {"output": "1"}}},
        {"functionResponse": {"name": "fs__read", "response": {"error": "no"}}},
    ]);
    assert_eq!(body["contents"][2], json!({"role": "user", "parts": responses}), "all in one content, in order");
}

#[test]
fn the_steps_of_an_interaction_go_back_word_for_word() {
    let steps = json!([
        {"type": "thought", "signature": "c2ln"},
        {"type": "function_call", "id": "c1", "name": "fs__read", "arguments": {"path": "a"}, "signature": ""},
        {"type": "a_step_to_come", "anything": [null]},
    ]);
    let history = History::asked("Read").completed(said("interactions", steps.clone(), &CALLS[..1]), [ok("1")]);
    let input = body(history.request(super::MODEL), &interactions())["input"].clone();
    assert_eq!(input.as_array().map(|input| Value::Array(input[1..4].to_vec())), Some(steps));
    let result = json!({"type": "function_result", "call_id": "c1", "name": "fs__read", "result": [{"type": "text", "text": "1"}]});
    assert_eq!(input[4], result);
}

#[test]
fn a_replay_that_does_not_fit_degrades_to_text_and_calls() {
    let other = |change: &dyn Fn(&mut Replay)| {
        let mut step = said("generate_content", parts(), &CALLS);
        change(step.replay.as_mut().expect("a replay"));
        History::asked("Read it").completed(step, [ok("1"), ok("2")])
    };
    let expected = other(&|replay| replay.provider = "claude".to_owned());
    check("degraded", &expected);
    let expected = body(expected.request(super::MODEL), &Config::default());
    let same = |change: &dyn Fn(&mut Replay)| {
        assert_eq!(body(other(change).request(super::MODEL), &Config::default()), expected);
    };
    same(&|replay| replay.api = "interactions".to_owned());
    same(&|replay| replay.raw = json!({"not": "parts"}));
    same(&|replay| replay.raw = json!([null, 7, {"text": "x"}]));
    same(&|replay| replay.raw = json!([{"functionCall": {"id": "c1", "name": "another"}}]));
}

#[test]
fn the_first_call_of_a_step_is_signed_for_models_that_check_it() {
    let unsigned = json!([{"functionCall": {"name": "f", "args": {}}}, {"functionCall": {"name": "f", "args": {}}}]);
    let step = said("generate_content", unsigned.clone(), &[(None, "f"), (None, "f")]);
    let history = History::asked("Read").completed(step, [ok("1"), ok("2")]);
    let contents = |model: &str| body(history.request(model), &Config::default())["contents"][1]["parts"].clone();
    assert_eq!(contents("gemini-2.5-flash"), unsigned);
    let signed = contents("gemini-3-pro");
    assert_eq!(signed[0]["thoughtSignature"], "skip_thought_signature_validator");
    assert_eq!(signed[1], unsigned[1]);
}

#[test]
fn an_answer_of_nothing_leaves_nothing_behind() {
    let nothing = Completion { text: String::new(), replay: None, ..said("", json!([]), &[]) };
    let history = History::asked("a").completed(nothing, []).user("b");
    let contents = body(history.request(super::MODEL), &Config::default())["contents"].clone();
    assert_eq!(contents.as_array().map(Vec::len), Some(2));
}

#[test]
fn files_and_results_of_every_kind() {
    let file = |name: &str, mime: &str| Attachment {
        name: Some(name.to_owned()),
        mime_type: mime.to_owned(),
        data: "AAAA".to_owned(),
    };
    let files = [file("a.png", "image/png"), file("b.pdf", "application/pdf"), file("c.svg", "image/svg+xml")];
    let rich = vec![
        Content::text("line"),
        Content::image("AAAA", "image/webp"),
        Content::image("AAAA", "image/tiff"),
        Content::Other(json!({"type": "resource_link", "uri": "file:///a"})),
    ];
    let structured = ToolResult { structured: Some(json!({"n": 1})), ..ToolResult::succeeded(Vec::new()) };
    let history = History::default().user_with("What is this?", files).step(
        "",
        [
            ("fs__read", json!({"path": "a"}), ToolResult::succeeded(rich)),
            ("fs__read", json!({}), structured),
            ("1 no such tool!", json!("not an object"), ToolResult::failed(Code::UnknownTool, "none")),
        ],
    );
    check("files", &history);
    let older = body(history.request("gemini-2.5-flash"), &Config::default())["contents"].clone();
    assert_eq!(older[2]["parts"][0]["functionResponse"].get("parts"), None);
    assert_eq!(older[3]["parts"][0]["inlineData"]["mimeType"], "image/webp", "beside the responses for older models");
}
