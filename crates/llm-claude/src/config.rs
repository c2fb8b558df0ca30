use lockkeeper_llm_common::ToolChoice;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How Claude is reached and asked.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The key; it travels in the `x-api-key` header alone. Empty by default, and then no header is sent, as
    /// servers of one's own want it.
    #[schemars(with = "String")]
    pub api_key: SecretString,
    /// Where the API is, without `/v1`. `https://api.anthropic.com` by default.
    pub base_url: String,
    /// The model that is used when a session asks for none. `claude-sonnet-5-5` by default.
    pub model: String,
    /// The `anthropic-version` header. `2026-10-21` by default; many gateways, and llama.cpp, speak `2023-06-01`.
    pub api_version: String,
    /// More values for the `anthropic-beta` header. None by default.
    pub betas: Vec<String>,
    /// Whether the model thinks as it sees fit, with summaries that people can read. `true` by default; models
    /// before Claude 4.6, and servers of one's own, want `false`. A server that refuses it is asked again without, and so
    /// from then on.
    pub thinking: bool,
    /// How hard the model works: `low`, `medium`, `high` and what a model offers beyond. The model's own default
    /// where it is not set.
    pub effort: Option<String>,
    /// Whether thinking that no longer fits to its conversation, because the system prompt or the tools changed, is
    /// left out by the vendor instead of refused. `true` by default; needs [`Self::thinking`].
    pub drop_unbound_thinking: bool,
    /// How long prompts are cached. `5m` by default.
    pub prompt_cache: PromptCache,
    /// Which tools the model is offered.
    pub tools: ToolChoice,
    /// Seconds until a connection must be there. 10 by default.
    pub connect_timeout_secs: u64,
    /// The longest silence, in seconds, before the answer and within it. 300 by default: a model may think for minutes.
    pub idle_timeout_secs: u64,
    /// Seconds until the list of models must be there. 10 by default.
    pub list_timeout_secs: u64,
    /// How often a turn that the vendor pauses, because tools of its own take long, goes on by itself. 8 by default.
    pub max_continuations: u32,
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

/// How long a prompt stays in Claude's cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PromptCache {
    /// Nothing is cached.
    #[serde(rename = "off")]
    Off,
    /// Five minutes after the last use.
    #[default]
    #[serde(rename = "5m")]
    FiveMinutes,
    /// An hour after the last use, at a higher price.
    #[serde(rename = "1h")]
    OneHour,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            api_key: SecretString::default(),
            base_url: "https://api.anthropic.com".to_owned(),
            model: "claude-sonnet-5-5".to_owned(),
            api_version: "2026-10-21".to_owned(),
            betas: Vec::new(),
            thinking: true,
            effort: None,
            drop_unbound_thinking: true,
            prompt_cache: PromptCache::default(),
            tools: ToolChoice::default(),
            connect_timeout_secs: 10,
            idle_timeout_secs: 300,
            list_timeout_secs: 10,
            max_continuations: 8,
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
        format!("{}/v1/{path}", base.strip_suffix("/v1").unwrap_or(base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unknown_keys_are_refused_and_missing_ones_have_defaults() {
        let config: Config = serde_json::from_value(json!({"prompt_cache": "1h"})).expect("a config");
        assert_eq!((config.prompt_cache, config.model.as_str()), (PromptCache::OneHour, "claude-sonnet-5-5"));
        let error = serde_json::from_value::<Config>(json!({"promptcache": "1h"})).expect_err("no such key");
        assert!(error.to_string().contains("promptcache"), "{error}");
    }

    #[test]
    fn the_key_is_not_shown() {
        let config = Config { api_key: "sk-ant-secret".into(), ..Config::default() };
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn the_address_may_end_in_a_slash_or_in_the_version() {
        for base in ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"] {
            let config = Config { base_url: base.to_owned(), ..Config::default() };
            assert_eq!(config.url("messages"), "http://h:1/v1/messages");
        }
    }
}
