//! One tool, or one setting, that the server refuses does not take the conversation.

use super::{
    config, goldens,
    server::{Reply, Seen, Server},
};
use crate::{Api, Config, GeminiProvider};
use futures::TryStreamExt;
use lockkeeper_ports::{LlmProvider, ModelEvent, Notice};
use lockkeeper_testkit::llm::history::{History, tool};
use serde_json::json;

fn refusing(words: &str) -> Reply {
    Reply::json(400, &json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": words}}))
}

fn golden(name: &str) -> String {
    goldens::all().into_iter().find(|(known, ..)| *known == name).expect("a golden").2
}

async fn notices(provider: &GeminiProvider, history: &History) -> Vec<Notice> {
    let stream = provider.generate(history.request(super::MODEL)).await.expect("accepted");
    let events: Vec<ModelEvent> = stream.try_collect().await.expect("an answer");
    events
        .into_iter()
        .filter_map(|event| if let ModelEvent::Notice(notice) = event { Some(notice) } else { None })
        .collect()
}

fn tools(seen: &Seen) -> Vec<String> {
    let declared = seen.body["tools"].pointer("/0/functionDeclarations").unwrap_or(&seen.body["tools"]);
    let names = declared.as_array().into_iter().flatten().filter_map(|tool| tool["name"].as_str());
    names.map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn a_declaration_that_is_refused_by_its_place_is_left_out_from_then_on() {
    for api in [Api::GenerateContent, Api::Interactions] {
        let server = Server::new(move |_, seen| match (tools(seen).iter().position(|name| name == "b__odd"), api) {
            (Some(at), Api::GenerateContent) => refusing(&format!(
                "* GenerateContentRequest.tools[0].function_declarations[{at}].parameters.properties[a]: bad"
            )),
            (Some(at), Api::Interactions) => refusing(&format!("tools[{at}].parameters: bad")),
            (None, Api::GenerateContent) => Reply::sse(golden("text")),
            (None, Api::Interactions) => Reply::sse(golden("interaction_with_text")),
        })
        .await;
        let properties = json!({"a": {"type": "string"}});
        let history =
            History::asked("Hello").with_tool(tool("a", "fine", &properties)).with_tool(tool("b", "odd", &properties));
        let provider = GeminiProvider::new(Config { api, ..config(&server.url) }).expect("valid");
        for requests in [2, 3] {
            let notices = notices(&provider, &history).await;
            assert!(
                matches!(notices.as_slice(), [Notice::ToolsLeftOut { tools, .. }] if tools[0].as_str() == "b__odd")
            );
            assert_eq!(server.seen().len(), requests);
        }
    }
}

#[tokio::test]
async fn an_unnamed_refusal_of_a_schema_makes_the_schemas_plainer() {
    let server = Server::new(|_, seen| {
        if seen.body["tools"].to_string().contains("minLength") {
            refusing("The schema of a function declaration is not valid")
        } else {
            Reply::sse(golden("text"))
        }
    })
    .await;
    let history = History::asked("Hello").with_tool(tool("a", "f", &json!({"x": {"type": "string", "minLength": 1}})));
    let provider = GeminiProvider::new(config(&server.url)).expect("valid");
    assert_eq!(notices(&provider, &history).await.len(), 1);
    assert_eq!(tools(&server.seen()[1]), ["a__f"]);
    notices(&provider, &history).await;
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_level_that_is_refused_is_told_and_not_asked_for_again() {
    let server = Server::new(|_, seen| {
        if seen.body.to_string().contains("thinkingLevel") {
            refusing("thinking_level is not supported by this model")
        } else {
            Reply::sse(golden("text"))
        }
    })
    .await;
    let config = Config { thinking_level: Some("high".to_owned()), ..config(&server.url) };
    let provider = GeminiProvider::new(config).expect("valid");
    for requests in [2, 3] {
        let notices = notices(&provider, &History::asked("Hello")).await;
        assert!(matches!(notices.as_slice(), [Notice::Adjusted { .. }]), "{notices:?}");
        assert_eq!(server.seen().len(), requests);
    }
}

#[tokio::test]
async fn a_signature_that_an_answer_misses_is_done_without() {
    let server = Server::replying([Reply::sse(golden("a_missing_signature")), Reply::sse(golden("text"))]).await;
    let provider = GeminiProvider::new(config(&server.url)).expect("valid");
    notices(&provider, &History::asked("Hello")).await;
    assert_eq!(server.seen().len(), 2);
}
