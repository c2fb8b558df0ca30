//! What is true of every `LlmProvider`, whatever it says. An adapter of a vendor runs this against a stand-in for
//! the vendor's server that answers each request with some text.

use super::history::{History, tool};
use futures::{StreamExt, TryStreamExt};
use lockkeeper_domain::{Code, Content, Replay, ToolResult};
use lockkeeper_ports::{Completion, GenerateRequest, LlmProvider, ModelEvent};
use serde_json::json;

/// Runs the whole suite.
///
/// # Panics
/// With what the provider did wrong.
pub async fn llm_contract(provider: &dyn LlmProvider) {
    a_plain_question_streams_a_whole_answer(provider).await;
    an_answer_may_be_dropped(provider).await;
    the_default_model_is_one_of_the_models(provider).await;
    an_answer_can_be_sent_back(provider).await;
    calls_and_results_can_be_sent_back(provider).await;
    what_another_provider_made_is_no_error(provider).await;
}

/// A plain question streams text and ends with exactly one completion, which holds the same text.
pub async fn a_plain_question_streams_a_whole_answer(provider: &dyn LlmProvider) {
    let request = question().request(provider.default_model());
    let completion = whole_answer(provider, request).await;
    assert!(!completion.text.is_empty(), "a plain question gets an answer");
    assert!(completion.calls.is_empty(), "nobody offered a tool");
}

/// An answer may be dropped unread or in its middle, and the provider goes on.
pub async fn an_answer_may_be_dropped(provider: &dyn LlmProvider) {
    let request = question().request(provider.default_model());
    drop(provider.generate(request.clone()).await.expect("accepted"));
    let mut begun = provider.generate(request.clone()).await.expect("accepted");
    begun.next().await.expect("an event").expect("no error");
    drop(begun);
    whole_answer(provider, request).await;
}

/// The provider offers the model that it takes by default.
pub async fn the_default_model_is_one_of_the_models(provider: &dyn LlmProvider) {
    let models = provider.models().await.expect("a list of models");
    let default = provider.default_model();
    assert!(models.iter().any(|m| m.id == default), "{default} is not in {models:?}");
}

/// What the provider answered, with what it wants back, goes into the next request.
pub async fn an_answer_can_be_sent_back(provider: &dyn LlmProvider) {
    let model = provider.default_model();
    let said = whole_answer(provider, question().request(model)).await;
    if let Some(replay) = &said.replay {
        assert_eq!(replay.provider, provider.name(), "a replay names its maker");
    }
    let history = question().completed(said, []).user("And what else?");
    whole_answer(provider, history.request(model)).await;
}

/// A step with several calls, and with results of every kind, goes into the next request.
pub async fn calls_and_results_can_be_sent_back(provider: &dyn LlmProvider) {
    let name = "workspace__read_file";
    let rich = ToolResult {
        structured: Some(json!({"lines": 1})),
        ..ToolResult::succeeded(vec![
            Content::text("line"),
            Content::image("iVBORw0KGgo=", "image/png"),
            Content::Other(json!({"type": "resource_link", "uri": "file:///a", "name": "a"})),
        ])
    };
    let history = question()
        .with_tool(tool("workspace", "read_file", &json!({"path": {"type": "string"}})))
        .step("I look.", [(name, json!({"path": "a"}), rich), (name, json!({"path": "b"}), empty())])
        .step("", [(name, json!({"path": "c"}), ToolResult::failed(Code::Denied, "not this one"))])
        .step("", [("no_such_tool", json!("not an object"), ToolResult::failed(Code::UnknownTool, "none"))]);
    whole_answer(provider, history.request(provider.default_model())).await;
}

/// A replay that another provider made is left out, not an error.
pub async fn what_another_provider_made_is_no_error(provider: &dyn LlmProvider) {
    let foreign = Replay {
        provider: "another".to_owned(),
        model: "another-1".to_owned(),
        api: "another-api".to_owned(),
        raw: json!([{"kind": "signed", "signature": "c2lnbmVk"}]),
    };
    let said = Completion {
        text: "I said this elsewhere.".to_owned(),
        reasoning: Some("And thought that.".to_owned()),
        calls: Vec::new(),
        stop: lockkeeper_domain::StopReason::EndTurn,
        usage: lockkeeper_domain::Usage::default(),
        replay: Some(foreign),
    };
    let history = question().completed(said, []).user("And what else?");
    whole_answer(provider, history.request(provider.default_model())).await;
}

/// Asks, reads the answer to its end and checks its form: the pieces come first, then exactly one completion that
/// holds all of them, then the end.
pub async fn whole_answer(provider: &dyn LlmProvider, request: GenerateRequest) -> Completion {
    let stream = provider.generate(request).await.expect("the provider accepts the request");
    let mut events: Vec<ModelEvent> = stream.try_collect().await.expect("the answer has no error");
    let Some(ModelEvent::Completed(completion)) = events.pop() else {
        panic!("the answer does not end with a completion");
    };
    let (mut text, mut reasoning) = (String::new(), String::new());
    for event in &events {
        match event {
            ModelEvent::Text(piece) => text.push_str(piece),
            ModelEvent::Reasoning(piece) => reasoning.push_str(piece),
            ModelEvent::Notice(_) => assert!(text.is_empty(), "notices come before the answer"),
            ModelEvent::Completed(_) => panic!("the answer goes on after its completion"),
        }
    }
    assert_eq!(completion.text, text, "the completion holds the text that was streamed");
    let streamed = Some(reasoning).filter(|r| !r.is_empty());
    assert_eq!(completion.reasoning, streamed, "the completion holds the reasoning that was streamed");
    completion
}

fn question() -> History {
    History::asked("What is the capital of France? Answer in one sentence.")
}

fn empty() -> ToolResult {
    ToolResult::succeeded(Vec::new())
}
