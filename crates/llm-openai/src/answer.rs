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
use lockkeeper_domain::Message;
use lockkeeper_llm_common::{Known, Memory, Toolbox, media};
use lockkeeper_ports::{GenerateRequest, LlmError, ModelEvent, ModelStream, Notice};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// A question, and what was learned from asking it.
pub(crate) struct Question {
    config: Arc<Config>,
    transport: Transport,
    request: GenerateRequest,
    memory: Memory,
    known: Known,
    toolbox: Toolbox,
    /// What the server has refused so far.
    without: Vec<Feature>,
    /// What of it is new, and why.
    refused_fields: BTreeMap<&'static str, String>,
    refused_parts: BTreeSet<u64>,
    notices: Vec<Notice>,
    failed: u32,
}

impl Question {
    pub(crate) fn new(config: Arc<Config>, transport: Transport, memory: Memory, request: GenerateRequest) -> Self {
        let known = memory.of(&request.model);
        let choice = (&config.tools, "llm.openai.tools");
        let toolbox = Toolbox::pack(&request.tools, config.dialect(), choice, (&memory, &request.model));
        let mut new = Self {
            config,
            transport,
            request,
            memory,
            without: Feature::remembered(&known.fields),
            known,
            toolbox,
            refused_fields: BTreeMap::new(),
            refused_parts: BTreeSet::new(),
            notices: Vec::new(),
            failed: 0,
        };
        let words = new.known.fields.get("effort").cloned();
        new.notices.extend(words.map(|words| new.forgone_effort(&words)));
        new.forget_replays();
        new
    }

    /// Asks, until the server accepts the question or there is no use in asking again.
    pub(crate) async fn ask(mut self) -> Result<ModelStream, LlmError> {
        let events = self.open().await?;
        let decoder = self.decoder();
        let notices = self.take_notices();
        let answer = Answer { question: self, events, decoder, notices, spoke: false };
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
        let Failure { error, retryable, rejected, place } = failure;
        if let Some(feature) = rejected.filter(|feature| !self.without.contains(feature)) {
            tracing::info!(?feature, model = self.request.model, "the provider does not take a part of the request");
            self.do_without(feature, &error);
            return Ok(());
        }
        let words = match &error {
            LlmError::BadRequest(words) => Some(words),
            // llama.cpp calls what it cannot make a grammar of an error of its own.
            LlmError::Overloaded(words) if words.contains("grammar") || words.contains("JSON schema") => Some(words),
            _ => None,
        };
        if let Some(words) = words
            && self.concede(words, &place)
        {
            tracing::info!(model = self.request.model, "the provider refuses a tool or a file; again without it");
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

    /// Leaves a feature out. What somebody asked for is told.
    fn do_without(&mut self, feature: Feature, error: &LlmError) {
        self.without.push(feature);
        let words = error.to_string();
        match feature {
            Feature::Effort if self.config.reasoning_effort.is_some() => {
                let notice = self.forgone_effort(&words);
                self.notices.push(notice);
            }
            Feature::Images => {
                let text = format!("The model does not see images; it is told that there are some: {words}");
                self.notices.push(Notice::Adjusted { text });
            }
            Feature::Replay => {
                let replays = self.request.messages.iter().filter_map(replay_key);
                self.refused_parts.extend(replays);
            }
            _ => {}
        }
        self.refused_fields.extend(feature.lasting().map(|name| (name, words)));
    }

    fn forgone_effort(&self, words: &str) -> Notice {
        let effort = self.config.reasoning_effort.as_deref().unwrap_or_default();
        Notice::Adjusted {
            text: format!("The model does not take the effort {effort:?}, and thinks by its own: {words}"),
        }
    }

    /// Leaves out the tool or the file that the server's words name. Whether there was one.
    fn concede(&mut self, words: &str, place: &str) -> bool {
        let words = if place.is_empty() { words.to_owned() } else { format!("{words} [{place}]") };
        if self.toolbox.concede(&words, false).is_some() {
            return true;
        }
        if !media::is_about_files(&words) {
            return false;
        }
        let mut body = self.body();
        let notice = media::strike_accused(&mut body, &words, "images", &mut self.refused_parts);
        let struck = notice.is_some();
        self.notices.extend(notice);
        struck
    }

    /// The server took the request: what it is without stays out of the next ones.
    fn take_notices(&mut self) -> VecDeque<Notice> {
        self.toolbox.accepted(&self.memory, &self.request.model);
        let fields = std::mem::take(&mut self.refused_fields);
        if !fields.is_empty() || !self.refused_parts.is_empty() {
            let parts = self.refused_parts.iter().copied();
            self.memory.learn(&self.request.model, |known| {
                known.fields.extend(fields);
                known.refuse_parts(parts);
            });
        }
        let mut notices = self.toolbox.take_notices();
        notices.append(&mut self.notices);
        notices.into()
    }

    /// Replays that the server refused before are not sent again: of such an answer, text and calls remain.
    fn forget_replays(&mut self) {
        for message in &mut self.request.messages {
            if replay_key(message).is_some_and(|key| self.known.refuses(key))
                && let Message::Assistant { message, .. } = message
            {
                message.replay = None;
            }
        }
    }

    fn body(&self) -> Value {
        let tools = self.toolbox.tools();
        let mut body = match self.config.api() {
            Api::Responses => responses::body(&self.config, &self.request, tools, &self.without),
            Api::Chat => chat::body(&self.config, &self.request, tools, &self.without),
        };
        media::strike(&mut body, &|part| self.known.refuses(part) || self.refused_parts.contains(&part));
        body
    }

    fn decoder(&self) -> Decoder {
        Decoder::new(self.config.api(), &self.request.model, self.config.done_required)
    }
}

/// What tells the replay of a message from others.
fn replay_key(message: &Message) -> Option<u64> {
    let Message::Assistant { message, .. } = message else { return None };
    message.replay.as_ref().map(|replay| media::key(&replay.raw.to_string()))
}

struct Answer {
    question: Question,
    events: Events,
    decoder: Decoder,
    notices: VecDeque<Notice>,
    /// Whether anybody has seen a piece of it.
    spoke: bool,
}

impl Answer {
    async fn next(mut self) -> Option<(Result<ModelEvent, LlmError>, Option<Self>)> {
        loop {
            if let Some(notice) = self.notices.pop_front() {
                return Some((Ok(ModelEvent::Notice(notice)), Some(self)));
            }
            match self.decoder.next_piece() {
                // The end: the connection is given up with `self`.
                Some(ModelEvent::Completed(mut completion)) => {
                    self.question.toolbox.restore(&mut completion);
                    return Some((Ok(ModelEvent::Completed(completion)), None));
                }
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
        self.notices = self.question.take_notices();
        self.decoder = self.question.decoder();
        Ok(())
    }
}

/// The decoder of one of the APIs.
#[derive(Debug)]
pub(crate) enum Decoder {
    Responses(responses::Decoder),
    Chat { decoder: Box<chat::Decoder>, done_required: Option<bool> },
}

impl Decoder {
    pub(crate) fn new(api: Api, model: &str, done_required: impl Into<Option<bool>>) -> Self {
        match api {
            Api::Responses => Self::Responses(responses::Decoder::new(model)),
            Api::Chat => {
                Self::Chat { decoder: Box::new(chat::Decoder::new(model)), done_required: done_required.into() }
            }
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
            Self::Chat { decoder, done_required } => decoder.close(done, *done_required),
        }
    }
}
