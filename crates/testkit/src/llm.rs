//! The contract of `LlmProvider`, and a scripted one.
//!
//! [`ScriptedProvider`] answers the n-th request with the n-th [`Step`], keeps the requests, and tells which streams
//! were dropped before their end. [`contract`] holds what is true of every provider; [`history`] builds requests.
//!
//! ```
//! use lockkeeper_ports::LlmError;
//! use lockkeeper_testkit::llm::{Gate, ScriptedProvider, Step};
//! use serde_json::json;
//!
//! let gate = Gate::new();
//! let provider = ScriptedProvider::new([
//!     Step::calls([("workspace__read_file", json!({"path": "a.txt"}))]),
//!     Step::new().say("One ").wait(&gate).say("two"),
//!     Step::error(LlmError::Overloaded("busy".to_owned())),
//!     Step::text("never finished").cut(),
//! ]);
//! # drop(provider);
//! ```

pub mod contract;
pub mod history;
mod step;

pub use step::{Gate, Step};

use async_trait::async_trait;
use futures::{StreamExt, stream};
use lockkeeper_ports::{GenerateRequest, LlmError, LlmProvider, ModelEvent, ModelInfo, ModelStream};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use step::{Piece, Start};
use tokio::sync::watch;

/// A provider that does what a test wrote down. Clones are handles of the same provider.
#[derive(Clone)]
pub struct ScriptedProvider {
    script: Arc<Mutex<Script>>,
    counts: watch::Sender<Counts>,
}

#[derive(Default)]
struct Script {
    steps: VecDeque<Step>,
    requests: Vec<GenerateRequest>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    requests: usize,
    dropped: usize,
    finished: usize,
}

impl ScriptedProvider {
    /// A provider that answers with `steps`, one for each request, in this order. A request beyond them is refused
    /// as [`LlmError::BadRequest`].
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let script = Script { steps: steps.into_iter().collect(), requests: Vec::new() };
        Self { script: Arc::new(Mutex::new(script)), counts: watch::Sender::default() }
    }

    /// Adds a step to the end of the script.
    pub fn push(&self, step: Step) {
        self.with(|script| script.steps.push_back(step));
    }

    /// How many steps nobody has asked for yet.
    pub fn remaining(&self) -> usize {
        self.with(|script| script.steps.len())
    }

    /// All requests so far, in their order.
    pub fn requests(&self) -> Vec<GenerateRequest> {
        self.with(|script| script.requests.clone())
    }

    /// Waits for the `index`-th request, from 0.
    pub async fn request(&self, index: usize) -> GenerateRequest {
        self.until(|counts| counts.requests > index).await;
        self.with(|script| script.requests[index].clone())
    }

    /// How many answers were dropped before their end: cancelled.
    pub fn dropped(&self) -> usize {
        self.counts.borrow().dropped
    }

    /// Waits until `count` answers were dropped before their end.
    pub async fn until_dropped(&self, count: usize) {
        self.until(|counts| counts.dropped >= count).await;
    }

    /// Waits until `count` answers were read to their end.
    pub async fn until_finished(&self, count: usize) {
        self.until(|counts| counts.finished >= count).await;
    }

    async fn until(&self, reached: impl FnMut(&Counts) -> bool) {
        let mut counts = self.counts.subscribe();
        counts.wait_for(reached).await.expect("the sender lives as long as `self`");
    }

    fn with<T>(&self, then: impl FnOnce(&mut Script) -> T) -> T {
        then(&mut self.script.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl LlmProvider for ScriptedProvider {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn default_model(&self) -> &'static str {
        "scripted-1"
    }

    async fn generate(&self, request: GenerateRequest) -> Result<ModelStream, LlmError> {
        let step = self.with(|script| {
            script.requests.push(request);
            script.steps.pop_front()
        });
        self.counts.send_modify(|counts| counts.requests += 1);
        let exhausted = || LlmError::BadRequest("the test's script has no step left".to_owned());
        let (start, pieces) = step.ok_or_else(exhausted)?.into_parts();
        let watched = Watched { counts: self.counts.clone(), ended: false };
        for wait in start {
            match wait {
                Start::Wait(gate) => gate.pass().await,
                Start::Fail(error) => return Err(watched.fail(error)),
                Start::Hang => std::future::pending().await,
            }
        }
        Ok(stream::unfold((pieces, watched), next_event).boxed())
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, LlmError> {
        let id = self.default_model().to_owned();
        Ok(vec![ModelInfo { display_name: id.clone(), id }])
    }
}

type Rest = (VecDeque<Piece>, Watched);

async fn next_event((mut pieces, mut watched): Rest) -> Option<(Result<ModelEvent, LlmError>, Rest)> {
    loop {
        let event = match pieces.pop_front() {
            Some(Piece::Wait(gate)) => {
                gate.pass().await;
                continue;
            }
            Some(Piece::Hang) => std::future::pending().await,
            Some(Piece::Event(event)) => *event,
            None => {
                watched.end();
                return None;
            }
        };
        if pieces.is_empty() && !matches!(event, Ok(ModelEvent::Text(_) | ModelEvent::Reasoning(_))) {
            watched.end();
        }
        return Some((event, (pieces, watched)));
    }
}

/// Counts an answer as finished once it has ended, and else as dropped.
struct Watched {
    counts: watch::Sender<Counts>,
    ended: bool,
}

impl Watched {
    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.counts.send_modify(|counts| counts.finished += 1);
        }
    }

    fn fail(mut self, error: LlmError) -> LlmError {
        self.end();
        error
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.ended {
            self.counts.send_modify(|counts| counts.dropped += 1);
        }
    }
}

#[cfg(test)]
mod tests;
