//! What a call was let through as, and whether it still is that.

use super::{Call, Status, Turn};
use crate::{CallGate, CallId, CallStatus, Digest, Ground, Timestamp, ToolCall};
use serde_json::Value;

/// What a call is bound to: by a rule, by the question that is being asked, or by its answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bound {
    pub(super) digest: Option<Digest>,
    pub(super) expires_at: Option<Timestamp>,
}

/// A call that a human is being asked about.
pub(crate) struct Asked<'a> {
    pub(crate) call: &'a ToolCall,
    /// What the human was shown; none where an earlier version asked.
    pub(crate) digest: Option<Digest>,
    args: &'a Value,
    definition: &'a str,
    expires_at: Timestamp,
}

impl Asked<'_> {
    /// Whether what waits is what was shown. A question without a digest holds for nothing.
    pub(crate) fn holds_on(&self, ground: &Ground) -> bool {
        let waits = ground.digest(self.call, self.args, self.definition, Some(self.expires_at));
        self.digest.is_some_and(|shown| shown.matches(&waits))
    }
}

impl Turn {
    /// The calls that a human is being asked about.
    pub(crate) fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        self.calls.iter().filter_map(|call| match call.status {
            Status::Waiting { asked: Some(expires_at) } => Some(Asked {
                call: &call.asked_for,
                digest: call.bound.digest,
                args: &call.args,
                definition: &call.gate.fingerprint,
                expires_at,
            }),
            _ => None,
        })
    }

    /// The digest of a call of the step, if it runs with these arguments.
    pub(crate) fn digest(&self, call: &CallId, args: &Value, ground: &Ground) -> Option<Digest> {
        let Call { asked_for, gate, bound, .. } = self.find(call)?;
        Some(ground.digest(asked_for, args, &gate.fingerprint, bound.expires_at))
    }

    /// The digest that a call was listed with before anybody was asked, as it would be now. `None` for a call that does not
    /// wait.
    pub(crate) fn listed_digest(&self, call: &CallId, ground: &Ground) -> Option<Digest> {
        let Call { asked_for, gate, args, status, .. } = self.find(call)?;
        matches!(status, Status::Waiting { .. }).then(|| ground.digest(asked_for, args, &gate.fingerprint, None))
    }

    /// Whether a human let the call through for a workspace that was lost, and nothing else has changed since.
    pub(crate) fn is_approved_for_lost(&self, call: &CallId, ground: &Ground) -> bool {
        let Some(Call { asked_for, gate, args, bound, .. }) = self.find(call) else { return false };
        let matches = |before: Ground| {
            let ran = before.digest(asked_for, args, &gate.fingerprint, bound.expires_at);
            bound.digest.is_some_and(|let_through| let_through.matches(&ran))
        };
        is_approved(gate) && !matches(ground.clone()) && ground.before().any(matches)
    }

    /// Whether `call` is to the letter what was let through, given its tool's definition as it is now.
    pub(crate) fn is_bound(&self, call: &ToolCall, definition: &str, ground: &Ground) -> bool {
        let Some(Call { bound, gate, .. }) = self.find(&call.id) else { return false };
        let ground = if is_approved(gate) { ground } else { &ground.anywhere() };
        let runs = ground.digest(call, &call.args, definition, bound.expires_at);
        bound.digest.is_some_and(|let_through| let_through.matches(&runs))
    }
}

/// Whether it takes a human to let the call through, for one workspace: an answer, or a grant.
fn is_approved(gate: &CallGate) -> bool {
    gate.status == CallStatus::Waiting || gate.granted
}
