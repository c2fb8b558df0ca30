//! A language model that says again what it was told.

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use lockkeeper_domain::{Message, StopReason, Usage};
use lockkeeper_ports::{Completion, GenerateRequest, LlmError, LlmProvider, ModelEvent, ModelInfo, ModelStream};

const MODEL: &str = "echo-1";

pub(crate) struct EchoProvider;

#[async_trait]
impl LlmProvider for EchoProvider {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn default_model(&self) -> &'static str {
        MODEL
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, LlmError> {
        if request.model != MODEL {
            return Err(LlmError::BadRequest(format!("there is no model {}", request.model)));
        }
        let said = request.messages.iter().rev().find_map(|message| match message {
            Message::User { message, .. } => Some(message.text.clone()),
            _ => None,
        });
        let text = said.ok_or_else(|| LlmError::BadRequest("nobody said anything".to_owned()))?;
        let pieces: Vec<_> = text.split_inclusive(' ').map(|word| Ok(ModelEvent::Text(word.to_owned()))).collect();
        let words = pieces.len() as u64;
        let usage = Usage { input_tokens: words, output_tokens: words, ..Usage::default() };
        let (calls, stop) = (Vec::new(), StopReason::EndTurn);
        let whole = Completion { text, reasoning: None, calls, stop, usage, replay: None };
        Ok(stream::iter(pieces).chain(stream::iter([Ok(ModelEvent::Completed(whole))])).boxed())
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, LlmError> {
        Ok(vec![ModelInfo { id: MODEL.to_owned(), display_name: "Echo".to_owned() }])
    }
}
