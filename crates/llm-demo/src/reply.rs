//! What the demo has decided to say, and how it becomes a stream.

use crate::DemoProvider;
use futures::{StreamExt, stream};
use lockkeeper_domain::{Replay, StopReason, Usage};
use lockkeeper_ports::{Completion, LlmError, ModelEvent, ModelStream, ProposedCall};
use serde_json::Value;
use std::{collections::VecDeque, time::Duration};

/// The longest piece of a word without spaces, in bytes.
const MAX_PIECE: usize = 64;

/// An answer, before it is streamed.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Reply {
    pub(crate) reasoning: String,
    pub(crate) text: String,
    pub(crate) calls: Vec<(String, Value)>,
    pub(crate) ending: Ending,
    /// In place of the configured delay.
    pub(crate) delay: Option<Duration>,
    /// In place of an estimate.
    pub(crate) usage: Option<Usage>,
    pub(crate) replay: Option<Value>,
}

/// How an answer ends.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    Completed(StopReason),
    Failed(LlmError),
    Cut,
    Hang,
}

impl Default for Ending {
    fn default() -> Self {
        Self::Completed(StopReason::EndTurn)
    }
}

impl Reply {
    /// Says this and ends the turn.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// The same reply, broken off where it is longer than `max_tokens`. Its calls are then lost.
    pub(crate) fn within(mut self, max_tokens: u32) -> Self {
        let room = usize::try_from(max_tokens).unwrap_or(usize::MAX).saturating_mul(4);
        if self.reasoning.len() + self.text.len() > room {
            self.reasoning.truncate(self.reasoning.floor_char_boundary(room));
            self.text.truncate(self.text.floor_char_boundary(room - self.reasoning.len()));
            self.calls.clear();
            if matches!(self.ending, Ending::Completed(_)) {
                self.ending = Ending::Completed(StopReason::MaxTokens);
            }
        }
        self
    }

    /// The stream of the reply, with `delay` before each event; or the refusal, where there is nothing before it.
    pub(crate) fn into_stream(self, delay: Duration, input: u64, step: usize) -> Result<ModelStream, LlmError> {
        let delay = self.delay.unwrap_or(delay);
        let mut events: VecDeque<_> =
            pieces(&self.reasoning).map(|p| Ok(ModelEvent::Reasoning(p.to_owned()))).collect();
        events.extend(pieces(&self.text).map(|p| Ok(ModelEvent::Text(p.to_owned()))));
        let mut hangs = false;
        match self.ending.clone() {
            Ending::Failed(error) if events.is_empty() => return Err(error),
            Ending::Failed(error) => events.push_back(Err(error)),
            Ending::Completed(reason) => {
                events.push_back(Ok(ModelEvent::Completed(self.completion(reason, input, step))));
            }
            Ending::Cut => {}
            Ending::Hang => hangs = true,
        }
        let next = move |mut events: VecDeque<_>| async move {
            let Some(event) = events.pop_front() else {
                return if hangs { std::future::pending().await } else { None };
            };
            if !delay.is_zero() {
                tokio::time::sleep(delay).await;
            }
            Some((event, events))
        };
        Ok(stream::unfold(events, next).boxed())
    }

    fn completion(self, reason: StopReason, input: u64, step: usize) -> Completion {
        let called: usize = self.calls.iter().map(|(name, args)| name.len() + args.to_string().len()).sum();
        let tokens = |bytes: usize| u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX);
        let estimate = Usage {
            input_tokens: input,
            output_tokens: tokens(self.reasoning.len() + self.text.len() + called),
            cached_input_tokens: 0,
            reasoning_tokens: tokens(self.reasoning.len()),
        };
        let propose =
            |(index, (name, args))| ProposedCall { provider_id: Some(format!("demo_{step}_{index}")), name, args };
        Completion {
            usage: self.usage.unwrap_or(estimate),
            text: self.text,
            reasoning: Some(self.reasoning).filter(|r| !r.is_empty()),
            calls: self.calls.into_iter().enumerate().map(propose).collect(),
            stop: reason,
            replay: self.replay.map(|raw| Replay {
                provider: "demo".to_owned(),
                model: DemoProvider::MODEL.to_owned(),
                api: "script".to_owned(),
                raw,
            }),
        }
    }
}

/// The text in pieces of about a word, with the space after it.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(char::is_whitespace).flat_map(|word| {
        let mut rest = word;
        std::iter::from_fn(move || {
            let (piece, tail) = rest.split_at(rest.floor_char_boundary(MAX_PIECE));
            rest = tail;
            (!piece.is_empty()).then_some(piece)
        })
    })
}
