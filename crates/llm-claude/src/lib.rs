//! The language-model provider for Claude, over the Messages API
//! (<https://platform.claude.com/docs/en/api/messages>).
//!
//! [`ClaudeProvider`] streams text, summaries of the thinking and tool calls. What the vendor wants back, signed
//! thinking above all, travels in the replay of an answer and returns word for word; an answer of another provider
//! returns as text and calls. Retries happen until the first event was yielded; dropping a stream closes its connection.
//!
//! A server that speaks the same API, such as llama.cpp, is reached by [`Config::base_url`] with
//! `api_version = "2023-06-01"`, `thinking = false` and `prompt_cache = "off"`.

mod answer;
mod client;
mod config;
mod decode;
mod error;
mod models;
mod reading;
mod replay;
mod request;
mod retry;

pub use config::{Config, PromptCache};
pub use reading::Reading;

use async_trait::async_trait;
use client::Client;
use lockkeeper_ports::{GenerateRequest, KeyedLlm, LlmError, LlmProvider, ModelInfo, ModelStream};
use secrecy::SecretString;
use std::{fmt, sync::Arc};

/// The name of the provider, in configurations and replays.
const NAME: &str = "claude";

/// What is wrong with a configuration. Never holds the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration of Claude is not valid: {0}")]
pub struct InvalidConfig(pub(crate) String);

/// Claude, behind one key.
#[derive(Clone)]
pub struct ClaudeProvider {
    client: Client,
}

impl ClaudeProvider {
    /// The provider as `config` has it. Nothing is sent yet.
    ///
    /// # Errors
    /// When the base URL is none, or a value cannot be sent as a header.
    pub fn new(config: Config) -> Result<Self, InvalidConfig> {
        Ok(Self { client: Client::new(config)? })
    }

    /// The same provider with a key that a user brought. It shares the pool of connections.
    ///
    /// # Errors
    /// When the key cannot be sent as a header.
    pub fn with_key(&self, key: SecretString) -> Result<Self, InvalidConfig> {
        Ok(Self { client: self.client.with_key(key)? })
    }
}

impl fmt::Debug for ClaudeProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaudeProvider").field("config", self.client.config()).finish_non_exhaustive()
    }
}

#[async_trait]
impl LlmProvider for ClaudeProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn default_model(&self) -> &str {
        &self.client.config().model
    }

    #[tracing::instrument(name = "llm.claude.generate", skip_all, fields(session.id = %request.session, model = %request.model))]
    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, LlmError> {
        let most = self.client.offers(&request.model);
        let request = request::Request::new(request, self.client.config(), most, self.client.memory());
        answer::open(self.client.clone(), request).await
    }

    #[tracing::instrument(name = "llm.claude.models", skip_all)]
    async fn models(&self) -> Result<Vec<ModelInfo>, LlmError> {
        models::list(&self.client).await
    }
}

impl KeyedLlm for ClaudeProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn default_model(&self) -> &str {
        &self.client.config().model
    }

    fn with_key(&self, key: SecretString) -> Result<Arc<dyn LlmProvider>, LlmError> {
        let keyed = Self::with_key(self, key).map_err(|error| LlmError::Authentication(error.to_string()))?;
        Ok(Arc::new(keyed))
    }
}

#[cfg(test)]
mod tests;
