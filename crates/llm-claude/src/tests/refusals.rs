//! One tool, one file or one field that the server refuses does not take the conversation.

use super::{
    config, goldens, provider,
    server::{Reply, Seen, Server},
};
use crate::{ClaudeProvider, Config};
use futures::TryStreamExt;
use lockkeeper_domain::Attachment;
use lockkeeper_ports::{Completion, LlmProvider, ModelEvent, Notice};
use lockkeeper_testkit::llm::history::{History, tool};
use serde_json::{Value, json};

fn refusing(words: &str) -> Reply {
    Reply::json(400, &json!({"type": "error", "error": {"type": "invalid_request_error", "message": words}}))
}

fn golden(name: &str) -> String {
    goldens::all().into_iter().find(|(known, _)| *known == name).expect("a golden").1
}

async fn ask(provider: &ClaudeProvider, history: &History) -> (Vec<Notice>, Completion) {
    let stream = provider.generate(history.request(super::MODEL)).await.expect("accepted");
    let events: Vec<ModelEvent> = stream.try_collect().await.expect("an answer");
    let (mut notices, mut end) = (Vec::new(), None);
    for event in events {
        match event {
            ModelEvent::Notice(notice) => notices.push(notice),
            ModelEvent::Completed(completion) => end = Some(completion),
            _ => {}
        }
    }
    (notices, end.expect("a completion"))
}

fn tools(seen: &Seen) -> Vec<String> {
    let names = seen.body["tools"].as_array().into_iter().flatten();
    names.filter_map(|tool| tool["name"].as_str()).map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn a_tool_that_is_refused_by_its_place_is_left_out_from_then_on() {
    let server = Server::new(|_, seen| match tools(seen).iter().position(|name| name == "b__odd") {
        Some(at) => refusing(&format!("tools.{at}.custom.input_schema: JSON schema is invalid")),
        None => Reply::sse(golden("text")),
    })
    .await;
    let properties = json!({"a": {"type": "string"}});
    let history = History::asked("Hello")
        .with_tool(tool("a", "fine", &properties))
        .with_tool(tool("b", "odd", &properties))
        .with_tool(tool("c", "fine", &properties));
    let provider = provider(&server.url);
    for requests in [2, 3] {
        let (notices, answer) = ask(&provider, &history).await;
        let [Notice::ToolsLeftOut { tools, reason }] = notices.as_slice() else { panic!("one notice: {notices:?}") };
        assert_eq!(tools[0].as_str(), "b__odd");
        assert!(reason.contains("JSON schema is invalid"), "{reason}");
        assert!(!answer.text.is_empty());
        assert_eq!(server.seen().len(), requests);
    }
    assert_eq!(tools(&server.seen()[2]), ["a__fine", "c__fine"]);
}

#[tokio::test]
async fn names_of_properties_go_out_as_the_vendor_takes_them_and_come_back_as_the_tools() {
    let call = golden("a_call_that_is_not_json")
        .replace("{path: a", "{\\\"_top\\\": 5}")
        .replace("\"name\":\"f\"", "\"name\":\"a__list\"");
    let server = Server::replying([Reply::sse(call)]).await;
    let history = History::asked("List").with_tool(tool("a", "list", &json!({"$top": {"type": "integer"}})));
    let (_, answer) = ask(&provider(&server.url), &history).await;
    assert_eq!(answer.calls[0].args, json!({"$top": 5}));
    let replay = answer.replay.expect("a replay").raw.to_string();
    assert!(replay.contains("_top") && !replay.contains("$top"), "the vendor gets its own words back: {replay}");
    let schema = &server.seen()[0].body["tools"][0]["input_schema"];
    assert_eq!(schema["properties"]["_top"]["type"], "integer");
}

#[tokio::test]
async fn a_file_that_is_refused_becomes_a_line_from_then_on() {
    let png = "iVBORw0KGgoAAAANSUhEUg==";
    let server = Server::new(move |_, seen| {
        if seen.body.to_string().contains(png) {
            refusing("messages.0.content.1.image.source.base64: Could not process image")
        } else {
            Reply::sse(golden("text"))
        }
    })
    .await;
    let file = Attachment { name: None, mime_type: "image/png".to_owned(), data: png.to_owned() };
    let history = History::asked("").user_with("What is this?", [file]);
    let provider = provider(&server.url);
    let (notices, _) = ask(&provider, &history).await;
    assert!(
        matches!(notices.as_slice(), [Notice::Adjusted { text }] if text.contains("Could not process")),
        "{notices:?}"
    );
    ask(&provider, &history).await;
    assert_eq!(server.seen().len(), 3, "it is not sent again");
    assert!(!server.seen()[2].body.to_string().contains(png));
}

#[tokio::test]
async fn an_effort_or_a_cache_that_is_refused_is_told_and_not_asked_for_again() {
    let server = Server::new(|_, seen| {
        if seen.body["output_config"].is_object() {
            refusing("output_config.effort: this model does not support effort")
        } else if seen.body.to_string().contains("cache_control") {
            refusing("system.0.cache_control: Extra inputs are not permitted")
        } else {
            Reply::sse(golden("text"))
        }
    })
    .await;
    let config = Config { effort: Some("max".to_owned()), ..config(&server.url) };
    let provider = ClaudeProvider::new(config).expect("valid");
    for requests in [3, 4] {
        let (notices, _) = ask(&provider, &History::asked("Hello")).await;
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert_eq!(server.seen().len(), requests);
    }
    assert!(server.seen()[3].body["thinking"].is_object(), "nothing else is left out");
}

#[tokio::test]
async fn a_refused_signature_is_refused_once() {
    let server = Server::new(|_, seen| {
        if seen.body["messages"].to_string().contains("\"signature\"") {
            refusing("messages.1.content.0: Invalid `signature` in `thinking` block")
        } else {
            Reply::sse(golden("thinking_and_parallel_calls"))
        }
    })
    .await;
    let provider = provider(&server.url);
    let (_, said) = ask(&provider, &History::asked("Hello")).await;
    let results = said.calls.iter().map(|_| lockkeeper_domain::ToolResult::succeeded(Vec::new()));
    let history = History::asked("Hello").completed(said.clone(), results.collect::<Vec<_>>());
    for requests in [3, 4] {
        ask(&provider, &history).await;
        assert_eq!(server.seen().len(), requests);
    }
    let content = &server.seen()[3].body["messages"][1]["content"];
    let kinds: Vec<&Value> = content.as_array().expect("blocks").iter().map(|block| &block["type"]).collect();
    assert!(kinds.iter().all(|kind| **kind != "thinking"), "{kinds:?}");
}
