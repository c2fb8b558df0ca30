use super::{
    config, goldens, provider,
    server::{Reply, Seen, Server},
};
use crate::{Api, Config, GeminiProvider};
use futures::TryStreamExt;
use lockkeeper_domain::{Content, Replay, StopReason, ToolResult, Usage};
use lockkeeper_ports::{Completion, LlmError, LlmProvider, ModelEvent, ProposedCall};
use lockkeeper_testkit::llm::history::History;
use serde_json::{Value, json};

fn refusing(words: &str) -> Reply {
    Reply::json(400, &json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": words}}))
}

fn text(api: Api) -> Reply {
    Reply::sse(goldens::all().into_iter().find(|(_, of, _)| *of == api).expect("a golden").2)
}

async fn ask(provider: &GeminiProvider, history: &History, model: &str) -> Result<Vec<ModelEvent>, LlmError> {
    provider.generate(history.request(model)).await?.try_collect().await
}

fn summaries(seen: &Seen) -> bool {
    let asked = [
        &seen.body["generationConfig"]["thinkingConfig"]["includeThoughts"],
        &seen.body["generation_config"]["thinking_summaries"],
    ];
    asked.iter().any(|asked| !asked.is_null())
}

#[tokio::test]
async fn a_model_that_does_not_think_is_asked_without_summaries_and_from_then_on() {
    for api in [Api::GenerateContent, Api::Interactions] {
        let words = "Unable to submit request because thinking is not supported by this model.";
        let server = Server::new(move |_, seen| if summaries(seen) { refusing(words) } else { text(api) }).await;
        let leveled = Config { api, thinking_level: Some("low".to_owned()), ..config(&server.url) };
        let provider = GeminiProvider::new(leveled).expect("valid");
        let other_key = provider.with_key("another".into()).expect("a key");
        ask(&provider, &History::asked("Hello"), "a").await.expect("an answer");
        ask(&other_key, &History::asked("Hello"), "a").await.expect("an answer");
        ask(&provider, &History::asked("Hello"), "b").await.expect("an answer");
        let all: Vec<bool> = server.seen().iter().map(summaries).collect();
        assert_eq!(all, [true, false, false, true, false], "{api:?}");
        assert!(server.seen()[1].body.to_string().contains("\"low\""), "what somebody asked for stays");
    }
}

#[tokio::test]
async fn a_request_that_is_refused_for_itself_is_not_repeated() {
    for words in ["Thinking level MINIMAL is not supported for this model.", "contents is not specified"] {
        let server = Server::replying([refusing(words)]).await;
        assert!(ask(&provider(&server.url), &History::asked("Hello"), "a").await.is_err());
        assert_eq!(server.seen().len(), 1, "{words}");
    }
    let never = Server::replying([refusing("thinking is not for you")]).await;
    assert!(ask(&provider(&never.url), &History::asked("Hello"), "a").await.is_err());
    assert_eq!(never.seen().len(), 2);
}

/// A history whose calls and thoughts somebody signed with `c2ln`.
fn signed(api: &str, raw: Value) -> History {
    let call = ProposedCall { provider_id: Some("c1".to_owned()), name: "f".to_owned(), args: json!({}) };
    let said = Completion {
        text: "So.".to_owned(),
        reasoning: None,
        calls: vec![call],
        stop: StopReason::EndTurn,
        usage: Usage::default(),
        replay: Some(Replay { provider: "gemini".to_owned(), model: "a".to_owned(), api: api.to_owned(), raw }),
    };
    History::asked("Hello").completed(said, [ToolResult::succeeded(vec![Content::text("1")])])
}

#[tokio::test]
async fn signatures_that_no_longer_hold_degrade_to_the_vendors_own_word() {
    let parts = json!([
        {"text": "So.", "thoughtSignature": "c2ln"},
        {"functionCall": {"id": "c1", "name": "f", "args": {}}, "thoughtSignature": "c2ln"},
        {"text": "", "thoughtSignature": "c2ln"},
    ]);
    let steps = json!([
        {"type": "thought", "signature": "c2ln"},
        {"type": "function_call", "id": "c1", "name": "f", "arguments": {}, "signature": "c2ln"},
    ]);
    let word = "skip_thought_signature_validator";
    let said = json!([
        {"text": "So."},
        {"functionCall": {"id": "c1", "name": "f", "args": {}}, "thoughtSignature": word},
    ]);
    let called = json!({"type": "function_call", "id": "c1", "name": "f", "arguments": {}, "signature": word});
    let invalid = "Thought signature is not valid.";
    for api in [Api::GenerateContent, Api::Interactions] {
        let refuses = |seen: &Seen| seen.body.to_string().contains("c2ln");
        let server = Server::new(move |_, seen| if refuses(seen) { refusing(invalid) } else { text(api) }).await;
        let provider = GeminiProvider::new(Config { api, ..config(&server.url) }).expect("valid");
        let history = match api {
            Api::GenerateContent => signed("generate_content", parts.clone()),
            Api::Interactions => signed("interactions", steps.clone()),
        };
        ask(&provider, &history, "a").await.expect("an answer");
        let bodies: Vec<Value> = server.seen().into_iter().map(|seen| seen.body).collect();
        assert_eq!(bodies.len(), 2);
        match api {
            Api::GenerateContent => assert_eq!(bodies[1]["contents"][1]["parts"], said),
            Api::Interactions => assert_eq!(bodies[1]["input"][1], called),
        }
        assert!(summaries(&server.seen()[1]), "the next answer may think");
    }
}
