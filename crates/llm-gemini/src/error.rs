//! What the vendor's errors mean (<https://ai.google.dev/gemini-api/docs/troubleshooting>).

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
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    classify(Some(status.as_u16()), &body, hint::of(headers))
}

/// What an error that came within an answer means.
pub(crate) fn of_event(event: &Value) -> Failure {
    classify(None, event, None)
}

/// A call that the model got wrong. Asked again, it may well get it right.
pub(crate) fn of_malformed_call(reason: &str, words: &str) -> Failure {
    let words = if words.is_empty() { "the model asked for a call in a wrong form" } else { words };
    Failure { error: LlmError::BadResponse(shortened(&format!("{words} ({reason})"))), retry: true, after: None }
}

/// The vendor misses signatures in the history.
pub(crate) fn of_missing_signature(words: &str) -> Failure {
    let words = if words.is_empty() { "the history lacks a thought signature" } else { words };
    LlmError::BadRequest(shortened(&format!("{words} (MISSING_THOUGHT_SIGNATURE)"))).into()
}

/// An answer that the vendor blocked by its policies, for the reason that it gives.
pub(crate) fn of_block(words: &str) -> Failure {
    LlmError::Policy(shortened(words)).into()
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

fn seconds(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok()
}

fn classify(status: Option<u16>, body: &Value, header: Option<Duration>) -> Failure {
    // Without `alt=sse`, and behind some proxies, errors come in an array.
    let body = body.as_array().and_then(|errors| errors.first()).unwrap_or(body);
    let error = body.get("error").unwrap_or(body);
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    // The Interactions API writes the name where the number is, or an address that ends in it.
    let name = if text("status").is_empty() { text("code") } else { text("status") };
    let name = name.trim_end_matches('/').rsplit(['/', '#']).next().unwrap_or(name);
    let words = match text("message") {
        "" => error.as_str().or_else(|| body.get("detail")?.as_str()).unwrap_or_default(),
        words => words,
    };
    let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let name = if name.is_empty() { code.map_or("", of_rpc) } else { name };
    let number = status.or(code.filter(|code| *code >= 100)).unwrap_or_default();
    let details = error.get("details").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let after = details.iter().find_map(retry_delay).or(header);
    let message = shortened(&message_of(number, name, words));
    let error = match kind_of(name, number) {
        _ if is_about_the_key(details, words) => LlmError::Authentication(message),
        Kind::Authentication if number == 403 && is_about_the_request(words) => LlmError::BadRequest(message),
        Kind::Authentication => LlmError::Authentication(message),
        _ if is_unpaid(details, words) => LlmError::Quota(message),
        Kind::RateLimit if is_used_up(details, words) => LlmError::Quota(message),
        Kind::RateLimit => LlmError::RateLimited { message, retry_after: after },
        Kind::Quota => LlmError::Quota(message),
        Kind::TooLong => LlmError::ContextTooLong(message),
        Kind::Timeout => LlmError::Timeout(message),
        Kind::BadRequest if is_about_length(words) => LlmError::ContextTooLong(message),
        Kind::BadRequest => LlmError::BadRequest(message),
        Kind::Overloaded => LlmError::Overloaded(message),
        Kind::Other => LlmError::BadResponse(message),
    };
    Failure { after, ..error.into() }
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

/// The name decides where it is known; else the number, as gateways and proxies have only that. The Interactions
/// API writes the names in small letters.
fn kind_of(name: &str, status: u16) -> Kind {
    match name.to_ascii_uppercase().replace('-', "_").as_str() {
        "UNAUTHENTICATED" | "PERMISSION_DENIED" => Kind::Authentication,
        "RESOURCE_EXHAUSTED" | "QUOTA" | "QUOTA_EXCEEDED" | "RATE_LIMIT_EXCEEDED" => Kind::RateLimit,
        "BUDGET_EXCEEDED" | "BILLING_DISABLED" => Kind::Quota,
        "DEADLINE_EXCEEDED" => Kind::Timeout,
        "UNAVAILABLE" | "INTERNAL" | "ABORTED" => Kind::Overloaded,
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "NOT_FOUND" | "OUT_OF_RANGE" | "UNIMPLEMENTED" => Kind::BadRequest,
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
        500..=599 => Kind::Overloaded,
        400..=499 => Kind::BadRequest,
        _ => Kind::Other,
    }
}

/// A key that is not valid is an `INVALID_ARGUMENT` like any other, but for its reason.
fn is_about_the_key(details: &[Value], words: &str) -> bool {
    let reason = |detail: &Value| detail.get("reason").and_then(Value::as_str).map(ToOwned::to_owned);
    let bad = |reason: String| reason.starts_with("API_KEY_");
    details.iter().filter_map(reason).any(bad) || words.starts_with("API key ")
}

/// The names of gRPC's codes (<https://grpc.io/docs/guides/status-codes>).
fn of_rpc(code: u16) -> &'static str {
    match code {
        1 => "CANCELLED",
        3 => "INVALID_ARGUMENT",
        4 => "DEADLINE_EXCEEDED",
        5 => "NOT_FOUND",
        7 => "PERMISSION_DENIED",
        8 => "RESOURCE_EXHAUSTED",
        9 => "FAILED_PRECONDITION",
        10 => "ABORTED",
        13 => "INTERNAL",
        14 => "UNAVAILABLE",
        16 => "UNAUTHENTICATED",
        _ => "",
    }
}

/// Whether it is money that is missing, whatever the status.
fn is_unpaid(details: &[Value], words: &str) -> bool {
    let reason = |detail: &Value| detail.get("reason").and_then(Value::as_str).map(ToOwned::to_owned);
    let words = words.to_ascii_lowercase();
    details.iter().filter_map(reason).any(|reason| reason.contains("BILLING") || reason.contains("SPEND"))
        || ["credits are depleted", "spend limit", "spending cap", "spend cap", "billing account", "prepayment"]
            .iter()
            .any(|part| words.contains(part))
}

/// Whether a 403 is about what is asked, and not about who asks.
fn is_about_the_request(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    ["policy", "safety", "blocked", "prohibited", "region", "location", "terms of"]
        .iter()
        .any(|part| words.contains(part))
}

/// Whether waiting for a minute will not help: a day's quota, or money that is spent.
fn is_used_up(details: &[Value], words: &str) -> bool {
    let quota = |v: &Value| v.get("quotaId").and_then(Value::as_str).is_some_and(|id| id.contains("PerDay"));
    let violations = details.iter().filter_map(|d| d.get("violations")?.as_array()).flatten();
    let words = words.to_ascii_lowercase();
    violations.into_iter().any(quota)
        || ["credits are depleted", "spend limit", "spending cap"].iter().any(|w| words.contains(w))
}

fn is_about_length(words: &str) -> bool {
    let words = words.to_ascii_lowercase();
    words.contains("token count") && words.contains("exceed")
}

/// `google.rpc.RetryInfo`, whose delay is a text such as `34.4s`.
fn retry_delay(detail: &Value) -> Option<Duration> {
    let delay = detail.get("retryDelay")?.as_str()?;
    seconds(delay.trim().strip_suffix('s')?.parse().ok()?)
}

fn message_of(status: u16, name: &str, words: &str) -> String {
    match (words, name, status) {
        ("", "", 0) => "an error without an explanation".to_owned(),
        ("", "", status) => format!("status {status} without an explanation"),
        ("", name, _) => name.to_owned(),
        (words, "", _) => words.to_owned(),
        (words, name, _) => format!("{words} ({name})"),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MESSAGE_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
