use lockkeeper_llm_common::{Dialect, ToolChoice};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;
use std::time::Duration;

/// OpenAI's own endpoint.
pub(crate) const VENDOR: &str = "https://api.openai.com/v1";

/// Which of OpenAI's two APIs a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `POST /responses`: what OpenAI's current models need for tools.
    Responses,
    /// `POST /chat/completions`: what Ollama, vLLM, llama.cpp and `OpenRouter` speak.
    Chat,
}

impl Api {
    /// The API's name in a replay.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Responses => "responses",
            Self::Chat => "chat",
        }
    }
}

/// How the provider is reached and asked.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The key; it travels in the `authorization` header alone. Empty by default, and then no header is sent, as
    /// servers of one's own want it.
    #[schemars(with = "String")]
    pub api_key: SecretString,
    /// The URL above `/responses`, `/chat/completions` and `/models`, as in `http://127.0.0.1:11434/v1`.
    /// None by default: OpenAI's own.
    pub base_url: Option<String>,
    /// The API. None by default: Responses for OpenAI's own URL, Chat Completions for any other.
    pub api: Option<Api>,
    /// The model for sessions that ask for none. `gpt-6.1-sol` by default.
    pub default_model: String,
    /// The organisation that pays, where the key belongs to several. None by default.
    pub organization: Option<String>,
    /// The project that pays, where the key belongs to several. None by default.
    pub project: Option<String>,
    /// How hard the model thinks, in the vendor's words (`low`, `medium`, `high`). None by default: as the vendor
    /// thinks best.
    pub reasoning_effort: Option<String>,
    /// How the Responses API sums up the reasoning: `auto`, `concise` or `detailed`. `auto` by default; empty asks
    /// for no summary. Models that give none are noticed by their refusal and asked again without.
    pub reasoning_summary: String,
    /// Whether a Chat Completions server gets its own `reasoning_content` back, as `DeepSeek` and others want between
    /// tool calls. True by default.
    pub echo_reasoning: bool,
    /// Whether a Chat Completions stream that said why it ended, but has no marker `[DONE]` at its end, counts as cut. None by
    /// default: only one with calls does.
    pub done_required: Option<bool>,
    /// Which tools the model is offered.
    pub tools: ToolChoice,
    /// Seconds to connect. 10 by default.
    pub connect_timeout_secs: u64,
    /// Milliseconds from the request to the head of its answer. 300,000 by default: some servers read the whole
    /// conversation first.
    pub head_timeout_ms: u64,
    /// The longest silence within an answer, in milliseconds. 300,000 by default: models think that long.
    pub idle_timeout_ms: u64,
    /// Milliseconds for the list of models. 10,000 by default.
    pub models_timeout_ms: u64,
    /// How often a request is tried at most. 3 by default.
    pub max_attempts: u32,
    /// The upper end of the first pause between tries, in milliseconds; it doubles with each. 500 by default.
    pub retry_base_ms: u64,
    /// The longest pause between tries, in milliseconds. 30,000 by default. A server that wants to be left alone for
    /// longer is not tried again.
    pub retry_max_ms: u64,
    /// The largest event of a stream, in bytes. 4 MiB by default: the last one repeats the whole answer and all
    /// tools.
    pub max_event_bytes: usize,
    /// The largest answer, in bytes on the wire. 64 MiB by default.
    pub max_answer_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            api_key: SecretString::default(),
            base_url: None,
            api: None,
            default_model: "gpt-6.1-sol".to_owned(),
            organization: None,
            project: None,
            reasoning_effort: None,
            reasoning_summary: "auto".to_owned(),
            echo_reasoning: true,
            done_required: None,
            tools: ToolChoice::default(),
            connect_timeout_secs: 10,
            head_timeout_ms: 300_000,
            idle_timeout_ms: 300_000,
            models_timeout_ms: 10_000,
            max_attempts: 3,
            retry_base_ms: 500,
            retry_max_ms: 30_000,
            max_event_bytes: 4 << 20,
            max_answer_bytes: 64 << 20,
        }
    }
}

impl Config {
    /// The API that is spoken.
    pub fn api(&self) -> Api {
        let by_url = if self.is_vendor() { Api::Responses } else { Api::Chat };
        self.api.unwrap_or(by_url)
    }

    /// Whether a key is needed: OpenAI wants one, a server of one's own may not.
    pub fn needs_key(&self) -> bool {
        self.is_vendor()
    }

    pub(crate) fn is_vendor(&self) -> bool {
        self.base_url.as_deref().is_none_or(|url| url.trim_end_matches('/') == VENDOR)
    }

    /// What the server takes as the schema of a tool.
    pub(crate) fn dialect(&self) -> &'static Dialect {
        if self.is_vendor() { &Dialect::OPENAI } else { &Dialect::COMPATIBLE }
    }

    pub(crate) fn head_timeout(&self) -> Duration {
        Duration::from_millis(self.head_timeout_ms)
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_millis(self.idle_timeout_ms)
    }

    pub(crate) fn models_timeout(&self) -> Duration {
        Duration::from_millis(self.models_timeout_ms)
    }
}

/// Why a provider cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// OpenAI wants a key.
    #[error("OpenAI needs an API key; a server of your own is named by `base_url`")]
    MissingKey,
    /// The key cannot stand in a header.
    #[error("the API key has characters that no key has, such as a line break")]
    BadKey,
    /// A field has a value that makes no sense.
    #[error("`{field}`: {reason}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// The system lacks what TLS needs, such as root certificates.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Config, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn a_url_of_ones_own_speaks_chat_completions_unless_told_otherwise() {
        assert_eq!(Config::default().api(), Api::Responses);
        assert_eq!(read(r#"{"base_url": "https://api.openai.com/v1/"}"#).map(|c| c.api()), Ok(Api::Responses));
        assert_eq!(read(r#"{"base_url": "http://127.0.0.1:11434/v1"}"#).map(|c| c.api()), Ok(Api::Chat));
        let both = r#"{"base_url": "http://127.0.0.1:11434/v1", "api": "responses"}"#;
        assert_eq!(read(both).map(|c| c.api()), Ok(Api::Responses));
        assert_eq!(read(r#"{"api": "chat"}"#).map(|c| c.api()), Ok(Api::Chat));
    }

    #[test]
    fn a_field_that_does_not_exist_is_an_error() {
        let error = read(r#"{"api_keys": "sk-1"}"#).expect_err("no such field");
        assert!(error.contains("api_keys"), "{error}");
        assert!(read(r#"{"api": "completions"}"#).is_err());
    }
}
