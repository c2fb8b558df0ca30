//! What the vendor's errors mean (<https://platform.claude.com/docs/en/api/errors>).

mod hint;

use lockkeeper_ports::LlmError;
use reqwest::{StatusCode, header::HeaderMap};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::time::Duration;

/// The longest message of a vendor's that is passed on, in characters.
const MESSAGE_CHARS: usize = 500;

/// Why an attempt failed, and whether another one may help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) error: LlmError,
    pub(crate) retry: bool,
    /// How long the vendor wants to be left alone.
    pub(crate) after: Option<Duration>,
}

impl From<LlmError> for Failure {
    fn from(error: LlmError) -> Self {
        let retry = matches!(
            error,
            LlmError::RateLimited { .. }
                | LlmError::Overloaded(_)
                | LlmError::Network(_)
                | LlmError::Timeout(_)
                | LlmError::Cut(_)
        );
        Self { error, retry, after: None }
    }
}

impl Failure {
    /// The same failure without the key in its words, should the vendor have repeated it.
    pub(crate) fn masked(mut self, key: &SecretString) -> Self {
        let text = self.error.words_mut();
        let key = key.expose_secret().trim();
        if !key.is_empty() && text.contains(key) {
            *text = text.replace(key, "[key]");
        }
        self
    }
}

/// What a response with a status other than success means.
pub(crate) fn of_response(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut failure = classify(Some(status), &body, header("request-id"));
    failure.after = hint::of(headers);
    if let LlmError::RateLimited { retry_after, .. } = &mut failure.error {
        *retry_after = failure.after;
    }
    let is_final = matches!(failure.error, LlmError::Quota(_) | LlmError::Authentication(_) | LlmError::Policy(_));
    match header("x-should-retry") {
        Some("true") => failure.retry = !is_final,
        Some("false") => failure.retry = false,
        _ => {}
    }
    failure
}

/// What an error that came as an event means.
pub(crate) fn of_event(event: &Value) -> Failure {
    classify(None, event, None)
}

/// A body that is not, or not wholly, a stream of events.
pub(crate) fn of_stream(error: lockkeeper_sse::Error) -> Failure {
    match error {
        lockkeeper_sse::Error::Cut => LlmError::Cut(error.to_string()),
        _ => LlmError::BadResponse(error.to_string()),
    }
    .into()
}

/// A failure on the way to the vendor or back. The address is left out, since it may hold what somebody else may not see.
pub(crate) fn of_transport(error: reqwest::Error) -> LlmError {
    let error = error.without_url();
    let text = chain(&error);
    if error.is_timeout() {
        LlmError::Timeout(text)
    } else if error.is_connect() || error.is_request() || error.is_builder() {
        LlmError::Network(text)
    } else {
        LlmError::Cut(text)
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    shortened(&causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

fn classify(status: Option<StatusCode>, body: &Value, request: Option<&str>) -> Failure {
    let error = body.get("error").unwrap_or(body);
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, words) = (text(error, "type"), text(error, "message"));
    // The vendor's own code lies deeper than that of gateways.
    let deep = error.get("details").map(|details| text(details, "error_code")).filter(|code| !code.is_empty());
    let code = deep.unwrap_or_else(|| text(error, "code"));
    let words = if words.is_empty() { words_of_gateway(body) } else { words };
    let request = request.map(ToOwned::to_owned).or_else(|| Some(text(body, "request_id")).filter(|id| !id.is_empty()));
    let message = shortened(&message_of(status, &kind, &words, request.as_deref()));
    let has = |part: &str| [&kind, &code, &words].iter().any(|t| t.to_ascii_lowercase().contains(part));
    let is_used_up = [
        "spend_limit",
        "spend limit",
        "usage_limit_reached",
        "specified api usage limits",
        "credit balance",
        "credits_exhausted",
        "billing_",
        "insufficient_quota",
    ];
    let error = match kind_of(&kind, status.map_or(0, |s| s.as_u16())) {
        _ if is_used_up.iter().any(|part| has(part)) => LlmError::Quota(message),
        _ if has("policy_violation") || has("safety_policy") => LlmError::Policy(message),
        Kind::Authentication => LlmError::Authentication(message),
        Kind::Quota => LlmError::Quota(message),
        Kind::RateLimit => LlmError::RateLimited { message, retry_after: None },
        Kind::TooLong => LlmError::ContextTooLong(message),
        Kind::Timeout => LlmError::Timeout(message),
        Kind::BadRequest if is_about_length(&words) => LlmError::ContextTooLong(message),
        Kind::BadRequest => LlmError::BadRequest(message),
        Kind::Overloaded => LlmError::Overloaded(message),
        Kind::Other => LlmError::BadResponse(message),
    };
    error.into()
}

/// What gateways write in the place of the vendor's message.
fn words_of_gateway(body: &Value) -> String {
    let places = ["/error", "/message", "/detail", "/error/detail", "/error/error/message"];
    let words = places.iter().find_map(|place| body.pointer(place)?.as_str());
    words.unwrap_or_default().to_owned()
}

enum Kind {
    Authentication,
    Quota,
    RateLimit,
    TooLong,
    Timeout,
    BadRequest,
    Overloaded,
    Other,
}

/// The type decides where it is known; else the status, as gateways and proxies have only that.
fn kind_of(error_type: &str, status: u16) -> Kind {
    match error_type {
        "authentication_error" | "permission_error" => Kind::Authentication,
        "billing_error" => Kind::Quota,
        "rate_limit_error" => Kind::RateLimit,
        "request_too_large" | "exceed_context_size_error" => Kind::TooLong,
        "timeout_error" => Kind::Timeout,
        "overloaded_error" | "api_error" => Kind::Overloaded,
        "invalid_request_error" | "not_found_error" => Kind::BadRequest,
        _ => kind_of_status(status),
    }
}

fn kind_of_status(status: u16) -> Kind {
    match status {
        401 | 403 => Kind::Authentication,
        402 => Kind::Quota,
        429 => Kind::RateLimit,
        413 => Kind::TooLong,
        408 | 504 => Kind::Timeout,
        409 | 500..=599 => Kind::Overloaded,
        400..=499 => Kind::BadRequest,
        _ => Kind::Other,
    }
}

/// A conversation that does not fit is an `invalid_request_error` like any other, but for its words.
fn is_about_length(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["prompt is too long", "exceed context limit", "exceeds the available context", "context window", "context length"]
        .iter()
        .any(|part| words.contains(part))
}

fn message_of(status: Option<StatusCode>, kind: &str, words: &str, request: Option<&str>) -> String {
    let mut message = match (words, kind, status) {
        ("", "", Some(status)) => format!("status {status} without an explanation"),
        ("", "", None) => "an error without an explanation".to_owned(),
        ("", kind, _) => kind.to_owned(),
        (words, "", _) => words.to_owned(),
        (words, kind, _) => format!("{words} ({kind})"),
    };
    if let Some(request) = request {
        message.push_str(" [request ");
        message.push_str(request);
        message.push(']');
    }
    message
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
