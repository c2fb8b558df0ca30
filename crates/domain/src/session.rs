use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use crate::{ClientMessageId, PrincipalId, ServerName, Timestamp, TurnId};

/// What outlives a turn in a session, apart from its history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionState {
    /// How many turns were opened or queued.
    pub turns: TurnId,
    /// The client's names of the last messages, each with its turn, oldest first.
    pub recent: VecDeque<(ClientMessageId, TurnId)>,
    /// Approvals that reach beyond their call.
    pub grants: Vec<Grant>,
    /// When the last turn ended.
    pub last_turn_ended_at: Option<Timestamp>,
}

/// A human's word that a tool may run for the rest of the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// The tool's server.
    pub server: ServerName,
    /// The tool, as its server calls it.
    pub tool: String,
    /// The definition that was granted: a changed tool asks again.
    pub fingerprint: String,
    /// Who granted it.
    pub by: PrincipalId,
}
