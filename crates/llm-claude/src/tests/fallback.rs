use super::{
    config, goldens, provider,
    server::{Reply, Seen, Server},
};
use crate::{ClaudeProvider, Config};
use futures::TryStreamExt;
use lockkeeper_domain::{Replay, StopReason, Usage};
use lockkeeper_ports::{Completion, LlmError, LlmProvider, ModelEvent};
use lockkeeper_testkit::llm::history::History;
use serde_json::{Value, json};

fn refusing(words: &str) -> Reply {
    Reply::json(400, &json!({"type": "error", "error": {"type": "invalid_request_error", "message": words}}))
}

fn text() -> Reply {
    Reply::sse(goldens::all().remove(0).1)
}

async fn ask(provider: &ClaudeProvider, history: &History, model: &str) -> Result<Vec<ModelEvent>, LlmError> {
    provider.generate(history.request(model)).await?.try_collect().await
}

/// What of the new features a request offers: the beta, the binding, thinking.
fn offers(seen: &Seen) -> [bool; 3] {
    let thinking = &seen.body["thinking"];
    let beta = seen.head.to_ascii_lowercase().contains("anthropic-beta: thinking-binding");
    [beta, thinking["block_binding"].is_object(), thinking.is_object()]
}

fn old(seen: &Seen) -> Reply {
    match offers(seen) {
        [true, ..] => {
            refusing("Unexpected value(s) `thinking-binding-controls-2026-08-01` for the `anthropic-beta` header")
        }
        [_, true, _] => refusing("thinking.adaptive.block_binding: Extra inputs are not permitted"),
        [.., true] => refusing("Input tag 'adaptive' found using 'type' does not match any of the expected tags"),
        _ => text(),
    }
}

#[tokio::test]
async fn a_server_of_an_older_api_is_asked_without_what_it_refuses_and_from_then_on() {
    let server = Server::new(|_, seen| old(seen)).await;
    let (provider, history) = (provider(&server.url), History::asked("Hello"));
    ask(&provider, &history, "a").await.expect("an answer");
    let all: Vec<_> = server.seen().iter().map(offers).collect();
    assert_eq!(all, [[true, true, true], [false, false, true], [false, false, false]]);
    let other_key = provider.with_key("another".into()).expect("a key");
    ask(&provider, &history, "a").await.expect("an answer");
    ask(&other_key, &history, "a").await.expect("an answer");
    assert_eq!(server.seen().len(), 5, "it is remembered");
    ask(&provider, &history, "b").await.expect("an answer");
    assert_eq!(server.seen().len(), 8, "another model may take what this one does not");
}

#[tokio::test]
async fn a_server_that_knows_thinking_but_not_the_beta_keeps_thinking() {
    let server = Server::new(|_, seen| if offers(seen)[0] { old(seen) } else { text() }).await;
    let provider = provider(&server.url);
    for _ in 0..2 {
        ask(&provider, &History::asked("Hello"), "a").await.expect("an answer");
    }
    let all: Vec<_> = server.seen().iter().map(offers).collect();
    assert_eq!(all, [[true, true, true], [false, false, true], [false, false, true]]);
}

#[tokio::test]
async fn a_server_that_gives_no_reason_is_asked_once_more() {
    let server = Server::new(|_, seen| if offers(seen)[2] { Reply::new(400, "text/plain", "") } else { text() }).await;
    ask(&provider(&server.url), &History::asked("Hello"), "a").await.expect("an answer");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_request_that_is_refused_for_itself_is_not_repeated_and_nothing_is_remembered() {
    let server = Server::replying([refusing("messages: at least one message is required"), text()]).await;
    let provider = provider(&server.url);
    assert!(ask(&provider, &History::asked("Hello"), "a").await.is_err());
    assert_eq!(server.seen().len(), 1);
    ask(&provider, &History::asked("Hello"), "a").await.expect("an answer");
    assert_eq!(offers(&server.seen()[1]), [true; 3]);
    // A server that refuses whatever is left out is believed in the end, and offered everything again.
    let never = Server::replying([refusing("thinking is not for you")]).await;
    let other = ClaudeProvider::new(config(&never.url)).expect("valid");
    assert!(ask(&other, &History::asked("Hello"), "a").await.is_err());
    assert!(ask(&other, &History::asked("Hello"), "a").await.is_err());
    let all: Vec<_> = never.seen().iter().map(offers).collect();
    assert_eq!(all, [[true; 3], [false; 3], [true; 3], [false; 3]]);
}

#[tokio::test]
async fn thinking_that_is_no_longer_accepted_degrades_to_text_and_calls() {
    let bound = "messages.1.content.0: Invalid `signature` in `thinking` block. The block is bound to a different \
        conversation. Remove the block, or set `thinking.block_binding.prefix_mismatch_behavior` to \"drop_block\". That \
        setting requires the `thinking-binding-controls-2026-08-01` value in the `anthropic-beta` header.";
    let server = Server::new(
        move |_, seen| {
            if seen.body.to_string().contains("\"signature\"") { refusing(bound) } else { text() }
        },
    )
    .await;
    let raw = json!([
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "b3BhcXVl"},
        {"type": "text", "text": "So."},
    ]);
    let replay = Replay { provider: "claude".to_owned(), model: "a".to_owned(), api: "messages".to_owned(), raw };
    let said = Completion {
        text: "So.".to_owned(),
        reasoning: None,
        calls: Vec::new(),
        stop: StopReason::EndTurn,
        usage: Usage::default(),
        replay: Some(replay),
    };
    let history = History::asked("Hello").completed(said, []).user("And?");
    let provider = ClaudeProvider::new(Config { drop_unbound_thinking: false, ..config(&server.url) }).expect("valid");
    ask(&provider, &history, "a").await.expect("an answer");
    let bodies: Vec<Value> = server.seen().into_iter().map(|seen| seen.body).collect();
    assert_eq!(bodies.len(), 2);
    assert_eq!(bodies[1]["messages"][1]["content"], json!([{"type": "text", "text": "So."}]));
    assert_eq!(bodies[1]["thinking"], bodies[0]["thinking"], "the next answer may think");
}
