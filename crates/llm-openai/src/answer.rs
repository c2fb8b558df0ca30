//! An answer as it streams: opened, and opened again as long as nobody has seen any of it.

use crate::{
    chat,
    config::{Api, Config},
    failure::{Failure, Feature},
    responses,
    retry::{Backoff, chance},
    transport::{Events, Transport},
};
use futures::{StreamExt, stream};
use lockkeeper_ports::{GenerateRequest, LlmError, ModelEvent, ModelStream};
use serde_json::Value;
use std::sync::Arc;

/// A question, and what was learned from asking it.
pub(crate) struct Question {
    config: Arc<Config>,
    transport: Transport,
    request: GenerateRequest,
    /// What the server has refused so far.
    without: Vec<Feature>,
    failed: u32,
}

impl Question {
    pub(crate) fn new(config: Arc<Config>, transport: Transport, request: GenerateRequest) -> Self {
        Self { config, transport, request, without: Vec::new(), failed: 0 }
    }

    /// Asks, until the server accepts the question or there is no use in asking again.
    pub(crate) async fn ask(mut self) -> Result<ModelStream, LlmError> {
        let events = self.open().await?;
        let decoder = self.decoder();
        let answer = Answer { question: self, events, decoder, spoke: false };
        Ok(stream::unfold(Some(answer), async |answer| answer?.next().await).boxed())
    }

    async fn open(&mut self) -> Result<Events, LlmError> {
        loop {
            let body = self.body();
            match self.transport.open(self.config.api(), body).await {
                Ok(events) => return Ok(events),
                Err(failure) => self.consider(failure).await?,
            }
        }
    }

    /// Returns when the question is to be asked again.
    async fn consider(&mut self, failure: Failure) -> Result<(), LlmError> {
        let Failure { error, retryable, rejected } = failure;
        if let Some(feature) = rejected.filter(|feature| !self.without.contains(feature)) {
            tracing::info!(?feature, model = self.request.model, "the provider does not take a part of the request");
            self.without.push(feature);
            return Ok(());
        }
        if !retryable {
            return Err(error);
        }
        self.failed += 1;
        let hint = match &error {
            LlmError::RateLimited { retry_after, .. } => *retry_after,
            _ => None,
        };
        let backoff = Backoff::new(&self.config);
        let Some(pause) = backoff.pause(self.failed, hint, chance()) else { return Err(error) };
        let (code, failed) = (error.code(), self.failed);
        tracing::info!(?code, failed, pause_ms = pause.as_millis(), "the provider is asked again after a pause");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    fn body(&self) -> Value {
        match self.config.api() {
            Api::Responses => responses::body(&self.config, &self.request, &self.without),
            Api::Chat => chat::body(&self.config, &self.request, &self.without),
        }
    }

    fn decoder(&self) -> Decoder {
        Decoder::new(self.config.api(), &self.request.model, self.config.done_required)
    }
}

struct Answer {
    question: Question,
    events: Events,
    decoder: Decoder,
    /// Whether anybody has seen a piece of it.
    spoke: bool,
}

impl Answer {
    async fn next(mut self) -> Option<(Result<ModelEvent, LlmError>, Option<Self>)> {
        loop {
            match self.decoder.next_piece() {
                // The end: the connection is given up with `self`.
                Some(end @ ModelEvent::Completed(_)) => return Some((Ok(end), None)),
                Some(piece) => {
                    self.spoke = true;
                    return Some((Ok(piece), Some(self)));
                }
                None => {}
            }
            let fed = match self.events.next().await {
                Some(Ok(event)) => self.decoder.feed(&event),
                Some(Err(failure)) => Err(failure),
                None => self.decoder.close(self.events.is_done()),
            };
            if let Err(failure) = fed
                && let Err(error) = self.begin_again(failure).await
            {
                return Some((Err(error), None));
            }
        }
    }

    async fn begin_again(&mut self, failure: Failure) -> Result<(), LlmError> {
        // Pieces that came with the failure were not seen, and neither were those of a try before.
        if self.spoke {
            return Err(failure.error);
        }
        self.question.consider(failure).await?;
        self.events = self.question.open().await?;
        self.decoder = self.question.decoder();
        Ok(())
    }
}

/// The decoder of one of the APIs.
#[derive(Debug)]
pub(crate) enum Decoder {
    Responses(responses::Decoder),
    Chat { decoder: chat::Decoder, done_required: bool },
}

impl Decoder {
    pub(crate) fn new(api: Api, model: &str, done_required: bool) -> Self {
        match api {
            Api::Responses => Self::Responses(responses::Decoder::new(model)),
            Api::Chat => Self::Chat { decoder: chat::Decoder::new(model), done_required },
        }
    }

    pub(crate) fn next_piece(&mut self) -> Option<ModelEvent> {
        match self {
            Self::Responses(decoder) => decoder.next_piece(),
            Self::Chat { decoder, .. } => decoder.next_piece(),
        }
    }

    pub(crate) fn feed(&mut self, event: &Value) -> Result<(), Failure> {
        match self {
            Self::Responses(decoder) => decoder.feed(event),
            Self::Chat { decoder, .. } => decoder.feed(event),
        }
    }

    /// The stream is over; `done` tells whether its server marked the end.
    pub(crate) fn close(&mut self, done: bool) -> Result<(), Failure> {
        match self {
            Self::Responses(decoder) => decoder.close(),
            Self::Chat { decoder, done_required } => decoder.close(done || !*done_required),
        }
    }
}
