//! What a scripted provider does when it is asked once.

use lockkeeper_domain::{Replay, StopReason, Usage};
use lockkeeper_ports::{Completion, LlmError, ModelEvent, Notice, ProposedCall};
use serde_json::Value;
use std::collections::VecDeque;
use tokio::sync::watch;

/// One answer, or the lack of one. Unless [`Step::fail`], [`Step::cut`] or [`Step::hang`] ends it, it ends with a
/// completion that holds all that was said.
#[derive(Clone, Debug)]
pub struct Step {
    start: Vec<Start>,
    pieces: Vec<Piece>,
    completion: Completion,
    completes: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Start {
    Wait(Gate),
    Fail(LlmError),
    Hang,
}

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Event(Box<Result<ModelEvent, LlmError>>),
    Wait(Gate),
    Hang,
}

impl From<Result<ModelEvent, LlmError>> for Piece {
    fn from(event: Result<ModelEvent, LlmError>) -> Self {
        Self::Event(Box::new(event))
    }
}

impl Step {
    /// An answer that says nothing yet.
    pub fn new() -> Self {
        let completion = Completion {
            text: String::new(),
            reasoning: None,
            calls: Vec::new(),
            stop: StopReason::EndTurn,
            usage: Usage { input_tokens: 10, output_tokens: 5, ..Usage::default() },
            replay: None,
        };
        Self { start: Vec::new(), pieces: Vec::new(), completion, completes: true }
    }

    /// An answer of one piece of text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new().say(text)
    }

    /// An answer that asks for these calls, each a tool's name and its arguments, and says nothing.
    pub fn calls<N: Into<String>>(calls: impl IntoIterator<Item = (N, Value)>) -> Self {
        calls.into_iter().fold(Self::new(), |step, (name, args)| step.call(name, args))
    }

    /// The provider refuses the request.
    pub fn error(error: LlmError) -> Self {
        let mut step = Self::new();
        step.start.push(Start::Fail(error));
        step
    }

    /// The provider never says whether it accepts the request.
    pub fn unanswered() -> Self {
        let mut step = Self::new();
        step.start.push(Start::Hang);
        step
    }

    /// Exactly these events and no completion of the step's own: for what a provider must not do.
    pub fn events(events: impl IntoIterator<Item = ModelEvent>) -> Self {
        let pieces = events.into_iter().map(|event| Piece::from(Ok(event))).collect();
        Self { pieces, completes: false, ..Self::new() }
    }

    /// Says a piece of text.
    #[must_use]
    pub fn say(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.completion.text.push_str(&text);
        self.with(Piece::from(Ok(ModelEvent::Text(text))))
    }

    /// Tells what was left out of the request.
    #[must_use]
    pub fn notice(self, notice: Notice) -> Self {
        self.with(Piece::from(Ok(ModelEvent::Notice(notice))))
    }

    /// Says a piece of reasoning.
    #[must_use]
    pub fn reason(mut self, text: impl Into<String>) -> Self {
        let text = text.into();
        self.completion.reasoning.get_or_insert_default().push_str(&text);
        self.with(Piece::from(Ok(ModelEvent::Reasoning(text))))
    }

    /// Asks for a call. The provider's id of it is its number among the step's calls, `p0`, `p1`, and so on.
    #[must_use]
    pub fn call(mut self, name: impl Into<String>, args: Value) -> Self {
        let provider_id = Some(format!("p{}", self.completion.calls.len()));
        self.completion.calls.push(ProposedCall { provider_id, name: name.into(), args });
        self
    }

    /// Goes on only when the test opens the gate.
    #[must_use]
    pub fn wait(self, gate: &Gate) -> Self {
        self.with(Piece::Wait(gate.clone()))
    }

    /// Accepts the request only when the test opens the gate.
    #[must_use]
    pub fn accepted_after(mut self, gate: &Gate) -> Self {
        self.start.insert(0, Start::Wait(gate.clone()));
        self
    }

    /// Stops for this reason.
    #[must_use]
    pub fn stop(mut self, reason: StopReason) -> Self {
        self.completion.stop = reason;
        self
    }

    /// Costs this much; 10 tokens read and 5 written by default.
    #[must_use]
    pub fn usage(mut self, usage: Usage) -> Self {
        self.completion.usage = usage;
        self
    }

    /// Wants this back.
    #[must_use]
    pub fn replay(mut self, replay: Replay) -> Self {
        self.completion.replay = Some(replay);
        self
    }

    /// Ends with an error in place of a completion.
    #[must_use]
    pub fn fail(mut self, error: LlmError) -> Self {
        self.completes = false;
        self.with(Piece::from(Err(error)))
    }

    /// Ends without a completion and without an error.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.completes = false;
        self
    }

    /// Never ends.
    #[must_use]
    pub fn hang(mut self) -> Self {
        self.completes = false;
        self.with(Piece::Hang)
    }

    fn with(mut self, piece: Piece) -> Self {
        self.pieces.push(piece);
        self
    }

    #[cfg(test)]
    pub(super) fn completion(self) -> Completion {
        self.completion
    }

    pub(super) fn into_parts(mut self) -> (Vec<Start>, VecDeque<Piece>) {
        if self.completes {
            self.pieces.push(Piece::from(Ok(ModelEvent::Completed(self.completion))));
        }
        (self.start, self.pieces.into())
    }
}

impl Default for Step {
    fn default() -> Self {
        Self::new()
    }
}

/// Holds an answer at one place until the test opens it. Once open, it stays open. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    reached: watch::Sender<bool>,
    open: watch::Sender<bool>,
}

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets the answer through.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until an answer has come to the gate.
    pub async fn reached(&self) {
        wait_for_true(&self.reached).await;
    }

    pub(super) async fn pass(&self) {
        self.reached.send_replace(true);
        wait_for_true(&self.open).await;
    }
}

async fn wait_for_true(flag: &watch::Sender<bool>) {
    flag.subscribe().wait_for(|set| *set).await.expect("the sender is borrowed here");
}
