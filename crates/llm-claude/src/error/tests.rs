use super::*;
use lockkeeper_domain::Code;
use serde_json::json;

fn failure(status: u16, headers: &[(&'static str, &str)], body: &str) -> Failure {
    let status = StatusCode::from_u16(status).expect("a status");
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().expect("a header"));
    }
    of_response(status, &map, body.as_bytes())
}

#[track_caller]
fn check(status: u16, error_type: &str, message: &str, expected: Code, retry: bool) {
    let body = json!({"type": "error", "error": {"type": error_type, "message": message}}).to_string();
    let failure = failure(status, &[], &body);
    assert_eq!((failure.error.code(), failure.retry), (expected, retry), "{status} {error_type} {message}");
}

#[test]
fn every_error_of_the_vendor_has_its_place() {
    check(400, "invalid_request_error", "temperature: range: 0..1", Code::ProviderBadRequest, false);
    check(400, "invalid_request_error", "prompt is too long: 5 tokens > 4 maximum", Code::ContextTooLong, false);
    check(
        400,
        "invalid_request_error",
        "input length and `max_tokens` exceed context limit: 5",
        Code::ContextTooLong,
        false,
    );
    check(
        400,
        "exceed_context_size_error",
        "the request exceeds the available context size",
        Code::ContextTooLong,
        false,
    );
    check(400, "invalid_request_error", "Your credit balance is too low", Code::ProviderQuota, false);
    check(401, "authentication_error", "invalid x-api-key", Code::ProviderAuthentication, false);
    check(402, "billing_error", "pay", Code::ProviderQuota, false);
    check(403, "permission_error", "not yours", Code::ProviderAuthentication, false);
    check(404, "not_found_error", "model: x", Code::ProviderBadRequest, false);
    check(413, "request_too_large", "too large", Code::ContextTooLong, false);
    check(429, "rate_limit_error", "slower", Code::ProviderRateLimited, true);
    check(429, "rate_limit_error", "workspace_spend_limit_reached", Code::ProviderQuota, false);
    check(429, "enforced_spend_limit_reached", "", Code::ProviderQuota, false);
    check(500, "api_error", "internal", Code::ProviderOverloaded, true);
    check(504, "timeout_error", "late", Code::ProviderTimeout, true);
    check(529, "overloaded_error", "Overloaded", Code::ProviderOverloaded, true);
    check(418, "a_type_to_come", "?", Code::ProviderBadRequest, false);
    check(599, "a_type_to_come", "?", Code::ProviderOverloaded, true);
}

#[test]
fn spent_money_is_no_rate_limit_and_not_tried_again() {
    for (status, kind, code, words) in [
        (429, "rate_limit_error", "enforced_spend_limit_reached", "You have reached a limit."),
        (400, "invalid_request_error", "enforced_spend_limit_reached", "You have reached a limit."),
        (400, "invalid_request_error", "", "You have reached your specified API usage limits."),
        (403, "permission_error", "credit_balance_exhausted", "Your credit balance is used up."),
    ] {
        let error = json!({"type": kind, "message": words, "details": {"error_code": code}});
        let failure = failure(status, &[("x-should-retry", "true")], &json!({"error": error}).to_string());
        assert_eq!((failure.error.code(), failure.retry), (Code::ProviderQuota, false), "{status} {code} {words}");
    }
}

#[test]
fn words_of_gateways_are_kept() {
    for body in
        [json!({"detail": "no such route"}), json!({"error": "no such route"}), json!({"message": "no such route"})]
    {
        let failure = failure(404, &[], &body.to_string());
        assert!(failure.error.to_string().contains("no such route"), "{body}: {}", failure.error);
    }
}

#[test]
fn a_body_that_is_not_json_leaves_the_status_to_decide() {
    for (status, code) in [
        (400, Code::ProviderBadRequest),
        (401, Code::ProviderAuthentication),
        (403, Code::ProviderAuthentication),
        (408, Code::ProviderTimeout),
        (429, Code::ProviderRateLimited),
        (502, Code::ProviderOverloaded),
        (503, Code::ProviderOverloaded),
        (529, Code::ProviderOverloaded),
        (302, Code::ProviderBadResponse),
    ] {
        for body in ["", "<html><h1>Bad Gateway</h1></html>", "[]", "7", "{\"error\": \"x\"}"] {
            assert_eq!(failure(status, &[], body).error.code(), code, "{status} {body:?}");
        }
    }
}

#[test]
fn the_vendors_hints_decide_about_another_attempt() {
    let after = |headers: &[(&'static str, &str)]| failure(429, headers, "").after;
    assert_eq!(after(&[("retry-after", "12")]), Some(Duration::from_secs(12)));
    assert_eq!(after(&[]), None);
    let limited = failure(429, &[("retry-after", "12")], "").error;
    assert!(matches!(limited, LlmError::RateLimited { retry_after: Some(after), .. } if after.as_secs() == 12));
    assert!(!failure(529, &[("x-should-retry", "false")], "").retry);
    assert!(failure(400, &[("x-should-retry", "true")], "").retry);
}

#[test]
fn an_error_within_a_stream_means_what_it_means_outside() {
    let event = |kind: &str| of_event(&json!({"type": "error", "error": {"type": kind, "message": "m"}}));
    assert_eq!(event("overloaded_error").error, LlmError::Overloaded("m (overloaded_error)".to_owned()));
    assert_eq!(event("invalid_request_error").error.code(), Code::ProviderBadRequest);
    assert_eq!(event("a_type_to_come").error.code(), Code::ProviderBadResponse);
    assert_eq!(of_event(&json!({})).error.code(), Code::ProviderBadResponse);
}

#[test]
fn messages_are_short_and_never_hold_the_key() {
    let key = SecretString::from("sk-ant-0123456789");
    let body = json!({"error": {"type": "authentication_error", "message": "sk-ant-0123456789 is unknown"}, "request_id": "req_1"});
    let text = of_event(&body).masked(&key).error.to_string();
    assert_eq!(text, "the provider refused the key: [key] is unknown (authentication_error) [request req_1]");
    let long = of_event(&json!({"error": {"message": "ü".repeat(9_999)}})).error.to_string();
    assert!(long.chars().count() < 600, "{}", long.len());
    assert_eq!(of_event(&body).masked(&SecretString::default()), of_event(&body));
    let pasted = SecretString::from(" sk-ant-0123456789\n");
    assert!(!of_event(&body).masked(&pasted).error.to_string().contains("0123456789"));
}
