//! The language-model provider for Gemini, over the vendor's `generateContent` API
//! (<https://ai.google.dev/api/generate-content>) or its Interactions API
//! (<https://ai.google.dev/gemini-api/docs/interactions>), whichever [`Config::api`] names.
//!
//! [`GeminiProvider`] streams text, summaries of the thinking and tool calls. What the vendor wants back, thought
//! signatures above all, travels in the replay of an answer and returns word for word; an answer of another provider, or
//! of the other API, returns as text and calls. Retries happen until the first event was yielded; dropping a stream
//! closes its connection.

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

pub use config::{Api, Config};
pub use reading::Reading;

use async_trait::async_trait;
use client::Client;
use lockkeeper_ports::{GenerateRequest, KeyedLlm, LlmError, LlmProvider, ModelInfo, ModelStream};
use secrecy::SecretString;
use std::{fmt, sync::Arc};

/// The name of the provider, in configurations and replays.
const NAME: &str = "gemini";

/// What is wrong with a configuration. Never holds the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the configuration of Gemini is not valid: {0}")]
pub struct InvalidConfig(pub(crate) String);

/// Gemini, behind one key.
#[derive(Clone)]
pub struct GeminiProvider {
    client: Client,
}

impl GeminiProvider {
    /// The provider as `config` has it. Nothing is sent yet.
    ///
    /// # Errors
    /// When the base URL is none, or the key cannot be sent as a header.
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

impl fmt::Debug for GeminiProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeminiProvider").field("config", self.client.config()).finish_non_exhaustive()
    }
}

#[async_trait]
impl LlmProvider for GeminiProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn default_model(&self) -> &str {
        &self.client.config().model
    }

    #[tracing::instrument(name = "llm.gemini.generate", skip_all, fields(session.id = %request.session, model = %request.model))]
    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, LlmError> {
        let mut request = request::of(request, self.client.config(), self.client.memory())?;
        if !self.client.summarizes(&request.model) {
            request.forgo_summaries();
        }
        answer::open(self.client.clone(), request).await
    }

    #[tracing::instrument(name = "llm.gemini.models", skip_all)]
    async fn models(&self) -> Result<Vec<ModelInfo>, LlmError> {
        models::list(&self.client).await
    }
}

impl KeyedLlm for GeminiProvider {
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
