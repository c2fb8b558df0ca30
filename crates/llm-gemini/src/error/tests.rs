use super::*;
use lockkeeper_domain::Code;
use serde_json::json;

fn failure(status: u16, headers: &[(&'static str, &str)], body: &Value) -> Failure {
    let status = StatusCode::from_u16(status).expect("a status");
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().expect("a header"));
    }
    of_response(status, &map, body.to_string().as_bytes())
}

#[track_caller]
fn check(status: u16, name: &str, message: &str, expected: Code, retry: bool) {
    let body = json!({"error": {"code": status, "status": name, "message": message}});
    for body in [body.clone(), json!([body])] {
        let failure = failure(status, &[], &body);
        assert_eq!((failure.error.code(), failure.retry), (expected, retry), "{status} {name} {message}");
    }
}

#[test]
fn every_error_of_the_vendor_has_its_place() {
    check(400, "INVALID_ARGUMENT", "Thinking level MINIMAL is not supported", Code::ProviderBadRequest, false);
    check(400, "INVALID_ARGUMENT", "Function call is missing a thought_signature", Code::ProviderBadRequest, false);
    check(400, "INVALID_ARGUMENT", "API key not valid. Please pass another.", Code::ProviderAuthentication, false);
    check(400, "INVALID_ARGUMENT", "API key expired.", Code::ProviderAuthentication, false);
    check(400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum (8)", Code::ContextTooLong, false);
    check(400, "FAILED_PRECONDITION", "not in your country", Code::ProviderBadRequest, false);
    check(401, "UNAUTHENTICATED", "who?", Code::ProviderAuthentication, false);
    check(403, "PERMISSION_DENIED", "not yours", Code::ProviderAuthentication, false);
    check(404, "NOT_FOUND", "models/x is not found", Code::ProviderBadRequest, false);
    check(413, "", "", Code::ContextTooLong, false);
    check(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota", Code::ProviderRateLimited, true);
    check(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted", Code::ProviderQuota, false);
    check(499, "CANCELLED", "", Code::ProviderBadRequest, false);
    check(500, "INTERNAL", "An internal error has occurred", Code::ProviderOverloaded, true);
    check(503, "UNAVAILABLE", "The model is overloaded", Code::ProviderOverloaded, true);
    check(504, "DEADLINE_EXCEEDED", "late", Code::ProviderTimeout, true);
    check(302, "", "", Code::ProviderBadResponse, false);
}

#[test]
fn a_reason_says_more_than_the_status() {
    let with = |status: u16, details: Value| failure(status, &[], &json!({"error": {"details": details}})).error.code();
    assert_eq!(with(400, json!([{"reason": "API_KEY_INVALID"}])), Code::ProviderAuthentication);
    assert_eq!(with(400, json!([7, null, {"reason": 7}])), Code::ProviderBadRequest);
    let quota = |id: &str| json!([{"violations": [{"quotaId": id}]}]);
    assert_eq!(with(429, quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")), Code::ProviderQuota);
    assert_eq!(with(429, quota("GenerateRequestsPerMinutePerProjectPerModel")), Code::ProviderRateLimited);
}

#[test]
fn the_vendors_hint_is_found_in_the_body_and_in_the_header() {
    let delay = |delay: Value| failure(429, &[], &json!({"error": {"details": [{"retryDelay": delay}]}})).after;
    assert_eq!(delay(json!("34.4s")), Some(Duration::from_millis(34_400)));
    for nonsense in [json!("34.4"), json!("-1s"), json!("NaNs"), json!("s"), json!(7), json!(null), json!("1e300s")] {
        assert_eq!(delay(nonsense.clone()), None, "{nonsense}");
    }
    let limited = failure(429, &[("retry-after", "12")], &json!(null)).error;
    assert!(matches!(limited, LlmError::RateLimited { retry_after: Some(after), .. } if after.as_secs() == 12));
}

#[test]
fn a_body_that_is_not_json_leaves_the_status_to_decide() {
    let status = |status: u16| StatusCode::from_u16(status).expect("a status");
    let of = |number: u16| of_response(status(number), &HeaderMap::new(), b"<html>Bad Gateway</html>").error.code();
    let expected =
        [Code::ProviderBadRequest, Code::ProviderAuthentication, Code::ProviderRateLimited, Code::ProviderOverloaded];
    assert_eq!([400, 401, 429, 502].map(of), expected);
}

#[test]
fn an_error_within_a_stream_means_what_it_means_outside() {
    let event = |error: Value| of_event(&json!({"error": error})).error.code();
    assert_eq!(event(json!({"code": 503, "message": "m", "status": "UNAVAILABLE"})), Code::ProviderOverloaded);
    assert_eq!(event(json!({"code": "resource_exhausted", "message": "m"})), Code::ProviderRateLimited);
    assert_eq!(event(json!({"code": 99_999_999_999_u64})), Code::ProviderBadResponse);
    assert_eq!(event(json!("text")), Code::ProviderBadResponse);
}

#[test]
fn messages_are_short_and_never_hold_the_key() {
    let key = SecretString::from("AIza-0123456789");
    let body = json!({"error": {"status": "UNAUTHENTICATED", "message": "AIza-0123456789 is unknown"}});
    let text = of_event(&body).masked(&key).error.to_string();
    assert_eq!(text, "the provider refused the key: [key] is unknown (UNAUTHENTICATED)");
    let long = of_event(&json!({"error": {"message": "ü".repeat(9_999)}})).error.to_string();
    assert!(long.chars().count() < 600, "{}", long.len());
}
