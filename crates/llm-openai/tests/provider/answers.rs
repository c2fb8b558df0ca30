use super::*;
use crate::server::Reply;
use lockkeeper_testkit::llm::contract::llm_contract;
use serde_json::json;

const BOTH: [Api; 2] = [Api::Responses, Api::Chat];

#[tokio::test]
async fn both_apis_keep_the_contract() {
    for api in BOTH {
        let models = json!({"object": "list", "data": [{"id": "gpt-6.1-sol"}]});
        let server = Server::answering(move |request| match request.line() {
            "GET /v1/models" => Reply::json(200, &models),
            _ => Reply::stream(whole(api)),
        })
        .await;
        llm_contract(&provider(config(&server, api))).await;
    }
}

#[tokio::test]
async fn a_request_goes_to_the_right_place_with_the_key_and_the_organisation() {
    for (api, line) in [(Api::Responses, "POST /v1/responses"), (Api::Chat, "POST /v1/chat/completions")] {
        let server = Server::scripted([Reply::stream(whole(api))]).await;
        let config = Config { organization: Some("org-1".to_owned()), ..config(&server, api) };
        assert_eq!(ask(&provider(config)).await, Ok("Hello".to_owned()));
        let requests = server.requests();
        let [request] = &requests[..] else { panic!("one request: {requests:?}") };
        assert_eq!(request.line(), line);
        assert!(request.head.contains(&format!("authorization: Bearer {KEY}")), "{}", request.head);
        assert!(request.head.contains("openai-organization: org-1"), "{}", request.head);
        assert_eq!(request.body["stream"], true);
        assert_eq!(request.body["model"], "m-1");
    }
}

#[tokio::test]
async fn an_answer_is_dropped_and_the_server_sees_the_connection_close() {
    for api in BOTH {
        let begun = whole(api).split_inclusive("\n\n").next().expect("an event").to_owned();
        let server = Server::scripted([
            Reply::stream(begun).hang(),
            Reply::stream(": nothing yet\n\n").hang(),
            Reply::mute(),
            Reply::stream(whole(api)),
        ])
        .await;
        let provider = provider(config(&server, api));

        let mut speaking = provider.generate(question()).await.expect("accepted");
        assert_eq!(speaking.next().await, Some(Ok(ModelEvent::Text("Hel".to_owned()))));
        drop(speaking);
        server.until_left(1).await;

        drop(provider.generate(question()).await.expect("accepted"));
        server.until_left(2).await;

        let asked = tokio::time::timeout(std::time::Duration::from_millis(50), provider.generate(question())).await;
        assert!(asked.is_err(), "the server says nothing");
        server.until_left(3).await;

        assert_eq!(ask(&provider).await, Ok("Hello".to_owned()));
    }
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let message = json!({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]});
    let server = Server::scripted([Reply::json(200, &message)]).await;
    assert_eq!(ask(&provider(config(&server, Api::Chat))).await, Ok("Hello".to_owned()));
}

#[tokio::test]
async fn a_part_of_the_request_that_is_refused_is_left_out_at_once() {
    let refusal = |param: &str, message: &str| {
        Reply::json(400, &json!({"error": {"type": "invalid_request_error", "param": param, "message": message}}))
    };
    let server = Server::scripted([
        refusal("reasoning.summary", "Your organization must be verified"),
        refusal("include", "Encrypted content is not supported with this model."),
        Reply::stream(RESPONSES),
    ])
    .await;
    let config = Config { max_attempts: 1, ..config(&server, Api::Responses) };
    assert_eq!(ask(&provider(config)).await, Ok("Hello".to_owned()));
    let bodies: Vec<_> = server.requests().into_iter().map(|request| request.body).collect();
    let has = |at: usize, pointer: &str| bodies[at].pointer(pointer).is_some();
    assert!(has(0, "/reasoning/summary") && has(0, "/include"));
    assert!(!has(1, "/reasoning") && has(1, "/include"));
    assert!(!has(2, "/reasoning") && !has(2, "/include"));
}

#[tokio::test]
async fn a_part_that_is_refused_twice_ends_the_question() {
    let refusal = json!({"error": {"param": "stream_options", "message": "unknown"}});
    let server = Server::answering(move |_| Reply::json(400, &refusal)).await;
    let answer = ask(&provider(config(&server, Api::Chat))).await;
    assert!(matches!(answer, Err(LlmError::BadRequest(_))), "{answer:?}");
    assert_eq!(server.requests().len(), 2);
}
