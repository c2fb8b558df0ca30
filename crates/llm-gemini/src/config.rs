use lockkeeper_llm_common::ToolChoice;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How Gemini is reached and asked.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The key; it travels in the `x-goog-api-key` header alone, never in an address. Empty by default, and then no
    /// header is sent, as gateways of one's own want it.
    #[schemars(with = "String")]
    pub api_key: SecretString,
    /// Where the API is, without its version. `https://generativelanguage.googleapis.com` by default.
    pub base_url: String,
    /// The model that is used when a session asks for none. `gemini-3.8-flash` by default.
    pub model: String,
    /// The version of the API in its addresses. `v1beta` by default.
    pub api_version: String,
    /// Which of the vendor's APIs is spoken. `generate_content` by default.
    pub api: Api,
    /// Whether summaries of the thinking are streamed. `true` by default; models that do not think want `false`. A model that
    /// refuses is asked again without, and so from then on.
    pub thinking: bool,
    /// How hard the model thinks: `low`, `medium`, `high` and what a model offers beyond. The model's own default
    /// where it is not set.
    pub thinking_level: Option<String>,
    /// Which tools the model is offered.
    pub tools: ToolChoice,
    /// Seconds until a connection must be there. 10 by default.
    pub connect_timeout_secs: u64,
    /// The longest silence, in seconds, before the answer and within it. 300 by default: a model may think for minutes.
    pub idle_timeout_secs: u64,
    /// Seconds until the list of models must be there. 10 by default.
    pub list_timeout_secs: u64,
    /// How often a request is sent again that failed before it was answered. 2 by default.
    pub max_retries: u32,
    /// The ceiling of the first pause between attempts, in milliseconds; each further one doubles it. 500 by default.
    pub retry_base_ms: u64,
    /// The highest ceiling of a pause, in milliseconds. 8,000 by default.
    pub retry_cap_ms: u64,
    /// The longest wait, in seconds, that the vendor may ask for; beyond it the request fails. 60 by default.
    pub max_retry_after_secs: u64,
    /// The most bytes of one event of the stream. 1 MiB by default.
    pub max_event_bytes: usize,
    /// The most bytes of one answer. 64 MiB by default.
    pub max_answer_bytes: usize,
}

/// The vendor's APIs for conversations with tools.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Api {
    /// `models/{model}:streamGenerateContent`.
    #[default]
    GenerateContent,
    /// `interactions`, without the vendor storing the conversation.
    Interactions,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            api_key: SecretString::default(),
            base_url: "https://generativelanguage.googleapis.com".to_owned(),
            model: "gemini-3.8-flash".to_owned(),
            api_version: "v1beta".to_owned(),
            api: Api::default(),
            thinking: true,
            thinking_level: None,
            tools: ToolChoice::default(),
            connect_timeout_secs: 10,
            idle_timeout_secs: 300,
            list_timeout_secs: 10,
            max_retries: 2,
            retry_base_ms: 500,
            retry_cap_ms: 8_000,
            max_retry_after_secs: 60,
            max_event_bytes: 1 << 20,
            max_answer_bytes: 64 << 20,
        }
    }
}

impl Config {
    pub(crate) fn retry(&self) -> crate::retry::Retry {
        crate::retry::Retry {
            max_retries: self.max_retries,
            base: Duration::from_millis(self.retry_base_ms),
            cap: Duration::from_millis(self.retry_cap_ms),
            max_hint: Duration::from_secs(self.max_retry_after_secs),
        }
    }

    pub(crate) fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_secs)
    }

    /// The address of `path` of the API.
    pub(crate) fn url(&self, path: &str) -> String {
        let base = self.base_url.trim().trim_end_matches('/');
        let version = self.api_version.trim().trim_matches('/');
        let base = base.strip_suffix(version).map_or(base, |base| base.trim_end_matches('/'));
        format!("{base}/{version}/{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_keys_are_refused_and_missing_ones_have_defaults() {
        let config: Config = serde_json::from_value(json!({"api": "interactions"})).expect("a config");
        assert_eq!((config.api, config.model.as_str()), (Api::Interactions, "gemini-3.8-flash"));
        let error = serde_json::from_value::<Config>(json!({"modell": "x"})).expect_err("no such key");
        assert!(error.to_string().contains("modell"), "{error}");
    }

    #[test]
    fn the_key_is_not_shown() {
        let config = Config { api_key: "AIza-secret".into(), ..Config::default() };
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn the_address_may_end_in_a_slash_or_in_the_version() {
        for base in ["http://h:1", "http://h:1/", "http://h:1/v1beta", "http://h:1/v1beta/"] {
            let config = Config { base_url: base.to_owned(), ..Config::default() };
            assert_eq!(config.url("models"), "http://h:1/v1beta/models");
        }
    }
}
