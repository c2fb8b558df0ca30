//! What went wrong, in the port's words and in what it means for another try.

pub(crate) mod hint;

use crate::json::{has, named, text};
use lockkeeper_ports::LlmError;
use serde_json::Value;
use std::time::Duration;

/// The most characters of a vendor's message that an error carries.
const MAX_MESSAGE: usize = 500;

/// A failed try.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Failure {
    pub(crate) error: LlmError,
    /// Whether the same request may succeed later.
    pub(crate) retryable: bool,
    /// What the server does not take, and the request can do without.
    pub(crate) rejected: Option<Feature>,
}

/// A part of a request that some servers and models refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    /// `reasoning.summary`: refused to organisations that are not verified.
    Summary,
    /// `include: ["reasoning.encrypted_content"]`: refused by models that do not reason.
    Encrypted,
    /// `reasoning` as a whole.
    Reasoning,
    /// Raw items of earlier turns: encrypted for another organisation, or torn by a window.
    Replay,
    /// `stream_options`.
    StreamOptions,
    /// `max_tokens` under the name that was used.
    TokenLimit,
    /// Images: refused by models that only read.
    Images,
}

impl Failure {
    /// A failure that another try does not mend.
    pub(crate) fn fatal(error: LlmError) -> Self {
        Self { error, retryable: false, rejected: None }
    }

    /// A failure that may pass.
    pub(crate) fn passing(error: LlmError) -> Self {
        Self { error, retryable: true, rejected: None }
    }

    pub(crate) fn cut(reason: impl Into<String>) -> Self {
        Self::passing(LlmError::Cut(reason.into()))
    }

    pub(crate) fn bad_response(reason: impl Into<String>) -> Self {
        Self::fatal(LlmError::BadResponse(reason.into()))
    }

    /// The same with the provider's words changed by `rewrite`.
    pub(crate) fn reworded(mut self, rewrite: impl FnOnce(&str) -> String) -> Self {
        let (LlmError::Authentication(message)
        | LlmError::Quota(message)
        | LlmError::RateLimited { message, .. }
        | LlmError::Overloaded(message)
        | LlmError::BadRequest(message)
        | LlmError::ContextTooLong(message)
        | LlmError::BadResponse(message)
        | LlmError::Network(message)
        | LlmError::Timeout(message)
        | LlmError::Cut(message)) = &mut self.error;
        *message = rewrite(message);
        self
    }
}

/// What a server said about a failure: with a status, or within a stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    pub(crate) status: Option<u16>,
    /// `Retry-After` and its kin.
    pub(crate) retry_after: Option<Duration>,
    /// `x-should-retry`.
    pub(crate) should_retry: Option<bool>,
    code: String,
    kind: String,
    param: String,
    message: String,
}

impl Report {
    /// The body of an answer with an error's status.
    pub(crate) fn of_body(status: u16, body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        // Some gateways wrap the object in an array.
        let json = json.pointer("/0").unwrap_or(&json);
        let mut report = Self::of_json(json);
        report.status = Some(status);
        if report.message.is_empty() {
            report.message = plain(&String::from_utf8_lossy(body));
        }
        if report.message.is_empty() {
            report.message = format!("HTTP status {status}");
        }
        report
    }

    /// An error object, wherever it stands: `{"error": {..}}`, `{"error": ".."}`, or flat.
    pub(crate) fn of_json(json: &Value) -> Self {
        let nested = json.get("error").filter(|error| error.is_object());
        let error = nested.unwrap_or(json);
        let code = error.get("code");
        let number = code.and_then(Value::as_u64).or_else(|| text(error, "/code").parse().ok());
        let message = named(error, "/message").or_else(|| named(json, "/error")).or_else(|| named(json, "/detail"));
        let kind = text(error, "/type");
        Self {
            status: number.and_then(|n| u16::try_from(n).ok()).filter(|n| (400..=599).contains(n)),
            code: text(error, "/code").to_owned(),
            // A flat event's type is that it is an error.
            kind: if kind == "error" { String::new() } else { kind.to_owned() },
            param: text(error, "/param").to_owned(),
            message: shortened(&message.unwrap_or_default()),
            ..Self::default()
        }
    }

    pub(crate) fn into_failure(self) -> Failure {
        let error = self.error();
        let by_kind = match &error {
            LlmError::RateLimited { .. } => !self.asks_too_much(),
            LlmError::Overloaded(_) => true,
            _ => false,
        };
        let fatal = matches!(error, LlmError::Quota(_) | LlmError::Authentication(_));
        let retryable = if fatal { false } else { self.should_retry.unwrap_or(by_kind) };
        let rejected = match &error {
            LlmError::BadRequest(_) => self.rejected(),
            // llama.cpp calls it an error of its own.
            LlmError::Overloaded(_) => Some(Feature::Images).filter(|_| self.rejects_images()),
            _ => None,
        };
        Failure { error, retryable, rejected }
    }

    fn error(&self) -> LlmError {
        let message = self.said();
        let (code, kind) = (self.code.as_str(), self.kind.as_str());
        if self.is_quota() {
            return LlmError::Quota(message);
        }
        if self.is_context() {
            return LlmError::ContextTooLong(message);
        }
        let is = |words: &[&str]| words.iter().any(|word| code == *word || kind == *word);
        if is(&["rate_limit_exceeded", "rate_limit_error", "rate_limit_reached", "too_many_requests"]) {
            return self.rate_limited(message);
        }
        if is(&["invalid_api_key", "authentication_error", "permission_error", "invalid_authentication"]) {
            return LlmError::Authentication(message);
        }
        match self.status {
            Some(401 | 403) => LlmError::Authentication(message),
            Some(402) => LlmError::Quota(message),
            Some(413) => LlmError::ContextTooLong(message),
            Some(429) => self.rate_limited(message),
            Some(408 | 409 | 425 | 500 | 502..) => LlmError::Overloaded(message),
            Some(300..=399) => LlmError::BadResponse(format!("a redirect: {message}")),
            Some(_) => LlmError::BadRequest(message),
            None if kind == "invalid_request_error" || code.starts_with("invalid_") || code.contains("image_") => {
                LlmError::BadRequest(message)
            }
            None => LlmError::Overloaded(message),
        }
    }

    fn rate_limited(&self, message: String) -> LlmError {
        let retry_after = self.retry_after.or_else(|| hint::in_words(&self.message));
        LlmError::RateLimited { message, retry_after }
    }

    fn is_quota(&self) -> bool {
        const CODES: &[&str] = &[
            "insufficient_quota",
            "billing_not_active",
            "billing_hard_limit_reached",
            "insufficient_credits",
            "insufficient_balance",
        ];
        let is = |word: &str| CODES.contains(&word) || word.ends_with("spend_limit_reached");
        is(&self.code) || is(&self.kind)
    }

    fn is_context(&self) -> bool {
        const WORDS: &[&str] = &[
            "maximum context length",
            "context window",
            "available context size",
            "context length exceeded",
            "exceeds the context",
            "prompt is too long",
            "input is too long",
        ];
        let is = |word: &str| matches!(word, "context_length_exceeded" | "exceed_context_size_error");
        let said = self.message.to_ascii_lowercase();
        let refused = self.status.is_none_or(|status| (400..=499).contains(&status) && status != 429);
        is(&self.code) || is(&self.kind) || (refused && WORDS.iter().any(|words| said.contains(words)))
    }

    /// One request is more than a minute's allowance: no pause makes it fit.
    fn asks_too_much(&self) -> bool {
        self.message.starts_with("Request too large")
    }

    fn rejects_images(&self) -> bool {
        const WORDS: &[&str] = &[
            "image input is not supported",
            "support image input",
            "not a multimodal model",
            "not support image",
            "image_url is only supported by certain models",
        ];
        let said = self.message.to_ascii_lowercase();
        WORDS.iter().any(|words| said.contains(words))
    }

    fn rejected(&self) -> Option<Feature> {
        let said = self.message.as_str();
        let says = |words: &[&str]| words.iter().all(|word| said.contains(word));
        if self.code == "invalid_encrypted_content"
            || says(&["without its required"])
            || says(&["Items are not persisted"])
            || says(&["ncrypted content", "could not be"])
        {
            return Some(Feature::Replay);
        }
        if self.rejects_images() {
            return Some(Feature::Images);
        }
        let param = self.param.as_str();
        let feature = match param {
            "reasoning.summary" => Feature::Summary,
            _ if param.starts_with("include") => Feature::Encrypted,
            _ if param.starts_with("reasoning") => Feature::Reasoning,
            _ if param.starts_with("stream_options") => Feature::StreamOptions,
            "max_tokens" | "max_completion_tokens" if self.code.starts_with("unsupported") => Feature::TokenLimit,
            _ if says(&["reasoning summar"]) || says(&["reasoning.summary"]) => Feature::Summary,
            _ if says(&["ncrypted content is not supported"]) => Feature::Encrypted,
            _ if says(&["stream_options"]) => Feature::StreamOptions,
            _ => return None,
        };
        Some(feature)
    }

    /// The message with the code, where it adds something.
    fn said(&self) -> String {
        match (self.message.as_str(), self.code.as_str()) {
            ("", "") => "the server gave no reason".to_owned(),
            ("", code) => code.to_owned(),
            (message, "") => message.to_owned(),
            (message, code) if message.contains(code) => message.to_owned(),
            (message, code) => format!("{message} ({code})"),
        }
    }
}

/// Whether an event of a stream is an error object that has no type of its own.
pub(crate) fn is_error_object(event: &Value) -> bool {
    has(event, "/error") || text(event, "/object") == "error"
}

/// The words of a body that is not JSON: an HTML page's title and text without its tags.
fn plain(body: &str) -> String {
    let mut words = String::new();
    let mut depth = 0_u32;
    for c in body.chars().take(8 * MAX_MESSAGE) {
        match c {
            '<' => depth += 1,
            '>' => {
                depth = depth.saturating_sub(1);
                words.push(' ');
            }
            c if depth == 0 && !c.is_control() => words.push(c),
            _ => words.push(' '),
        }
    }
    shortened(&words.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
