use super::{Answer, Asked, End, Speech, claude, gemini, openai};
use serde_json::{Map, Value, json};

/// A vendor's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Claude's Messages.
    Claude,
    /// `OpenAI`'s Responses.
    Responses,
    /// `OpenAI`'s Chat Completions.
    Chat,
    /// Gemini's generateContent.
    Gemini,
}

/// The settings, in TOML, of a server that asks the vendor of this format at `url`, with `key`.
pub fn vendor_settings(wire: Wire, url: &str, key: &str) -> String {
    let provider = wire.provider();
    let api = match wire {
        Wire::Claude | Wire::Gemini => "max_retries = 2",
        Wire::Responses => "api = 'responses'\nmax_attempts = 3",
        Wire::Chat => "api = 'chat'\nmax_attempts = 3",
    };
    let url = if provider == "openai" { format!("{url}/v1") } else { url.to_owned() };
    format!(
        "llm.provider = '{provider}'
         [llm.{provider}]
         base_url = '{url}'
         api_key = '{key}'
         retry_base_ms = 1
         {api}"
    )
}

impl Wire {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Claude, Self::Responses, Self::Chat, Self::Gemini];

    /// The provider's name.
    pub fn provider(self) -> &'static str {
        match self {
            Self::Claude => "claude",
            Self::Responses | Self::Chat => "openai",
            Self::Gemini => "gemini",
        }
    }

    /// Whether a question goes where this format is spoken.
    pub fn is_line(self, line: &str) -> bool {
        match self {
            Self::Claude => line == "POST /v1/messages",
            Self::Responses => line == "POST /v1/responses",
            Self::Chat => line == "POST /v1/chat/completions",
            Self::Gemini => line.starts_with("POST /v1beta/models/") && line.contains(":streamGenerateContent"),
        }
    }

    /// The events of an answer.
    pub fn frames(self, speech: &Speech) -> Vec<String> {
        match self {
            Self::Claude => claude::frames(speech),
            Self::Responses => openai::response_frames(speech),
            Self::Chat => openai::chat_frames(speech),
            Self::Gemini => gemini::frames(speech),
        }
    }

    /// An answer.
    pub fn say(self, speech: &Speech) -> Answer {
        Answer::stream(self.frames(speech).concat())
    }

    /// The parts of an answer that the vendor wants back as they are.
    pub fn sealed(self, speech: &Speech) -> Vec<Value> {
        match self {
            Self::Claude => claude::sealed(speech),
            Self::Responses => openai::sealed_items(speech),
            Self::Chat => openai::sealed_message(speech),
            Self::Gemini => gemini::sealed(speech),
        }
    }

    /// The ways in which the vendor can end an answer early.
    pub fn early_ends(self) -> &'static [End] {
        match self {
            Self::Claude => &[End::MaxTokens, End::Refusal],
            Self::Responses | Self::Chat => &[End::MaxTokens, End::Refusal, End::Safety],
            Self::Gemini => &[End::MaxTokens, End::Safety],
        }
    }

    /// How many messages a question holds, instructions aside.
    pub fn history(self, asked: &Asked) -> usize {
        let field = match self {
            Self::Claude | Self::Chat => "messages",
            Self::Responses => "input",
            Self::Gemini => "contents",
        };
        asked.body[field].as_array().map_or(0, Vec::len)
    }

    /// The conversation is too long for the model.
    pub fn too_long(self) -> Answer {
        self.refusal(
            400,
            match self {
                Self::Claude => {
                    json!({ "type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8 maximum" })
                }
                Self::Responses | Self::Chat => {
                    let message = "Your input exceeds the context window of this model.";
                    json!({ "type": "invalid_request_error", "code": "context_length_exceeded", "message": message })
                }
                Self::Gemini => {
                    let message = "The input token count (9) exceeds the maximum number of tokens allowed (8).";
                    json!({ "code": 400, "status": "INVALID_ARGUMENT", "message": message })
                }
            },
        )
    }

    /// Too many requests: the next one is welcome after a second.
    pub fn rate_limited(self) -> Answer {
        match self {
            Self::Claude => {
                let error = json!({ "type": "rate_limit_error", "message": "This would exceed your rate limit." });
                self.refusal(429, error).header("retry-after", "1")
            }
            Self::Responses | Self::Chat => {
                let error =
                    json!({ "type": "requests", "code": "rate_limit_exceeded", "message": "Rate limit reached." });
                self.refusal(429, error).header("retry-after", "1")
            }
            Self::Gemini => {
                let retry = json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1s" });
                let message = "Resource has been exhausted.";
                self.refusal(
                    429,
                    json!({ "code": 429, "status": "RESOURCE_EXHAUSTED", "message": message, "details": [retry] }),
                )
            }
        }
    }

    /// The key is none of the vendor's; some vendors show it.
    pub fn bad_key(self, key: &str) -> Answer {
        match self {
            Self::Claude => self
                .refusal(401, json!({ "type": "authentication_error", "message": format!("invalid x-api-key {key}") })),
            Self::Responses | Self::Chat => {
                let message = format!("Incorrect API key provided: {key}.");
                self.refusal(
                    401,
                    json!({ "type": "invalid_request_error", "code": "invalid_api_key", "message": message }),
                )
            }
            Self::Gemini => {
                let message = format!("API key not valid: {key}. Please pass a valid API key.");
                let info = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID" });
                self.refusal(
                    400,
                    json!({ "code": 400, "status": "INVALID_ARGUMENT", "message": message, "details": [info] }),
                )
            }
        }
    }

    /// The event of a stream by which the vendor says that it is overloaded after all.
    pub fn overloaded_frame(self) -> String {
        match self {
            Self::Claude => {
                let error = json!({ "type": "overloaded_error", "message": "Overloaded" });
                claude::frame(&json!({ "type": "error", "error": error }))
            }
            Self::Responses => {
                let error =
                    json!({ "type": "service_unavailable_error", "code": "server_is_overloaded", "message": "busy" });
                openai::frame(&json!({ "type": "error", "sequence_number": 2, "error": error }))
            }
            Self::Chat => openai::frame(&json!({ "error": { "code": 503, "message": "busy" } })),
            Self::Gemini => {
                let error = json!({ "code": 503, "status": "UNAVAILABLE", "message": "The model is overloaded." });
                gemini::frame(&json!({ "error": error }))
            }
        }
    }

    fn refusal(self, status: u16, error: Value) -> Answer {
        let mut body = Map::from_iter([("error".to_owned(), error)]);
        if self == Self::Claude {
            body.insert("type".to_owned(), "error".into());
        }
        Answer::json(status, &Value::Object(body))
    }
}
