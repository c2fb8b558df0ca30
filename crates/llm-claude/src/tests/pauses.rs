use super::{
    config, rendered,
    server::{Reply, Server},
};
use crate::{ClaudeProvider, Config};
use futures::TryStreamExt;
use lockkeeper_domain::{Code, StopReason};
use lockkeeper_ports::{Completion, LlmError, LlmProvider, ModelEvent};
use lockkeeper_testkit::llm::{contract::whole_answer, history::History};
use serde_json::{Value, json};

/// A part of a turn: these blocks, each whole, and then a stop.
fn part(blocks: &[Value], stop: &str) -> Reply {
    let mut events =
        vec![json!({"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}})];
    for (index, block) in blocks.iter().enumerate() {
        events.push(json!({"type": "content_block_start", "index": index, "content_block": block}));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": stop}, "usage": {"output_tokens": 5}}));
    events.push(json!({"type": "message_stop"}));
    Reply::sse(
        events.iter().flat_map(|event| ["data: ".to_owned(), event.to_string(), "\n\n".to_owned()]).collect::<String>(),
    )
}

fn text(text: &str) -> Value {
    json!({"type": "text", "text": text})
}

fn search() -> Value {
    json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}})
}

async fn ask(config: Config) -> Completion {
    let provider = ClaudeProvider::new(config).expect("valid");
    whole_answer(&provider, History::asked("Look it up").request(super::MODEL)).await
}

#[tokio::test]
async fn a_paused_turn_goes_on_from_what_was_said() {
    let (first, second) = ([text("I search."), search()], [text("More."), search()]);
    let last = [text("Found.")];
    let parts = [part(&first, "pause_turn"), part(&second, "pause_turn"), part(&last, "end_turn")];
    let server = Server::replying(parts).await;
    let said = ask(config(&server.url)).await;
    assert_eq!((said.text.as_str(), said.stop), ("I search.More.Found.", StopReason::EndTurn));
    assert_eq!((said.usage.input_tokens, said.usage.output_tokens), (30, 15), "each part is paid for");
    let all = [first.as_slice(), &second, &last].concat();
    assert_eq!(said.replay.expect("a replay").raw, Value::Array(all));

    let seen: Vec<Value> = server.seen().into_iter().map(|seen| seen.body["messages"].clone()).collect();
    assert_eq!(seen.len(), 3);
    assert_eq!(seen[1], json!([seen[0][0], {"role": "assistant", "content": first}]));
    let both = [first, second].concat();
    assert_eq!(seen[2], json!([seen[0][0], {"role": "assistant", "content": both}]));
}

#[tokio::test]
async fn a_turn_that_never_ends_is_bounded() {
    let server = Server::replying([part(&[text("On. ")], "pause_turn")]).await;
    let said = ask(Config { max_continuations: 3, ..config(&server.url) }).await;
    assert_eq!((said.text.as_str(), said.stop), ("On. On. On. On. ", StopReason::MaxTokens));
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_paused_turn_that_waits_for_a_call_or_says_nothing_is_over() {
    let call = json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}});
    for (blocks, calls) in [(vec![call], 1), (vec![], 0)] {
        let server = Server::replying([part(&blocks, "pause_turn")]).await;
        assert_eq!(ask(config(&server.url)).await.calls.len(), calls);
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_failure_after_a_pause_is_tried_again_only_if_nothing_was_shown() {
    let busy = || Reply::json(529, &json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}));
    let unseen = Server::replying([part(&[search()], "pause_turn"), busy(), part(&[text("Found.")], "end_turn")]).await;
    assert_eq!(ask(config(&unseen.url)).await.text, "Found.");
    let goes_on = &unseen.seen()[2].body["messages"][1]["content"];
    assert_eq!(*goes_on, json!([search()]));

    let shown = Server::replying([part(&[text("I search.")], "pause_turn"), busy()]).await;
    let provider = ClaudeProvider::new(config(&shown.url)).expect("valid");
    let stream = provider.generate(History::asked("Look it up").request(super::MODEL)).await.expect("accepted");
    let outcome: Result<Vec<ModelEvent>, LlmError> = stream.try_collect().await;
    assert_eq!(outcome.map_err(|error| error.code()).map(|_| ()), Err(Code::ProviderOverloaded));
    assert_eq!(shown.seen().len(), 2);
}

#[tokio::test]
async fn a_refusal_says_why_in_the_vendors_words() {
    let refusal = |details: Value| {
        let delta = json!({"type": "message_delta", "delta": {"stop_reason": "refusal", "stop_details": details}});
        super::decode(format!("data: {delta}\n\ndata: {{\"type\":\"message_stop\"}}\n\n").as_bytes(), 64)
    };
    let text = |details: Value| rendered(&refusal(details)).lines().next().map(ToOwned::to_owned);
    assert_eq!(text(json!({"explanation": "Not this."})).as_deref(), Some("text \"Not this.\""));
    let by_category = Some("text \"The request was refused (category: cyber).\"");
    assert_eq!(text(json!({"category": "cyber", "explanation": null})).as_deref(), by_category);
    for silent in [json!(null), json!({}), json!({"explanation": ""}), json!(7)] {
        assert_eq!(text(silent).as_deref(), Some("completed Refusal, text \"\", reasoning None"));
    }
}
