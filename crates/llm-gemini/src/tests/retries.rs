use super::{
    config, goldens, provider,
    server::{End, Reply, Server},
};
use crate::{Config, GeminiProvider};
use futures::TryStreamExt;
use lockkeeper_domain::Code;
use lockkeeper_ports::{LlmError, LlmProvider, ModelEvent};
use lockkeeper_testkit::llm::history::History;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn text() -> Reply {
    Reply::sse(goldens::all().remove(0).2)
}

fn failing(status: u16, name: &str) -> Reply {
    with_details(status, name, &json!([]))
}

fn with_details(status: u16, name: &str, details: &Value) -> Reply {
    let message = "AIza-0123456789 failed";
    let error = json!({"code": status, "status": name, "message": message, "details": details});
    Reply::json(status, &json!({"error": error}))
}

async fn ask(provider: &GeminiProvider) -> Result<usize, LlmError> {
    let stream = provider.generate(History::asked("Hello").request(super::MODEL)).await?;
    let events: Vec<ModelEvent> = stream.try_collect().await?;
    assert!(matches!(events.last(), Some(ModelEvent::Completed(_))));
    Ok(events.len())
}

#[track_caller]
fn check(outcome: Result<usize, LlmError>, server: &Server, code: Option<Code>, requests: usize) {
    if let Err(error) = &outcome {
        assert!(!error.to_string().contains("0123456789"), "{error} holds the key");
    }
    assert_eq!(outcome.map_err(|error| error.code()).err(), code);
    assert_eq!(server.seen().len(), requests);
}

#[tokio::test]
async fn a_failure_that_passes_is_not_seen() {
    let passing = [
        failing(429, "RESOURCE_EXHAUSTED"),
        failing(503, "UNAVAILABLE"),
        failing(500, "INTERNAL"),
        Reply::new(502, "text/html", "<html>Bad Gateway</html>"),
        Reply::sse(""),
        Reply::sse("data: {\"error\": {\"code\": 503, \"message\": \"\", \"status\": \"UNAVAILABLE\"}}\r\n\r\n"),
        Reply::sse("data: {\"candidates\": [{\"finishReason\": \"MALFORMED_FUNCTION_CALL\"}]}\r\n\r\n"),
    ];
    for reply in passing {
        let server = Server::replying([reply.clone(), reply, text()]).await;
        check(ask(&provider(&server.url)).await, &server, None, 3);
    }
}

#[tokio::test]
async fn a_failure_that_stays_is_given_up() {
    let staying = [
        (failing(429, "RESOURCE_EXHAUSTED"), Code::ProviderRateLimited),
        (failing(503, "UNAVAILABLE"), Code::ProviderOverloaded),
        (Reply::new(502, "text/html", "<html>Bad Gateway</html>"), Code::ProviderOverloaded),
        (Reply::sse(""), Code::ProviderCut),
    ];
    for (reply, code) in staying {
        let server = Server::replying([reply]).await;
        check(ask(&provider(&server.url)).await, &server, Some(code), 3);
    }
}

#[tokio::test]
async fn a_refusal_is_not_tried_again() {
    let day = json!([{"violations": [{"quotaId": "GenerateRequestsPerDay"}]}, {"retryDelay": "0.01s"}]);
    let refusals = [
        (failing(401, "UNAUTHENTICATED"), Code::ProviderAuthentication),
        (failing(400, "INVALID_ARGUMENT"), Code::ProviderBadRequest),
        (with_details(400, "INVALID_ARGUMENT", &json!([{"reason": "API_KEY_INVALID"}])), Code::ProviderAuthentication),
        (with_details(429, "RESOURCE_EXHAUSTED", &day), Code::ProviderQuota),
        (with_details(429, "RESOURCE_EXHAUSTED", &json!([{"retryDelay": "3600s"}])), Code::ProviderRateLimited),
    ];
    for (reply, code) in refusals {
        let server = Server::replying([reply, text()]).await;
        check(ask(&provider(&server.url)).await, &server, Some(code), 1);
    }
}

#[tokio::test]
async fn the_time_that_the_vendor_asks_for_is_waited() {
    let limited = || failing(429, "RESOURCE_EXHAUSTED");
    let date = limited().header("retry-after", "Wed, 21 Oct 2026 07:28:01 GMT");
    let hints = [
        (with_details(429, "RESOURCE_EXHAUSTED", &json!([{"retryDelay": "0.12s"}])), 120),
        (limited().header("retry-after-ms", "120"), 120),
        (limited().header("retry-after", "1"), 1_000),
        (date.header("date", "Wed, 21 Oct 2026 07:28:00 GMT"), 1_000),
    ];
    for (reply, ms) in hints {
        let server = Server::replying([reply, text()]).await;
        let begun = Instant::now();
        check(ask(&provider(&server.url)).await, &server, None, 2);
        assert!(begun.elapsed() >= Duration::from_millis(ms), "{ms}");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_before_it_says_anything_is_asked_again() {
    let silent = [Reply::sse("").end(End::Hang), Reply::json(200, &json!(null)).end(End::Hang), text()];
    let server = Server::replying(silent).await;
    let quick = Config { idle_timeout_secs: 1, ..config(&server.url) };
    check(ask(&GeminiProvider::new(quick).expect("valid")).await, &server, None, 3);
    let server = Server::replying([Reply::sse("").end(End::Hang)]).await;
    let once = Config { idle_timeout_secs: 1, max_retries: 0, ..config(&server.url) };
    check(ask(&GeminiProvider::new(once).expect("valid")).await, &server, Some(Code::ProviderTimeout), 1);
}

#[tokio::test]
async fn an_error_after_the_first_event_ends_the_answer() {
    let body = goldens::all().into_iter().find(|(name, ..)| *name == "an_error_after_text").expect("a golden").2;
    let server = Server::replying([Reply::sse(body), text()]).await;
    check(ask(&provider(&server.url)).await, &server, Some(Code::ProviderOverloaded), 1);
}

#[tokio::test]
async fn nobody_at_the_address_is_a_failure_of_the_network() {
    let gone = Server::replying([text()]).await.url.clone();
    let once = Config { max_retries: 0, ..config(&gone) };
    let error = ask(&GeminiProvider::new(once).expect("valid")).await.expect_err("nobody is there");
    assert_eq!(error.code(), Code::ProviderNetwork);
    assert!(!error.to_string().contains("127.0.0.1:"), "{error}");
}
