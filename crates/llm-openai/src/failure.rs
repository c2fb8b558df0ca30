//! What went wrong, in the port's words and in what it means for another try.

pub(crate) mod hint;
mod words;

use crate::json::{has, text};
use lockkeeper_ports::LlmError;
use serde_json::Value;
use std::{collections::BTreeMap, time::Duration};

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
    /// The place in the request that the server names.
    pub(crate) place: String,
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
    /// `reasoning.effort`, or a value of it.
    Effort,
    /// `prompt_cache_key`.
    CacheKey,
    /// Ids of calls that are not exactly as long as Mistral wants them.
    LongIds,
}

impl Feature {
    /// Those that a server refuses whatever the conversation is.
    const LASTING: [Self; 9] = [
        Self::Summary,
        Self::Encrypted,
        Self::Reasoning,
        Self::StreamOptions,
        Self::TokenLimit,
        Self::Images,
        Self::Effort,
        Self::CacheKey,
        Self::LongIds,
    ];

    /// The name under which it is remembered that the server refuses it; none for what another conversation may have.
    pub(crate) fn lasting(self) -> Option<&'static str> {
        Some(match self {
            Self::Replay => return None,
            Self::Summary => "summary",
            Self::Encrypted => "encrypted",
            Self::Reasoning => "reasoning",
            Self::StreamOptions => "stream_options",
            Self::TokenLimit => "token_limit",
            Self::Images => "images",
            Self::Effort => "effort",
            Self::CacheKey => "cache_key",
            Self::LongIds => "long_ids",
        })
    }

    /// Those whose names are among `known`.
    pub(crate) fn remembered(known: &BTreeMap<&'static str, String>) -> Vec<Self> {
        let is_known = |feature: &Self| feature.lasting().is_some_and(|name| known.contains_key(name));
        Self::LASTING.into_iter().filter(is_known).collect()
    }
}

impl Failure {
    /// A failure that another try does not mend.
    pub(crate) fn fatal(error: LlmError) -> Self {
        Self { error, retryable: false, rejected: None, place: String::new() }
    }

    /// A failure that may pass.
    pub(crate) fn passing(error: LlmError) -> Self {
        Self { error, retryable: true, rejected: None, place: String::new() }
    }

    pub(crate) fn cut(reason: impl Into<String>) -> Self {
        Self::passing(LlmError::Cut(reason.into()))
    }

    pub(crate) fn bad_response(reason: impl Into<String>) -> Self {
        Self::fatal(LlmError::BadResponse(reason.into()))
    }

    /// The same with the provider's words changed by `rewrite`.
    pub(crate) fn reworded(mut self, rewrite: impl FnOnce(&str) -> String) -> Self {
        let message = self.error.words_mut();
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
        if report.message.is_empty() && report.code.is_empty() {
            report.message = plain(&String::from_utf8_lossy(body));
        }
        if report.message.is_empty() {
            report.message = format!("HTTP status {status}");
        }
        report
    }

    /// Words in the place of an event.
    pub(crate) fn of_text(words: &str) -> Self {
        Self { message: plain(words), ..Self::default() }
    }

    /// An error object, wherever it stands: `{"error": {..}}`, `{"error": ".."}`, or flat.
    pub(crate) fn of_json(json: &Value) -> Self {
        let nested = json.get("error").filter(|error| error.is_object());
        let error = nested.unwrap_or(json);
        let code = ["/code", "/status", "/status_code", "/statusCode"].iter().find_map(|at| error.pointer(at));
        let number = code.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
        let message = words::of(json);
        let kind = text(error, "/type");
        Self {
            status: number.and_then(|n| u16::try_from(n).ok()).filter(|n| (400..=599).contains(n)),
            code: text(error, "/code").to_owned(),
            // A flat event's type is that it is an error.
            kind: if kind == "error" { String::new() } else { kind.to_owned() },
            param: text(error, "/param").to_owned(),
            message: shortened(&message),
            ..Self::default()
        }
    }

    /// Whether an object that is no answer says why, as `{"detail": ".."}` does.
    pub(crate) fn is_refusal(json: &Value) -> bool {
        let is_answer = ["object", "id", "usage", "model"].iter().any(|key| json.get(*key).is_some());
        !is_answer && !words::of(json).is_empty()
    }

    pub(crate) fn into_failure(self) -> Failure {
        let error = self.error();
        let by_kind = match &error {
            LlmError::RateLimited { .. } => !self.asks_too_much(),
            LlmError::Overloaded(_) => true,
            _ => false,
        };
        let fatal = matches!(error, LlmError::Quota(_) | LlmError::Authentication(_) | LlmError::Policy(_));
        let retryable = if fatal { false } else { self.should_retry.unwrap_or(by_kind) };
        let rejected = match &error {
            LlmError::BadRequest(_) => self.rejected(),
            // llama.cpp calls it an error of its own.
            LlmError::Overloaded(_) => Some(Feature::Images).filter(|_| self.rejects_images()),
            _ => None,
        };
        Failure { error, retryable, rejected, place: self.param }
    }

    fn error(&self) -> LlmError {
        let message = self.said();
        let (code, kind) = (self.code.as_str(), self.kind.as_str());
        if self.is_quota() {
            return LlmError::Quota(message);
        }
        if self.is_policy() {
            return LlmError::Policy(message);
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
            Some(401) => LlmError::Authentication(message),
            Some(403) if self.is_about_the_key() => LlmError::Authentication(message),
            Some(402) => LlmError::Quota(message),
            Some(413) => LlmError::ContextTooLong(message),
            Some(429) => self.rate_limited(message),
            Some(408 | 409 | 425 | 500 | 502..) => LlmError::Overloaded(message),
            Some(300..=399) => LlmError::BadResponse(format!("a redirect: {message}")),
            None if self.may_pass() => LlmError::Overloaded(message),
            Some(_) | None => LlmError::BadRequest(message),
        }
    }

    fn rate_limited(&self, message: String) -> LlmError {
        let retry_after = self.retry_after.or_else(|| hint::in_words(&self.message));
        LlmError::RateLimited { message, retry_after }
    }

    fn is_quota(&self) -> bool {
        const CODES: &[&str] = &[
            "insufficient_quota",
            "quota_exceeded",
            "billing",
            "insufficient_credit",
            "insufficient_balance",
            "insufficient_funds",
            "spend_limit",
            "spending_limit",
            "usage_limit_exceeded",
            "usage_limit_reached",
            "credit_balance",
            "credits_exhausted",
            "out_of_credits",
            "payment_required",
            "arrearage",
        ];
        const WORDS: &[&str] = &[
            "exceeded your current quota",
            "quota exceeded",
            "insufficient credits",
            "insufficient balance",
            "credit balance is too low",
            "spend limit",
            "spending limit",
            "out of credits",
        ];
        let is = |word: &str| CODES.iter().any(|code| word.to_ascii_lowercase().contains(code));
        let said = self.message.to_ascii_lowercase();
        let unnamed = self.code.is_empty() || self.code.bytes().all(|b| b.is_ascii_digit());
        is(&self.code) || is(&self.kind) || (unnamed && WORDS.iter().any(|words| said.contains(words)))
    }

    /// The provider's own rules, not the request's form: such a request is not to be tried again.
    fn is_policy(&self) -> bool {
        const CODES: &[&str] = &["policy", "misalignment", "content_filter", "moderation", "safety", "data_residency"];
        const OF_IMAGES: &str = "image_content_policy_violation";
        let is = |word: &str| word != OF_IMAGES && CODES.iter().any(|code| word.contains(code));
        let blocked = self.status == Some(403) && self.message.contains("blocked by our safety");
        is(&self.code) || is(&self.kind) || blocked
    }

    /// A 403 is about the key unless it says what else it is about.
    fn is_about_the_key(&self) -> bool {
        let said = self.message.to_ascii_lowercase();
        let words = ["key", "permission", "authenticat", "unauthorized", "credential", "scope", "token", "forbidden"];
        let names_nothing = self.code.is_empty() && self.kind.is_empty() && self.param.is_empty();
        let unnamed = self.code.bytes().all(|b| b.is_ascii_digit()) && self.param.is_empty() && self.kind.is_empty();
        names_nothing || unnamed || self.kind == "request_forbidden" || words.iter().any(|word| said.contains(word))
    }

    /// Whether a failure within a stream is of the server's own. One with a code that nobody knows is not tried again.
    fn may_pass(&self) -> bool {
        const PASSING: &[&str] =
            &["server", "internal", "overload", "unavailable", "timeout", "timed_out", "api_error", "capacity", "busy"];
        let known = |word: &str| PASSING.iter().any(|part| word.contains(part));
        let code = self.code.to_ascii_lowercase();
        let unnamed = code.is_empty() && matches!(self.kind.as_str(), "" | "error" | "upstream_error");
        unnamed || known(&code) || (known(&self.kind) && self.kind != "invalid_request_error")
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
        if (said.contains("length of 9") && said.contains("ool call id")) || self.param.ends_with("tool_call_id") {
            return Some(Feature::LongIds);
        }
        let param = self.param.as_str();
        let feature = match param {
            "reasoning.summary" => Feature::Summary,
            "reasoning.effort" | "reasoning_effort" => Feature::Effort,
            "prompt_cache_key" => Feature::CacheKey,
            _ if param.starts_with("tools") => return None,
            _ if param.starts_with("include") => Feature::Encrypted,
            _ if param.starts_with("reasoning") => Feature::Reasoning,
            _ if param.starts_with("stream_options") => Feature::StreamOptions,
            "max_tokens" | "max_completion_tokens" if self.code.starts_with("unsupported") => Feature::TokenLimit,
            _ if says(&["reasoning summar"]) || says(&["reasoning.summary"]) => Feature::Summary,
            _ if says(&["ncrypted content is not supported"]) => Feature::Encrypted,
            _ if says(&["stream_options"]) => Feature::StreamOptions,
            _ if says(&["reasoning_effort"]) || says(&["reasoning.effort"]) => Feature::Effort,
            _ if says(&["prompt_cache_key"]) => Feature::CacheKey,
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
pub(crate) fn plain(body: &str) -> String {
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
