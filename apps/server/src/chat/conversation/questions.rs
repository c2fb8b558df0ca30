//! The calls that wait for the human, one asked after the other.

use crate::chat::approval::{Answer, Approval};
use serde_json::Value;
use std::collections::VecDeque;

/// The pending calls; the first of them is the one that is asked.
#[derive(Debug, Default)]
pub(super) struct Questions {
    pending: VecDeque<Approval>,
    stage: Stage,
}

/// How far the first one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// It is asked.
    #[default]
    Asked,
    /// The next line is its edited arguments.
    Editing,
    /// It is answered, and the server has not confirmed it.
    Answered,
}

/// What became of a line.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// This goes to the server.
    Decided(Value),
    /// The arguments are to be written next.
    Edit,
    /// It is asked again, for this reason.
    Again(&'static str),
    /// Nothing is asked at the moment.
    Ignored,
}

impl Questions {
    /// The call that is asked now.
    pub(super) fn asked(&self) -> Option<&Approval> {
        self.pending.front().filter(|_| self.stage != Stage::Answered)
    }

    /// Whether any call waits, asked or answered.
    pub(super) fn are_open(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Another call waits, or one is asked about again. Whether it is to be asked now.
    pub(super) fn add(&mut self, approval: Approval) -> bool {
        if let Some(place) = self.pending.iter().position(|known| known.call_id == approval.call_id) {
            let is_another = self.pending.get(place).is_some_and(|known| *known != approval);
            if is_another && let Some(known) = self.pending.get_mut(place) {
                *known = approval;
            }
            if is_another && place == 0 {
                self.stage = Stage::Asked;
            }
            return is_another && place == 0;
        }
        self.pending.push_back(approval);
        self.pending.len() == 1
    }

    /// A call waits no longer. Whether the next one is to be asked now.
    pub(super) fn resolve(&mut self, call_id: &str) -> bool {
        let was_first = self.pending.front().is_some_and(|first| first.call_id == call_id);
        self.pending.retain(|pending| pending.call_id != call_id);
        if was_first {
            self.stage = Stage::Asked;
        }
        was_first
    }

    /// The answer is on its way to the server.
    pub(super) fn answered(&mut self) {
        self.stage = Stage::Answered;
    }

    /// The server did not take the answer.
    pub(super) fn reopen(&mut self) {
        self.stage = Stage::Asked;
    }

    /// Reads a line as the answer.
    pub(super) fn read(&mut self, line: &str) -> Outcome {
        let Some(approval) = self.asked() else { return Outcome::Ignored };
        let editing = self.stage == Stage::Editing;
        let answer = match (editing, line.trim()) {
            (true, "") => None,
            (true, args) => approval.edited(args),
            (false, _) => approval.answer(line),
        };
        self.stage = Stage::Asked;
        match answer {
            Some(Answer::Decide(payload)) => {
                self.stage = Stage::Answered;
                Outcome::Decided(payload)
            }
            Some(Answer::Edit) => {
                self.stage = Stage::Editing;
                Outcome::Edit
            }
            None if editing && line.trim().is_empty() => Outcome::Again("the arguments stay as they were"),
            None if editing => Outcome::Again("that is no JSON object"),
            None => Outcome::Again("please give one of these answers"),
        }
    }
}
