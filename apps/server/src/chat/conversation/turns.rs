//! Which messages of ours have come to their end.

use serde_json::Value;
use std::collections::BTreeSet;

/// The messages that were sent, and their turns.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Messages that the server has not acknowledged.
    unacknowledged: usize,
    /// The turns of acknowledged messages.
    open: BTreeSet<String>,
    /// Turns that ended before their message was acknowledged.
    ended: BTreeSet<String>,
}

impl Turns {
    /// Whether a message of ours has not come to its end.
    pub(super) fn is_busy(&self) -> bool {
        self.unacknowledged > 0 || !self.open.is_empty()
    }

    /// A message was sent.
    pub(super) fn sent(&mut self) {
        self.unacknowledged += 1;
    }

    /// The server did not take it.
    pub(super) fn refused(&mut self) {
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
    }

    /// The server took it, and `acknowledgement` names its turn. Whether the turn has ended already.
    pub(super) fn accepted(&mut self, acknowledgement: &Value) -> bool {
        self.unacknowledged = self.unacknowledged.saturating_sub(1);
        let turn = turn_of(acknowledgement);
        if self.ended.remove(&turn) {
            return true;
        }
        self.open.insert(turn);
        false
    }

    /// The turn that an event's `meta` names has ended. Whether it was one of ours.
    pub(super) fn completed(&mut self, meta: &Value) -> bool {
        let turn = turn_of(meta);
        if self.open.remove(&turn) {
            return true;
        }
        if self.unacknowledged > 0 {
            self.ended.insert(turn);
        }
        false
    }
}

/// The turn's name; empty where the server has no names for turns.
fn turn_of(value: &Value) -> String {
    value.get("turn").map_or_else(String::new, |turn| turn.as_str().map_or_else(|| turn.to_string(), str::to_owned))
}
