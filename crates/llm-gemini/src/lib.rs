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
mod replay;
mod request;
mod retry;
mod sse;

pub use config::{Api, Config};

use async_trait::async_trait;
use client::Client;
use lockkeeper_ports::{GenerateRequest, LlmError, LlmProvider, ModelInfo, ModelStream};
use secrecy::SecretString;

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
        let request = request::of(request, self.client.config())?;
        answer::open(self.client.clone(), request).await
    }

    #[tracing::instrument(name = "llm.gemini.models", skip_all)]
    async fn models(&self) -> Result<Vec<ModelInfo>, LlmError> {
        models::list(&self.client).await
    }
}

#[cfg(test)]
mod tests;
