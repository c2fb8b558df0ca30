use crate::{
    Config, PromptCache,
    request::{Offers, Request},
};
use lockkeeper_domain::{Attachment, Code, Content, Message, Replay, StopReason, ToolResult, Usage};
use lockkeeper_llm_common::Memory;
use lockkeeper_ports::{Completion, GenerateRequest, ProposedCall};
use lockkeeper_testkit::llm::history::{History, tool};
use serde_json::{Value, json};

fn body_of(request: &GenerateRequest, config: &Config) -> Value {
    Request::new(request.clone(), config, Offers::Binding, &Memory::default()).body
}

#[track_caller]
fn check(name: &str, history: &History, config: &Config) {
    insta::assert_json_snapshot!(name, body_of(&stored(history.request(super::MODEL)), config));
}

/// The request as it is after the history went through the store.
fn stored(request: GenerateRequest) -> GenerateRequest {
    let json = serde_json::to_string(&request.messages).expect("JSON");
    let messages: Vec<Message> = serde_json::from_str(&json).expect("a history");
    assert_eq!(messages, request.messages);
    GenerateRequest { messages, ..request }
}

fn ok(text: &str) -> ToolResult {
    ToolResult::succeeded(vec![Content::text(text)])
}

fn said(replay: Value, calls: &[(&str, &str, Value)]) -> Completion {
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
        replay: Some(Replay {
            provider: "claude".to_owned(),
            model: super::MODEL.to_owned(),
            api: "messages".to_owned(),
            raw: replay,
        }),
    }
}

fn signed(id: &str) -> Value {
    json!([
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "a_type_to_come", "anything": [1, {"b": null}]},
        {"type": "text", "text": "I look."},
        {"type": "tool_use", "id": id, "name": "fs__read", "input": {"z": 1, "a": 1.0}, "caller": {"type": "direct"}},
    ])
}

#[test]
fn a_plain_question() {
    check("plain", &History::asked("Hello"), &Config::default());
}

#[test]
fn every_switch_of_the_configuration() {
    let config = Config {
        thinking: true,
        effort: Some("high".to_owned()),
        drop_unbound_thinking: false,
        prompt_cache: PromptCache::OneHour,
        ..Config::default()
    };
    let history = History::asked("Hello").with_tool(tool("fs", "read", &json!({"path": {"type": "string"}})));
    check("switches", &history, &config);
    check("bare", &history, &Config { thinking: false, prompt_cache: PromptCache::Off, ..Config::default() });
}

#[test]
fn the_marks_of_the_cache_are_never_more_than_the_vendor_takes() {
    let mut history = History::asked("Hello").with_tool(tool("fs", "read", &json!({})));
    for n in 0..9 {
        history = history.step("", [("fs__read", json!({}), ok("x"))]).answer("So.").user(format!("And {n}?"));
        for system in ["You help.", ""] {
            let request = GenerateRequest { system: system.into(), ..history.request(super::MODEL) };
            let body = body_of(&request, &Config::default()).to_string();
            assert!((2..=4).contains(&body.matches("cache_control").count()), "{body}");
        }
    }
}

#[test]
fn what_claude_said_goes_back_word_for_word() {
    let step = said(signed("toolu_1"), &[("toolu_1", "fs__read", json!({"z": 1, "a": 1.0}))]);
    check("replay", &History::asked("Read it").completed(step, [ok("line")]), &Config::default());
}

#[test]
fn a_replay_that_does_not_fit_degrades_to_text_and_calls() {
    let other = |change: &dyn Fn(&mut Replay)| {
        let mut step = said(signed("toolu_1"), &[("toolu_1", "fs__read", json!({"a": 1}))]);
        change(step.replay.as_mut().expect("a replay"));
        let history = History::asked("Read it").completed(step, [ok("line")]);
        body_of(&stored(history.request(super::MODEL)), &Config::default())
    };
    let expected = other(&|replay| replay.provider = "gemini".to_owned());
    insta::assert_json_snapshot!("degraded", expected);
    assert_eq!(other(&|replay| replay.api = "another".to_owned()), expected);
    assert_eq!(other(&|replay| replay.raw = json!({"not": "blocks"})), expected);
    assert_eq!(other(&|replay| replay.raw = json!([null, 7, {"text": "x"}])), expected);
    assert_eq!(other(&|replay| replay.raw = signed("toolu_another")), expected);
    assert_eq!(other(&|replay| replay.raw = signed("not an id")), expected);
}

#[test]
fn ids_that_return_are_replaced() {
    let step = || said(signed("call_0"), &[("call_0", "fs__read", json!({}))]);
    let history = History::asked("Read it").completed(step(), [ok("1")]).completed(step(), [ok("2")]);
    let body = body_of(&history.request(super::MODEL), &Config::default());
    let ids = |key: &str| {
        let blocks = body["messages"].as_array().into_iter().flatten().filter_map(|m| m["content"].as_array().cloned());
        blocks.flatten().filter_map(|b| b[key].as_str().map(ToOwned::to_owned)).collect::<Vec<_>>()
    };
    assert_eq!(ids("id"), ["call_0", "call_1_1_0"]);
    assert_eq!(ids("tool_use_id"), ["call_0", "call_1_1_0"]);
}

#[test]
fn what_the_vendor_gives_out_and_refuses_does_not_go_back() {
    let raw = json!([
        {"type": "thinking", "thinking": "no signature"},
        {"type": "text", "text": "\n\n"},
        {"type": "text", "text": "So."},
    ]);
    let history = History::asked("Hello").completed(said(raw, &[]), []).user("And?");
    let body = body_of(&history.request(super::MODEL), &Config::default());
    assert_eq!(body["messages"][1], json!({"role": "assistant", "content": [{"type": "text", "text": "So."}]}));
    // An answer of nothing at all leaves no message behind, and the user's messages around it become one.
    let nothing = Completion { text: String::new(), replay: None, ..said(json!([]), &[]) };
    let body = body_of(&History::asked("a").completed(nothing, []).user("b").request("m"), &Config::default());
    assert_eq!(body["messages"].as_array().map(Vec::len), Some(1));
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
        Content::text(""),
        Content::image("AAAA", "image/webp"),
        Content::image("AAAA", "image/tiff"),
        Content::Other(json!({"type": "resource_link", "uri": "file:///a"})),
    ];
    let failed = ToolResult { content: rich.clone(), ..ToolResult::failed(Code::ToolFailed, "") };
    let structured = ToolResult { structured: Some(json!({"n": 1})), ..ToolResult::succeeded(Vec::new()) };
    let history = History::default().user_with("What is this?", files).user_with("", []).step(
        "",
        [
            ("fs__read", json!({"path": "a"}), ToolResult::succeeded(rich)),
            ("fs__read", json!({}), failed),
            ("fs__read", json!({}), structured),
            ("no such tool!", json!("not an object"), ToolResult::succeeded(Vec::new())),
        ],
    );
    check("files", &history, &Config { prompt_cache: PromptCache::Off, ..Config::default() });
}
