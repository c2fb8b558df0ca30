use super::{
    config, goldens, provider, rendered,
    server::{End, Reply, Server},
};
use crate::{ClaudeProvider, Config};
use futures::{FutureExt, StreamExt, TryStreamExt};
use lockkeeper_domain::Code;
use lockkeeper_ports::{LlmError, LlmProvider, ModelEvent, ModelInfo};
use lockkeeper_testkit::llm::{
    contract::{llm_contract, whole_answer},
    history::History,
};
use serde_json::json;

fn golden(name: &str) -> String {
    goldens::all().into_iter().find(|(known, _)| *known == name).expect("a golden").1
}

async fn events(provider: &ClaudeProvider) -> (Vec<ModelEvent>, Option<LlmError>) {
    let request = History::asked("Hello").request(provider.default_model());
    let mut stream = match provider.generate(request).await {
        Ok(stream) => stream,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(error) => return (events, Some(error)),
        }
    }
    (events, None)
}

#[tokio::test]
async fn an_answer_comes_over_http_as_it_decodes() {
    for (name, body) in goldens::all() {
        for chunk in [usize::MAX, 61, 7, 1] {
            let server = Server::replying([Reply { chunk, ..Reply::sse(body.clone()) }]).await;
            let plain = Config { max_continuations: 0, ..config(&server.url) };
            let got = events(&ClaudeProvider::new(plain).expect("valid")).await;
            assert_eq!(rendered(&got), rendered(&super::decode(body.as_bytes(), body.len())), "{name} by {chunk}");
        }
    }
}

#[tokio::test]
async fn the_request_carries_the_key_in_its_header_alone() {
    let server = Server::replying([Reply::sse(golden("text"))]).await;
    let provider = ClaudeProvider::new(Config { betas: vec!["more-2026".to_owned()], ..config(&server.url) });
    let own = provider.expect("valid").with_key("sk-ant-of-a-user\n".into()).expect("valid");
    events(&own).await;
    let seen = server.seen().remove(0);
    let head = seen.head.to_ascii_lowercase();
    assert!(head.starts_with("post /v1/messages http/1.1\r\n"), "{head}");
    for header in [
        "x-api-key: sk-ant-of-a-user",
        "anthropic-version: 2026-10-21",
        "anthropic-beta: thinking-binding-controls-2026-08-01,more-2026",
        "content-type: application/json",
        "accept: text/event-stream",
    ] {
        assert!(head.lines().any(|line| line == header), "{header} in {head}");
    }
    assert!(!seen.body.to_string().contains("sk-ant"));
}

#[tokio::test]
async fn a_server_without_keys_or_betas_gets_none() {
    let server = Server::replying([Reply::sse(golden("text"))]).await;
    let plain =
        Config { api_key: "".into(), thinking: false, api_version: "2023-06-01".to_owned(), ..config(&server.url) };
    events(&ClaudeProvider::new(plain).expect("valid")).await;
    let head = server.seen().remove(0).head.to_ascii_lowercase();
    assert!(
        head.contains("anthropic-version: 2023-06-01") && !head.contains("x-api-key") && !head.contains("-beta"),
        "{head}"
    );
}

#[test]
fn what_cannot_be_sent_is_refused_without_being_shown() {
    let bad = [
        Config { api_key: "se\ncret".into(), ..Config::default() },
        Config { base_url: "nowhere".to_owned(), ..Config::default() },
        Config { api_version: "\u{1}".to_owned(), ..Config::default() },
    ];
    for config in bad {
        let error = ClaudeProvider::new(config).expect_err("refused").to_string();
        assert!(!error.contains("cret"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_is_understood() {
    let message = json!({
        "type": "message",
        "content": [{"type": "text", "text": "Hi."}, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 2},
    });
    let server = Server::replying([Reply::json(200, &message)]).await;
    insta::assert_snapshot!(rendered(&events(&provider(&server.url)).await));
    for (body, code) in [
        (json!({"error": {"type": "overloaded_error"}}), Code::ProviderOverloaded),
        (json!({"hello": "world"}), Code::ProviderBadResponse),
    ] {
        let server = Server::replying([Reply::json(200, &body)]).await;
        let (events, error) = events(&provider(&server.url)).await;
        assert_eq!((events, error.map(|e| e.code())), (Vec::new(), Some(code)));
    }
}

#[tokio::test]
async fn a_web_page_is_no_answer() {
    let server = Server::replying([Reply::new(200, "text/html; charset=utf-8", "<html>log in</html>")]).await;
    let (_, error) = events(&provider(&server.url)).await;
    assert_eq!(error.map(|e| e.code()), Some(Code::ProviderBadResponse));
    assert_eq!(server.seen().len(), 1, "another attempt would get the same page");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Server::replying([Reply::sse(golden("text"))]).await;
    let server = Server::replying([Reply::new(307, "text/plain", "").header("location", &elsewhere.url)]).await;
    let (_, error) = events(&provider(&server.url)).await;
    assert_eq!(error.map(|e| e.code()), Some(Code::ProviderBadResponse));
    assert!(elsewhere.seen().is_empty(), "the key would go to whoever is named");
}

#[tokio::test]
async fn dropping_an_answer_closes_its_connection() {
    let body = golden("thinking_and_parallel_calls");
    let mut server = Server::replying([Reply::sse(&body[..body.len() / 2]).end(End::Hang)]).await;
    let provider = provider(&server.url);
    let mut stream = provider.generate(History::asked("Hello").request(super::MODEL)).await.expect("accepted");
    assert!(matches!(stream.next().await, Some(Ok(ModelEvent::Reasoning(_)))));
    assert!(server.left().now_or_never().is_none(), "it is still open");
    drop(stream);
    server.left().await;
}

#[tokio::test]
async fn an_answer_that_ends_early_or_falls_silent_is_not_complete() {
    let body = golden("thinking_and_parallel_calls");
    for (end, code) in
        [(End::Cut, Code::ProviderCut), (End::Proper, Code::ProviderCut), (End::Hang, Code::ProviderTimeout)]
    {
        let server = Server::replying([Reply::sse(&body[..body.len() - 30]).end(end)]).await;
        let quick = Config { idle_timeout_secs: 1, ..config(&server.url) };
        let (events, error) = events(&ClaudeProvider::new(quick).expect("valid")).await;
        assert!(!events.iter().any(|event| matches!(event, ModelEvent::Completed(_))), "{end:?}");
        assert_eq!(error.map(|e| e.code()), Some(code), "{end:?}");
        assert_eq!(server.seen().len(), 1, "what was shown is not asked for again");
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_ends_the_answer() {
    let server = Server::replying([Reply::sse(format!("data: {}\n\n", "x".repeat(2 << 20)))]).await;
    let (_, error) = events(&provider(&server.url)).await;
    assert!(matches!(error, Some(LlmError::BadResponse(m)) if m.contains("1048576 bytes")));
}

#[tokio::test]
async fn the_vendors_list_of_models_is_read_to_its_end() {
    let server = Server::new(|n, _| match n {
        0 => Reply::json(
            200,
            &json!({"data": [{"id": "claude-a", "display_name": "Claude A"}], "has_more": true, "last_id": "claude-a"}),
        ),
        _ => Reply::json(200, &json!({"data": [{"id": "claude-b"}], "has_more": false, "last_id": "claude-b"})),
    })
    .await;
    let info = |id: &str, name: &str| ModelInfo { id: id.to_owned(), display_name: name.to_owned() };
    let models = provider(&server.url).models().await;
    assert_eq!(models, Ok(vec![info("claude-a", "Claude A"), info("claude-b", "claude-b")]));
    let heads: Vec<String> = server.seen().into_iter().map(|seen| seen.head).collect();
    assert!(heads[0].starts_with("GET /v1/models?limit=1000 "), "{}", heads[0]);
    assert!(heads[1].starts_with("GET /v1/models?limit=1000&after_id=claude-a "), "{}", heads[1]);
}

#[tokio::test]
async fn a_list_that_does_not_come_is_given_up() {
    let server = Server::replying([Reply::json(200, &json!(null)).end(End::Hang)]).await;
    let quick = Config { list_timeout_secs: 1, ..config(&server.url) };
    let error = ClaudeProvider::new(quick).expect("valid").models().await.expect_err("no list");
    assert_eq!(error.code(), Code::ProviderTimeout);
    let server = Server::replying([Reply::json(401, &json!({"error": {"type": "authentication_error"}}))]).await;
    assert_eq!(provider(&server.url).models().await.map_err(|e| e.code()), Err(Code::ProviderAuthentication));
    let server = Server::replying([Reply::json(200, &json!({"data": [{}]}))]).await;
    assert_eq!(provider(&server.url).models().await.map_err(|e| e.code()), Err(Code::ProviderBadResponse));
}

#[tokio::test]
async fn the_contract_of_providers_holds() {
    let server = Server::new(|_, seen| {
        if seen.head.starts_with("GET ") {
            return Reply::json(200, &json!({"data": [{"id": super::MODEL}]}));
        }
        Reply::sse(golden("text"))
    })
    .await;
    llm_contract(&provider(&server.url)).await;
}

#[tokio::test]
async fn many_answers_stream_at_once() {
    let server = Server::replying([Reply { chunk: 7, ..Reply::sse(golden("text")) }]).await;
    let provider = provider(&server.url);
    let asked = (0..32).map(|n| {
        let request = History::asked(format!("Question {n}")).request(super::MODEL);
        whole_answer(&provider, request).map(Ok::<_, LlmError>)
    });
    let answers: Vec<_> = futures::stream::iter(asked).buffered(32).try_collect().await.expect("answers");
    assert!(answers.iter().all(|answer| answer.text == "Grüße, world 🔒"));
}
