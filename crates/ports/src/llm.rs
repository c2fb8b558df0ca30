use async_trait::async_trait;
use futures::stream::BoxStream;
use lockkeeper_domain::{Code, Message, Replay, SessionId, StopReason, ToolDefinition, ToolName, Usage};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

/// What a model is asked.
#[derive(Clone, Debug)]
pub struct GenerateRequest {
    /// The conversation, for providers that keep a cache for each.
    pub session: SessionId,
    /// The model's name, as its provider knows it.
    pub model: String,
    /// The instructions. The same for the whole life of a conversation where possible: providers bind caches and
    /// signed reasoning to it.
    pub system: Arc<str>,
    /// The window of the history. Every assistant's message with calls is followed by all of its results.
    pub messages: Vec<Message>,
    /// The tools that the model may ask for.
    pub tools: Arc<[ToolDefinition]>,
    /// The longest answer, in tokens.
    pub max_output_tokens: u32,
}

/// What a model says, in the order in which it says it.
#[expect(clippy::large_enum_variant, reason = "there is one completion to an answer, and the pieces are short-lived")]
#[derive(Clone, Debug, PartialEq)]
pub enum ModelEvent {
    /// A piece of the answer's text.
    Text(String),
    /// A piece of the reasoning's summary.
    Reasoning(String),
    /// The request was not sent as it was meant. It comes before all of the answer, and with each answer to which it applies:
    /// whoever shows it remembers what was shown.
    Notice(Notice),
    /// The end. Nothing follows it; a stream that ends without it was cut, and none of its calls may run.
    Completed(Completion),
}

/// What an adapter left out of a request, or changed in it, because its vendor would refuse the request otherwise. For people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The model is not offered these tools.
    ToolsLeftOut {
        /// Which.
        tools: Vec<ToolName>,
        /// Why, and what may be done.
        reason: String,
    },
    /// Something else is not as it was asked for.
    Adjusted {
        /// What, and why.
        text: String,
    },
}

/// The whole of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// The whole text.
    pub text: String,
    /// The whole summary of the reasoning, if any.
    pub reasoning: Option<String>,
    /// The calls that the model asks for, in its order, with complete arguments.
    pub calls: Vec<ProposedCall>,
    /// Why it stopped.
    pub stop: StopReason,
    /// What it cost, as the provider counted.
    pub usage: Usage,
    /// What the provider wants back when the conversation goes on.
    pub replay: Option<Replay>,
}

/// A call that a model asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct ProposedCall {
    /// The provider's name for the call, which it wants back with the result.
    pub provider_id: Option<String>,
    /// The tool, as the model wrote it.
    pub name: String,
    /// The arguments; a string with the model's words where they are not JSON.
    pub args: Value,
}

/// The stream of a model's answer. Dropping it closes the connection to the provider.
pub type ModelStream = BoxStream<'static, Result<ModelEvent, LlmError>>;

/// Why a provider did not answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LlmError {
    /// The key is unknown or may not do this. Not to be tried again.
    #[error("the provider refused the key: {0}")]
    Authentication(String),
    /// The quota or spend limit is used up. Not to be tried again.
    #[error("the provider's quota is used up: {0}")]
    Quota(String),
    /// Too many requests; to be tried again, not before the time given.
    #[error("the provider wants fewer requests: {message}")]
    RateLimited {
        /// The provider's words.
        message: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// The provider is overloaded or failed by itself; to be tried again.
    #[error("the provider is overloaded: {0}")]
    Overloaded(String),
    /// The provider refused the request. Not to be tried again as it is.
    #[error("the provider refused the request: {0}")]
    BadRequest(String),
    /// The provider blocked the request by its policies, and says why. Not to be tried again.
    #[error("the provider blocked the request: {0}")]
    Policy(String),
    /// The conversation does not fit; a shorter window may.
    #[error("the conversation is too long for the model: {0}")]
    ContextTooLong(String),
    /// The answer could not be understood.
    #[error("the provider's answer could not be understood: {0}")]
    BadResponse(String),
    /// The provider cannot be reached.
    #[error("the provider cannot be reached: {0}")]
    Network(String),
    /// The provider was silent for too long.
    #[error("the provider did not answer in time: {0}")]
    Timeout(String),
    /// The stream ended before the answer did.
    #[error("the provider's stream was cut: {0}")]
    Cut(String),
}

impl LlmError {
    /// The provider's words, or what stands for them.
    pub fn words_mut(&mut self) -> &mut String {
        let (Self::Authentication(words)
        | Self::Quota(words)
        | Self::RateLimited { message: words, .. }
        | Self::Overloaded(words)
        | Self::BadRequest(words)
        | Self::Policy(words)
        | Self::ContextTooLong(words)
        | Self::BadResponse(words)
        | Self::Network(words)
        | Self::Timeout(words)
        | Self::Cut(words)) = self;
        words
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Authentication(_) => Code::ProviderAuthentication,
            Self::Quota(_) => Code::ProviderQuota,
            Self::RateLimited { .. } => Code::ProviderRateLimited,
            Self::Overloaded(_) => Code::ProviderOverloaded,
            Self::BadRequest(_) | Self::Policy(_) => Code::ProviderBadRequest,
            Self::ContextTooLong(_) => Code::ContextTooLong,
            Self::BadResponse(_) => Code::ProviderBadResponse,
            Self::Network(_) => Code::ProviderNetwork,
            Self::Timeout(_) => Code::ProviderTimeout,
            Self::Cut(_) => Code::ProviderCut,
        }
    }
}

/// A model that a provider offers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelInfo {
    /// Its name, as [`GenerateRequest::model`] takes it.
    pub id: String,
    /// Its name for people.
    pub display_name: String,
}

/// A vendor's language models.
///
/// An adapter keeps no state of a conversation: all that its vendor wants back travels in [`Replay`]. Retries
/// are the adapter's business and happen only before the first event; after it, an error ends the stream.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait LlmProvider: Send + Sync {
    /// The provider's name: `demo`, `gemini`, `claude`, `openai`.
    fn name(&self) -> &'static str;

    /// The model that is used when a session asks for none.
    fn default_model(&self) -> &str;

    /// Asks for an answer. Resolves as soon as the provider accepted the request; the answer streams.
    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, LlmError>;

    /// The models that the provider offers to this key, by its own list.
    async fn models(&self) -> Result<Vec<ModelInfo>, LlmError>;
}

/// A vendor that can be asked with keys of users.
///
/// A provider holds its key in memory as long as it lives, and shows it to its vendor alone: it is in no log, no error and no
/// `Debug`.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait KeyedLlm: Send + Sync {
    /// The vendor's name, as [`LlmProvider::name`] says it.
    fn name(&self) -> &'static str;

    /// The model that is used when a session asks for none.
    fn default_model(&self) -> &str;

    /// The vendor, asked with `key`. Nothing is sent yet, so that a key that the vendor does not know is no error here.
    /// [`LlmError::Authentication`] if it cannot be a key of any vendor, such as one with a line break in it.
    fn with_key(&self, key: SecretString) -> Result<Arc<dyn LlmProvider>, LlmError>;
}
