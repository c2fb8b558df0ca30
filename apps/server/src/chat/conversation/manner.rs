//! How the client behaves, and what it does.

use serde_json::Value;

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::chat) enum Act {
    /// Write a piece of the model's answer.
    Answer(String),
    /// Tell the user something.
    Say(String),
    /// Send an event and hand in what it is acknowledged with.
    Send { event: &'static str, payload: Option<Value> },
    /// It is over.
    Quit(Ending),
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chat) enum Ending {
    /// As it should.
    Done,
    /// A turn failed or was cut off, or the server refused.
    Failed,
    /// Every turn came to its end, and a call did not run because it was denied.
    Denied,
    /// There is no server.
    Unreachable,
}

/// How the client behaves.
#[derive(Clone, Debug, Default)]
pub(in crate::chat) struct Manner {
    /// Approve everything.
    pub(in crate::chat) yes: bool,
    /// The one message to send; none for a conversation.
    pub(in crate::chat) once: Option<String>,
    /// Whether a person sits at a terminal.
    pub(in crate::chat) interactive: bool,
    /// The prefix of the messages' names, unique to this run.
    pub(in crate::chat) run: String,
}
