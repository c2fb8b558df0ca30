//! The language-model provider for OpenAI, and for servers that speak one of its APIs.
//!
//! [`OpenAiProvider`] speaks the Responses API with OpenAI, and Chat Completions with Ollama, vLLM, llama.cpp,
//! `OpenRouter` and the like, chosen by [`Config::api`] or by the base URL.
//!
//! - Nothing is stored at the vendor: encrypted reasoning travels in the replay and goes back word for word.
//! - A part of a request that a server or a model refuses (summaries, encrypted reasoning, raw items of another
//!   organisation) is left out, and the question asked again.
//! - A failed try is repeated only as long as nobody has seen a piece of the answer.
//! - Calls come with a completion alone, and a completion only from a stream that ended properly by itself.

mod answer;
mod chat;
mod config;
mod endpoint;
mod failure;
mod history;
mod json;
mod responses;
mod retry;
mod speech;
mod transport;

pub use config::{Api, Config, ConfigError};

use answer::Question;
use async_trait::async_trait;
use json::{list, named};
use lockkeeper_llm_common::Memory;
use lockkeeper_ports::{GenerateRequest, LlmError, LlmProvider, ModelInfo, ModelStream};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::{fmt, sync::Arc};
use transport::Transport;

/// The provider's name, in replays too.
const NAME: &str = "openai";

/// OpenAI, or a server that speaks one of its APIs.
#[derive(Clone)]
pub struct OpenAiProvider {
    config: Arc<Config>,
    transport: Transport,
    /// What the server refused. Keys of users share it.
    memory: Memory,
}

impl OpenAiProvider {
    /// A provider that asks the server of `config` with `key`, or else with the configured one. Only a server of one's
    /// own may do without any.
    pub fn new(config: Config, key: Option<SecretString>) -> Result<Self, ConfigError> {
        let configured = Some(&config.api_key).filter(|key| !key.expose_secret().is_empty());
        let key = key.or_else(|| configured.cloned());
        let transport = Transport::new(&config, key)?;
        Ok(Self { config: Arc::new(config), transport, memory: Memory::default() })
    }

    /// The same provider with a user's own key. Connections are shared.
    pub fn with_key(&self, key: SecretString) -> Result<Self, ConfigError> {
        let transport = self.transport.with_key(&self.config, key)?;
        Ok(Self { transport, ..self.clone() })
    }
}

impl fmt::Debug for OpenAiProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenAiProvider").field("config", &self.config).finish_non_exhaustive()
    }
}

#[async_trait]
impl LlmProvider for OpenAiProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn default_model(&self) -> &str {
        &self.config.default_model
    }

    #[tracing::instrument(name = "llm.openai.generate", skip_all, fields(model = %request.model))]
    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, LlmError> {
        Question::new(Arc::clone(&self.config), self.transport.clone(), self.memory.clone(), request).ask().await
    }

    #[tracing::instrument(name = "llm.openai.models", skip_all)]
    async fn models(&self) -> Result<Vec<ModelInfo>, LlmError> {
        let listed = self.transport.models().await.map_err(|failure| failure.error)?;
        let models: Vec<ModelInfo> = list(&listed, "/data").iter().filter_map(model).collect();
        if models.is_empty() && listed.get("data").is_none() {
            return Err(LlmError::BadResponse("the list of models has no `data`".to_owned()));
        }
        Ok(models)
    }
}

fn model(listed: &Value) -> Option<ModelInfo> {
    let id = named(listed, "/id")?;
    // OpenRouter has names for people; OpenAI has ids alone.
    let display_name = named(listed, "/name").unwrap_or_else(|| id.clone());
    Some(ModelInfo { id, display_name })
}

#[cfg(test)]
mod tests;
