use super::*;
use crate::server::Reply;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn error(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "type": "x", "message": message}})
}

fn kind(error: &LlmError) -> String {
    format!("{error:?}").split(['(', ' ']).next().unwrap_or_default().to_owned()
}

/// The replies, one after the other, come to `expected` after `tries`.
async fn check(replies: Vec<Reply>, expected: &str, tries: usize) {
    for api in [Api::Responses, Api::Chat] {
        let script = replies.iter().cloned().chain([Reply::stream(whole(api))]);
        let server = Server::scripted(script).await;
        let found = match ask(&provider(config(&server, api))).await {
            Ok(text) => text,
            Err(error) => {
                let debug = format!("{error:?} {error}");
                assert!(!debug.contains("secret"), "{debug}");
                kind(&error)
            }
        };
        assert_eq!((found.as_str(), server.requests().len()), (expected, tries), "{api:?} {replies:?}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let html = "<html><body><h1>502 Bad Gateway</h1></body></html>";
    check(vec![Reply::new(502, "text/html", html)], "Hello", 2).await;
    check(vec![Reply::json(500, &error("", "oops")), Reply::json(529, &error("", "busy"))], "Hello", 3).await;
    check(vec![Reply::json(503, &error("", "busy")); 3], "Overloaded", 3).await;
    check(vec![Reply::json(429, &error("rate_limit_exceeded", "slow"))], "Hello", 2).await;
    check(vec![Reply::stream("").broken()], "Hello", 2).await;
    check(vec![Reply::stream("")], "Hello", 2).await;
    check(vec![Reply::stream(": comment\n\n"); 3], "Cut", 3).await;
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    let shown = "Incorrect API key provided: sk-very-secret, sk-very*****cret.";
    check(vec![Reply::json(401, &error("invalid_api_key", shown))], "Authentication", 1).await;
    check(vec![Reply::new(401, "text/plain", shown)], "Authentication", 1).await;
    check(vec![Reply::json(429, &error("insufficient_quota", "pay"))], "Quota", 1).await;
    check(vec![Reply::json(400, &error("model_not_found", "no model"))], "BadRequest", 1).await;
    check(vec![Reply::json(400, &error("context_length_exceeded", "too long"))], "ContextTooLong", 1).await;
    check(vec![Reply::json(503, &error("", "no")).header("x-should-retry", "false")], "Overloaded", 1).await;
    check(vec![Reply::new(200, "text/html", "<html>login</html>")], "BadResponse", 1).await;
    check(vec![Reply::new(302, "text/html", "").header("location", "http://127.0.0.1:9/")], "BadResponse", 1).await;
    check(vec![Reply::stream("data: {\"secret\"\n\n")], "BadResponse", 1).await;
}

#[tokio::test]
async fn an_error_within_the_stream_is_tried_again_as_long_as_nothing_was_said() {
    let busy = "data: {\"error\":{\"code\":503,\"message\":\"busy\"}}\n\n";
    check(vec![Reply::stream(busy)], "Hello", 2).await;
    for api in [Api::Responses, Api::Chat] {
        let begun = whole(api).split_inclusive("\n\n").next().expect("an event");
        for (end, expected) in [
            (Reply::stream(format!("{begun}{busy}")), "Overloaded"),
            (Reply::stream(begun).broken(), "Cut"),
            (Reply::stream(begun), "Cut"),
        ] {
            let server = Server::scripted([end, Reply::stream(whole(api))]).await;
            let (events, error) = listen(&provider(config(&server, api)), question()).await;
            assert_eq!(events, [ModelEvent::Text("Hel".to_owned())]);
            assert_eq!(error.as_ref().map(kind).as_deref(), Some(expected));
            assert_eq!(server.requests().len(), 1, "what was said cannot be taken back");
        }
    }
}

#[tokio::test]
async fn a_hint_is_waited_for() {
    let slow = Reply::json(429, &error("rate_limit_exceeded", "slow")).header("retry-after-ms", "120");
    let begun = Instant::now();
    check(vec![slow], "Hello", 2).await;
    assert!(begun.elapsed() >= Duration::from_millis(240), "once for each API");
}

#[tokio::test]
async fn a_hint_may_be_a_date_by_the_servers_own_clock() {
    let limited = |until: &str| {
        let reply = Reply::json(429, &error("rate_limit_exceeded", "slow"));
        reply.header("date", "Wed, 21 Oct 2026 07:28:00 GMT").header("retry-after", until)
    };
    let begun = Instant::now();
    check(vec![limited("Wed, 21 Oct 2026 07:28:01 GMT")], "Hello", 2).await;
    assert!(begun.elapsed() >= Duration::from_secs(2), "once for each API");
    check(vec![limited("Wed, 21 Oct 2026 08:28:00 GMT")], "RateLimited", 1).await;
}

#[tokio::test]
async fn a_hint_that_is_too_long_goes_to_the_caller() {
    let slow = Reply::json(429, &error("rate_limit_exceeded", "slow")).header("retry-after", "3600");
    let server = Server::scripted([slow]).await;
    let answer = ask(&provider(config(&server, Api::Responses))).await;
    let Err(LlmError::RateLimited { retry_after, .. }) = answer else { panic!("{answer:?}") };
    assert_eq!(retry_after, Some(Duration::from_hours(1)));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn silence_ends_an_answer() {
    for api in [Api::Responses, Api::Chat] {
        let begun = whole(api).split_inclusive("\n\n").next().expect("an event");
        let server = Server::scripted([Reply::mute(), Reply::stream("").hang(), Reply::stream(begun).hang()]).await;
        let config = Config { head_timeout_ms: 60, idle_timeout_ms: 60, ..config(&server, api) };
        let (events, error) = listen(&provider(config), question()).await;
        assert_eq!(events, [ModelEvent::Text("Hel".to_owned())]);
        assert!(matches!(error, Some(LlmError::Timeout(_))), "{error:?}");
        assert_eq!(server.requests().len(), 3);
        server.until_left(3).await;
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_cannot_be_reached() {
    let server = Server::scripted([]).await;
    let provider = provider(Config { max_attempts: 2, ..config(&server, Api::Chat) });
    drop(server);
    // The socket closes with the server's task, which ends when its runtime gets to it.
    tokio::task::yield_now().await;
    let answer = ask(&provider).await;
    assert!(matches!(answer, Err(LlmError::Network(_))), "{answer:?}");
}

#[tokio::test]
async fn an_event_without_end_is_refused() {
    for api in [Api::Responses, Api::Chat] {
        let huge = format!("data: {{\"x\":\"{}\"}}\n\n", "x".repeat(200_000));
        let server = Server::scripted([Reply::stream(huge), Reply::stream(format!(": {}", "x".repeat(200_000)))]).await;
        let provider = provider(Config { max_event_bytes: 100_000, ..config(&server, api) });
        for _ in 0..2 {
            let answer = ask(&provider).await;
            assert!(matches!(answer, Err(LlmError::BadResponse(_))), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_call_runs_only_if_its_whole_stream_came() {
    let chat = concat!(
        "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"a\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}\n\n",
        "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
        "data: [DONE]\n\n",
    );
    for end in (0..chat.len()).step_by(3) {
        let reply = Reply::stream(chat).cut(end);
        let reply = if end % 2 == 0 { reply } else { reply.broken() };
        let server = Server::scripted([reply]).await;
        let answer = listen(&provider(Config { max_attempts: 1, ..config(&server, Api::Chat) }), question()).await;
        assert!(matches!(answer, (_, Some(LlmError::Cut(_)))), "after {end}: {answer:?}");
    }
    let server = Server::scripted([Reply::stream(chat)]).await;
    let (events, _) = listen(&provider(config(&server, Api::Chat)), question()).await;
    assert!(matches!(&events[..], [ModelEvent::Completed(completion)] if completion.calls.len() == 1), "{events:?}");
}
