use super::*;
use serde_json::json;

fn check(status: u16, body: &str, expected: &str) {
    let failure = Report::of_body(status, body.as_bytes()).into_failure();
    let retry = if failure.retryable { "retry" } else { "fatal" };
    let rejected = failure.rejected.map(|f| format!(" {f:?}")).unwrap_or_default();
    let found = format!("{} {retry}{rejected}", kind(&failure.error));
    assert_eq!(found, expected, "{status} {body}: {}", failure.error);
}

fn kind(error: &LlmError) -> String {
    let debug = format!("{error:?}");
    debug.split(['(', ' ']).next().unwrap_or_default().to_owned()
}

fn error(code: &str, kind: &str, param: &str, message: &str) -> String {
    json!({"error": {"code": code, "type": kind, "param": param, "message": message}}).to_string()
}

#[test]
fn every_status_has_its_meaning() {
    check(401, &error("invalid_api_key", "invalid_request_error", "", "Incorrect API key"), "Authentication fatal");
    check(403, &error("unsupported_country", "request_forbidden", "", "Country"), "Authentication fatal");
    check(402, "{}", "Quota fatal");
    check(429, &error("insufficient_quota", "insufficient_quota", "", "You exceeded"), "Quota fatal");
    check(429, &error("enforced_spend_limit_reached", "", "", "Limit"), "Quota fatal");
    check(429, &error("rate_limit_exceeded", "tokens", "", "Rate limit"), "RateLimited retry");
    check(429, &error("rate_limit_exceeded", "tokens", "", "Request too large for m"), "RateLimited fatal");
    check(429, "slow down", "RateLimited retry");
    for status in [500, 502, 503, 504, 520, 529, 408] {
        check(status, "<html><title>Bad</title></html>", "Overloaded retry");
    }
    check(400, &error("model_not_found", "invalid_request_error", "model", "No such model"), "BadRequest fatal");
    check(404, &error("model_not_found", "invalid_request_error", "", "No such model"), "BadRequest fatal");
    check(422, r#"{"detail": "unknown field"}"#, "BadRequest fatal");
    check(501, "", "BadRequest fatal");
    check(307, "", "BadResponse fatal");
    check(413, "", "ContextTooLong fatal");
}

#[test]
fn a_conversation_that_is_too_long_is_told_by_each_server_in_its_own_words() {
    check(400, &error("context_length_exceeded", "invalid_request_error", "input", "Too long"), "ContextTooLong fatal");
    let llama = json!({"error": {"code": 400, "type": "exceed_context_size_error", "message": "request exceeds"}});
    check(400, &llama.to_string(), "ContextTooLong fatal");
    let vllm =
        json!({"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400});
    check(400, &vllm.to_string(), "ContextTooLong fatal");
    check(500, &error("", "server_error", "", "the context window service is down"), "Overloaded retry");
}

#[test]
fn a_part_that_a_server_does_not_take_is_recognised() {
    let of = |code: &str, param: &str, message: &str| error(code, "invalid_request_error", param, message);
    check(400, &of("unsupported_value", "reasoning.summary", "verify"), "BadRequest fatal Summary");
    check(400, &of("unsupported_parameter", "reasoning.effort", "no"), "BadRequest fatal Effort");
    check(400, &of("", "include", "Encrypted content is not supported with this model."), "BadRequest fatal Encrypted");
    check(400, &of("", "", "Encrypted content is not supported with this model."), "BadRequest fatal Encrypted");
    check(400, &of("invalid_encrypted_content", "", "x"), "BadRequest fatal Replay");
    let torn = "Item 'rs_1' of type 'reasoning' was provided without its required following item.";
    check(400, &of("", "input", torn), "BadRequest fatal Replay");
    check(
        404,
        &of("", "input", "Item with id 'rs_1' not found. Items are not persisted when `store` is set to false."),
        "BadRequest fatal Replay",
    );
    check(
        400,
        &of("unsupported_parameter", "max_tokens", "Use 'max_completion_tokens'."),
        "BadRequest fatal TokenLimit",
    );
    check(400, &of("", "stream_options", "no"), "BadRequest fatal StreamOptions");
    check(400, &of("unsupported_value", "temperature", "no"), "BadRequest fatal");
    check(500, &of("", "", "image input is not supported - hint: x"), "Overloaded retry Images");
    check(404, &of("", "", "No endpoints found that support image input"), "BadRequest fatal Images");
}

#[test]
fn an_error_within_a_stream_has_its_meaning_without_a_status() {
    let of = |json: Value| {
        let failure = Report::of_json(&json).into_failure();
        (kind(&failure.error), failure.retryable)
    };
    let told = |kind: &str, retry: bool| (kind.to_owned(), retry);
    let flat = json!({"type": "error", "code": "rate_limit_exceeded", "message": "try again in 2s"});
    assert_eq!(of(flat), told("RateLimited", true));
    let nested = json!({"type": "error", "error": {"code": "server_is_overloaded", "message": "busy"}});
    assert_eq!(of(nested), told("Overloaded", true));
    assert_eq!(of(json!({"error": {"code": 429, "message": "no"}})), told("RateLimited", true));
    assert_eq!(of(json!({"error": {"code": "502", "message": "no"}})), told("Overloaded", true));
    assert_eq!(of(json!({"error": {"code": "invalid_prompt", "message": "no"}})), told("BadRequest", false));
    assert_eq!(of(json!({"error": {"code": "insufficient_quota"}})), told("Quota", false));
    assert_eq!(of(json!({"error": "out of memory"})), told("Overloaded", true));
    assert_eq!(of(json!({})), told("Overloaded", true));
}

#[test]
fn a_message_is_plain_short_and_names_the_code() {
    let html = "<html>\n<head><title>502 Bad Gateway</title></head><body><h1>Bad</h1></body></html>";
    let said = |body: &str| Report::of_body(502, body.as_bytes()).into_failure().error.to_string();
    assert_eq!(said(html), "the provider is overloaded: 502 Bad Gateway Bad");
    assert_eq!(said(""), "the provider is overloaded: HTTP status 502");
    assert!(said(&"ä".repeat(5_000)).chars().count() < 600);
    assert!(said(&error("some_code", "", "", "Words")).ends_with("Words (some_code)"));
}

#[test]
fn the_server_has_the_last_word_on_another_try() {
    let try_again = |status, should_retry| {
        let report = Report { should_retry, ..Report::of_body(status, b"") };
        report.into_failure().retryable
    };
    assert!(!try_again(503, Some(false)));
    assert!(try_again(400, Some(true)));
    assert!(!try_again(401, Some(true)), "a refused key stays refused");
}
