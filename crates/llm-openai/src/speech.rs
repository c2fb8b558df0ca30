//! What the model has said so far, and the pieces that nobody has taken yet.

use lockkeeper_domain::{Replay, StopReason, Usage};
use lockkeeper_ports::{Completion, ModelEvent, ProposedCall};
use std::collections::VecDeque;

/// A growing answer.
#[derive(Debug, Default)]
pub(crate) struct Speech {
    text: String,
    reasoning: String,
    pieces: VecDeque<ModelEvent>,
}

/// How an answer ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) calls: Vec<ProposedCall>,
    pub(crate) stop: StopReason,
    pub(crate) usage: Usage,
    pub(crate) replay: Option<Replay>,
}

impl Speech {
    pub(crate) fn say(&mut self, piece: &str) {
        if !piece.is_empty() {
            self.text.push_str(piece);
            self.pieces.push_back(ModelEvent::Text(piece.to_owned()));
        }
    }

    pub(crate) fn reason(&mut self, piece: &str) {
        if !piece.is_empty() {
            self.reasoning.push_str(piece);
            self.pieces.push_back(ModelEvent::Reasoning(piece.to_owned()));
        }
    }

    /// Adds words about the answer.
    pub(crate) fn explain(&mut self, words: &str) {
        let gap = if self.text.trim().is_empty() { "" } else { "\n\n" };
        self.say(&format!("{gap}{words}"));
    }

    /// What was told as text was reasoning. What people have seen of it stays; the whole answer is without it.
    pub(crate) fn take_back(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.reasoning.push_str(&text);
        for piece in &mut self.pieces {
            if let ModelEvent::Text(text) = piece {
                *piece = ModelEvent::Reasoning(std::mem::take(text));
            }
        }
    }

    pub(crate) fn has_text(&self) -> bool {
        !self.text.is_empty()
    }

    pub(crate) fn has_reasoning(&self) -> bool {
        !self.reasoning.is_empty()
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn reasoning(&self) -> &str {
        &self.reasoning
    }

    pub(crate) fn next_piece(&mut self) -> Option<ModelEvent> {
        self.pieces.pop_front()
    }

    /// The completion comes after all pieces. Calls run only when the model ended its turn by itself.
    pub(crate) fn complete(&mut self, ending: Ending) {
        let text = std::mem::take(&mut self.text);
        let reasoning = Some(std::mem::take(&mut self.reasoning)).filter(|r| !r.is_empty());
        let Ending { mut calls, stop, usage, replay } = ending;
        if stop != StopReason::EndTurn {
            calls.clear();
        }
        let completion = Completion { text, reasoning, calls, stop, usage, replay };
        self.pieces.push_back(ModelEvent::Completed(completion));
    }
}
