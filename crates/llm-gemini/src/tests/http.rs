use super::{
    config, goldens, provider, rendered,
    server::{End, Reply, Server},
};
use crate::{Api, Config, GeminiProvider};
use futures::{FutureExt, StreamExt, TryStreamExt};
use lockkeeper_domain::Code;
use lockkeeper_ports::{LlmError, LlmProvider, ModelEvent, ModelInfo};
use lockkeeper_testkit::llm::{
    contract::{llm_contract, whole_answer},
    history::History,
};
use serde_json::json;

fn golden(name: &str) -> String {
    goldens::all().into_iter().find(|(known, ..)| *known == name).expect("a golden").2
}

async fn events(provider: &GeminiProvider) -> (Vec<ModelEvent>, Option<LlmError>) {
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
    for (name, api, body) in goldens::all() {
        for chunk in [usize::MAX, 61, 7, 1] {
            let server = Server::replying([Reply { chunk, ..Reply::sse(body.clone()) }]).await;
            let once = Config { api, max_retries: 0, ..config(&server.url) };
            let got = events(&GeminiProvider::new(once).expect("valid")).await;
            assert_eq!(rendered(&got), rendered(&super::decode(api, body.as_bytes(), body.len())), "{name} by {chunk}");
        }
    }
}

#[tokio::test]
async fn the_request_carries_the_key_in_its_header_alone() {
    let server = Server::replying([Reply::sse(golden("text"))]).await;
    let own = provider(&server.url).with_key("AIza-of-a-user\n".into()).expect("valid");
    events(&own).await;
    let seen = server.seen().remove(0);
    let line = "POST /v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse HTTP/1.1";
    assert_eq!(seen.head.lines().next(), Some(line));
    let head = seen.head.to_ascii_lowercase();
    for header in ["x-goog-api-key: aiza-of-a-user", "content-type: application/json", "accept: text/event-stream"] {
        assert!(head.lines().any(|line| line == header), "{header} in {head}");
    }
    assert!(!seen.body.to_string().contains("AIza"));
}

#[tokio::test]
async fn version_and_api_are_chosen_by_the_configuration() {
    let server = Server::replying([Reply::sse(golden("interaction_with_a_call"))]).await;
    let other =
        Config { api: Api::Interactions, api_version: "v2".to_owned(), api_key: "".into(), ..config(&server.url) };
    let (_, error) = events(&GeminiProvider::new(other).expect("valid")).await;
    assert_eq!(error, None);
    let head = server.seen().remove(0).head;
    assert_eq!(head.lines().next(), Some("POST /v2/interactions?alt=sse HTTP/1.1"));
    assert!(!head.to_ascii_lowercase().contains("x-goog-api-key"), "{head}");
}

#[tokio::test]
async fn a_model_that_would_change_the_address_is_refused() {
    let server = Server::replying([Reply::sse(golden("text"))]).await;
    for model in ["", "a/b", "..%2f", "a?b", "models/", "a b"] {
        let outcome = provider(&server.url).generate(History::asked("Hello").request(model)).await;
        assert!(matches!(outcome.err(), Some(LlmError::BadRequest(_))), "{model}");
    }
    assert!(server.seen().is_empty());
}

#[test]
fn what_cannot_be_sent_is_refused_without_being_shown() {
    let bad = [
        Config { api_key: "se\ncret".into(), ..Config::default() },
        Config { base_url: "nowhere".to_owned(), ..Config::default() },
    ];
    for config in bad {
        let error = GeminiProvider::new(config).expect_err("refused").to_string();
        assert!(!error.contains("cret"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_in_one_piece_or_in_an_array_is_understood() {
    let parts = json!([{"text": "Hi."}, {"functionCall": {"name": "f", "args": {"a": 1}}}]);
    let answer = json!({
        "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2},
    });
    let mut rendered_all = Vec::new();
    for body in [answer.clone(), json!([answer])] {
        let server = Server::replying([Reply::json(200, &body)]).await;
        rendered_all.push(rendered(&events(&provider(&server.url)).await));
    }
    assert_eq!(rendered_all.first(), rendered_all.last());
    insta::assert_snapshot!(rendered_all.remove(0));
    for (body, code) in [
        (json!([{"error": {"code": 503, "status": "UNAVAILABLE"}}]), Code::ProviderOverloaded),
        (json!({"hello": "world"}), Code::ProviderCut),
    ] {
        let server = Server::replying([Reply::json(200, &body)]).await;
        let (events, error) = events(&provider(&server.url)).await;
        assert_eq!((events, error.map(|e| e.code())), (Vec::new(), Some(code)));
    }
}

#[tokio::test]
async fn an_error_may_come_under_the_type_of_a_stream() {
    let body = json!({"error": {"code": 404, "message": "no such model", "status": "NOT_FOUND"}}).to_string();
    let server = Server::replying([Reply::new(404, "text/event-stream", body)]).await;
    let (_, error) = events(&provider(&server.url)).await;
    assert_eq!(error, Some(LlmError::BadRequest("no such model (NOT_FOUND)".to_owned())));
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
    let body = golden("thinking_and_signed_calls");
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
    let body = golden("thinking_and_signed_calls");
    for (end, code) in
        [(End::Cut, Code::ProviderCut), (End::Proper, Code::ProviderCut), (End::Hang, Code::ProviderTimeout)]
    {
        let server = Server::replying([Reply::sse(&body[..body.len() - 30]).end(end)]).await;
        let quick = Config { idle_timeout_secs: 1, ..config(&server.url) };
        let (events, error) = events(&GeminiProvider::new(quick).expect("valid")).await;
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
        0 => Reply::json(200, &json!({"nextPageToken": "p/2+ä=", "models": [
            {"name": "models/gemini-a", "displayName": "Gemini A", "supportedGenerationMethods": ["generateContent"]},
            {"name": "models/embedding-a", "supportedGenerationMethods": ["embedContent"]},
        ]})),
        _ => Reply::json(200, &json!({"models": [{"name": "models/gemini-b"}]})),
    })
    .await;
    let info = |id: &str, name: &str| ModelInfo { id: id.to_owned(), display_name: name.to_owned() };
    let models = provider(&server.url).models().await;
    assert_eq!(models, Ok(vec![info("gemini-a", "Gemini A"), info("gemini-b", "gemini-b")]));
    let heads: Vec<String> = server.seen().into_iter().map(|seen| seen.head).collect();
    assert!(heads[0].starts_with("GET /v1beta/models?pageSize=1000 "), "{}", heads[0]);
    assert!(heads[1].starts_with("GET /v1beta/models?pageSize=1000&pageToken=p%2F2%2B%C3%A4%3D "), "{}", heads[1]);
}

#[tokio::test]
async fn a_list_that_does_not_come_is_given_up() {
    let server = Server::replying([Reply::json(200, &json!(null)).end(End::Hang)]).await;
    let quick = Config { list_timeout_secs: 1, ..config(&server.url) };
    let error = GeminiProvider::new(quick).expect("valid").models().await.expect_err("no list");
    assert_eq!(error.code(), Code::ProviderTimeout);
    let server = Server::replying([Reply::json(401, &json!({"error": {"status": "UNAUTHENTICATED"}}))]).await;
    assert_eq!(provider(&server.url).models().await.map_err(|e| e.code()), Err(Code::ProviderAuthentication));
    let server = Server::replying([Reply::json(200, &json!({"models": [{}]}))]).await;
    assert_eq!(provider(&server.url).models().await.map_err(|e| e.code()), Err(Code::ProviderBadResponse));
}

#[tokio::test]
async fn the_contract_of_providers_holds() {
    let server = Server::new(|_, seen| {
        if seen.head.starts_with("GET ") {
            return Reply::json(200, &json!({"models": [{"name": format!("models/{}", super::MODEL)}]}));
        }
        let interactions = seen.head.contains("/interactions");
        Reply::sse(golden(if interactions { "interaction_with_text" } else { "text" }))
    })
    .await;
    llm_contract(&provider(&server.url)).await;
    let other = Config { api: Api::Interactions, ..config(&server.url) };
    llm_contract(&GeminiProvider::new(other).expect("valid")).await;
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
