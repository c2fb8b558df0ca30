use crate::{
    content::{self, Content},
    instruments::{Asked, Instruments, label, vendor},
    journal::Journal,
    outcome::SUCCEEDED,
    traces::{Traces, Work},
};
use async_trait::async_trait;
use futures::StreamExt as _;
use lockkeeper_ports::{GenerateRequest, KeyedLlm, LlmError, LlmProvider, ModelEvent, ModelInfo, ModelStream};
use opentelemetry::trace::SpanKind;
use secrecy::SecretString;
use std::sync::Arc;
use tokio::time::Instant;

/// What is needed to tell of models.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) traces: Traces,
    pub(crate) content: Content,
}

/// A provider whose answers are measured.
pub(crate) struct HeardLlm {
    pub(crate) inner: Arc<dyn LlmProvider>,
    pub(crate) listener: Listener,
}

/// A vendor, each of whose providers is measured.
pub(crate) struct HeardVendor {
    pub(crate) inner: Arc<dyn KeyedLlm>,
    pub(crate) listener: Listener,
}

impl KeyedLlm for HeardVendor {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn default_model(&self) -> &str {
        self.inner.default_model()
    }

    fn with_key(&self, key: SecretString) -> Result<Arc<dyn LlmProvider>, LlmError> {
        let inner = self.inner.with_key(key)?;
        Ok(Arc::new(HeardLlm { inner, listener: self.listener.clone() }))
    }
}

#[async_trait]
impl LlmProvider for HeardLlm {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn default_model(&self) -> &str {
        self.inner.default_model()
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, LlmError> {
        let mut answer = Answer::begin(self.inner.name(), &request, self.listener.clone());
        match self.inner.generate(request).await {
            Ok(stream) => Ok(stream.inspect(move |item| answer.heard(item)).boxed()),
            Err(error) => {
                answer.end(Some(error.code().as_str()));
                Err(error)
            }
        }
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, LlmError> {
        self.inner.models().await
    }
}

/// An answer from its request to its end. One that is dropped before was cancelled.
struct Answer {
    asked: Asked,
    listener: Listener,
    work: Work,
    began: Instant,
    spoke: bool,
    ended: bool,
}

impl Answer {
    fn begin(provider: &'static str, request: &GenerateRequest, listener: Listener) -> Self {
        let asked = Asked { provider, model: request.model.clone() };
        let mut attributes = vec![
            label("gen_ai.operation.name", "chat"),
            label("gen_ai.provider.name", vendor(provider)),
            label("gen_ai.request.model", request.model.clone()),
            label("gen_ai.request.max_tokens", i64::from(request.max_output_tokens)),
            label("gen_ai.request.stream", true),
            label("gen_ai.conversation.id", request.session.as_str().to_owned()),
        ];
        attributes.extend(listener.content.attribute("gen_ai.input.messages", || content::messages(&request.messages)));
        let turn = listener.journal.turn(&request.session);
        let work = listener.traces.begin(format!("chat {}", request.model), SpanKind::Client, &turn, attributes);
        Self { asked, listener, work, began: Instant::now(), spoke: false, ended: false }
    }

    fn heard(&mut self, item: &Result<ModelEvent, LlmError>) {
        if !self.spoke && item.is_ok() {
            self.spoke = true;
            self.listener.instruments.first_piece(&self.asked, self.began.elapsed());
        }
        match item {
            Ok(ModelEvent::Text(_) | ModelEvent::Reasoning(_) | ModelEvent::Notice(_)) => {}
            Ok(ModelEvent::Completed(completion)) => {
                self.listener.instruments.used(&self.asked, completion.usage);
                let calls = || completion.calls.iter().map(|call| (call.name.clone(), call.args.clone()));
                let text = || content::answer(&completion.text, calls());
                if let Some(said) = self.listener.content.attribute("gen_ai.output.messages", text) {
                    self.work.note(said);
                }
                let usage = completion.usage;
                self.work.note(label("gen_ai.usage.input_tokens", usage.input_tokens.cast_signed()));
                self.work.note(label("gen_ai.usage.output_tokens", usage.output_tokens.cast_signed()));
                self.end(None);
            }
            Err(error) => self.end(Some(error.code().as_str())),
        }
    }

    fn end(&mut self, error: Option<&'static str>) {
        if !std::mem::replace(&mut self.ended, true) {
            let outcome = error.unwrap_or(SUCCEEDED);
            self.listener.instruments.answered(&self.asked, outcome, error, self.began.elapsed());
            self.work.end(error);
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.end(Some("cancelled"));
    }
}
