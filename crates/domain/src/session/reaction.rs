use crate::{CallId, Code, EventBody, Message, ToolCall, TurnId};

/// What follows from a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Reaction {
    /// What to write, all at once.
    pub changes: Changes,
    /// What to do once it is written, in this order.
    pub effects: Vec<Effect>,
    /// What to answer.
    pub reply: Reply,
}

/// What to write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// The events, each with its turn.
    pub events: Vec<(Option<TurnId>, EventBody)>,
    /// Messages that come to the end of the history.
    pub append: Vec<Message>,
    /// How many messages go from the front of the history, counted after the append.
    pub drop_front: usize,
    /// All messages go instead.
    pub clear: bool,
}

/// What to do in the outside world.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Ask the model for the next step of the turn.
    CallModel {
        /// Which turn.
        turn: TurnId,
        /// Which step.
        step: u32,
    },
    /// The model's answer is not wanted any more.
    StopModel,
    /// Get all that the call needs before it can be sent. Then [`Command::StartCall`](crate::Command::StartCall), or
    /// [`CallSettled`](crate::Command::CallSettled) if it cannot be sent.
    RunCall(ToolCall),
    /// Send the call now: its start is written.
    SendCall(ToolCall),
    /// The call's result is not wanted any more.
    StopCall(CallId),
}

/// What to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Done,
    /// The message is this turn's.
    Accepted {
        /// Which turn.
        turn: TurnId,
        /// Whether the message had been accepted before.
        duplicate: bool,
    },
}

/// Why a command was not followed. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
}
