use crate::wire::Role;
use lockkeeper_domain::{EventId, SessionId};
use schemars::JsonSchema;

/// The `auth` of the Socket.IO handshake, all of which may be left out. Give it as a function, so that each reconnect names
/// the last event that was seen.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(
    dead_code,
    reason = "it is described and never made: `Handshake` reads it field by field, to say what is wrong"
)]
pub(super) struct HandshakeAuth {
    /// Who the client is, where the configuration has tokens. At most 8 KiB.
    token: Option<String>,
    /// A model for this session instead of the configured one.
    model: Option<String>,
    /// A provider key of the client's own, where the configuration takes them. At most 4 KiB.
    api_key: Option<String>,
    /// Resume: replay what comes after this event, in order, then go on live. `0-0` stands before the first.
    last_event_id: Option<EventId>,
    /// The version of the contract that the client knows: 2. Without it the client gets the basic contract: one argument
    /// for each event, and `agent:error` as a sentence.
    protocol: Option<u32>,
    /// What the connection may do.
    #[serde(default)]
    role: Role,
}

/// The query of the request that opens the connection.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "it is described and never made, see `HandshakeAuth`")]
pub(super) struct HandshakeQuery {
    /// The session: 1 to 128 characters out of `A-Z a-z 0-9 _ -`. Without it the server makes one and says it in
    /// `system:ready`.
    session_id: Option<SessionId>,
    /// The same as `auth.model`, which comes before it.
    model: Option<String>,
}
