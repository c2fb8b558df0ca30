mod apply;
mod command;
mod decide;
#[cfg(test)]
mod tests;

use crate::{
    Annotations, CallId, CallView, ClientMessageId, Code, Event, EventBody, Failure, HistoryLimits, Message,
    NoticeKind, PrincipalId, Scope, ServerName, StopReason, Timestamp, ToolCall, ToolName, ToolResult, Turn, TurnId,
    Usage, UserMessage, Window,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::VecDeque, time::Duration};

/// A session: its queue of messages, its open turn, and its history.
///
/// [`Session::handle`] takes a command, changes the session, and says what to write and what to do. What it says to do
/// must be done only after what it says to write is stored; when that fails the session is thrown away and folded anew
/// from the log, by [`Session::fold`].
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    state: SessionState,
    queue: VecDeque<Queued>,
    turn: Option<Turn>,
    history: Vec<Message>,
    /// The step for which a model is being asked. Known to the live session only: a fold starts without it.
    asked: Option<(TurnId, u32, u32)>,
}

/// A message that was accepted and whose turn has not begun.
#[derive(Clone, Debug, PartialEq)]
struct Queued {
    turn: TurnId,
    at: Timestamp,
    message: UserMessage,
}

/// What outlives a turn in a session, apart from its history.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SessionState {
    turns: TurnId,
    recent: VecDeque<(ClientMessageId, TurnId)>,
    grants: Vec<Grant>,
    last_turn_ended_at: Option<Timestamp>,
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

/// The limits that a session keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How many messages may wait while a turn runs. 4 by default.
    pub max_queued: usize,
    /// How many times a turn may ask the model. 16 by default.
    pub max_steps: u32,
    /// How many calls of one step are considered; the others are refused. 8 by default.
    pub max_calls_per_step: usize,
    /// How long a human has to answer. 300 s by default.
    pub approval_ttl: Duration,
    /// How often a turn is taken up again after its server was lost. 3 by default.
    pub max_resumes: u32,
    /// How much history is kept and shown.
    pub history: HistoryLimits,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            max_queued: 4,
            max_steps: 16,
            max_calls_per_step: 8,
            approval_ttl: Duration::from_mins(5),
            max_resumes: 3,
            history: HistoryLimits::default(),
        }
    }
}

/// What can happen to a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A user says something.
    Submit(UserMessage),
    /// A human answers for a call.
    Decide(Answer),
    /// A user stops the turn.
    Cancel,
    /// A user empties the history; turns that are open or wait end first.
    Reset,
    /// A user ends the session.
    End,
    /// Time passed: questions whose time is over are refused.
    Tick,
    /// The model said something.
    ModelSaid(Vec<Said>),
    /// The model's answer is complete.
    ModelDone(ModelOutcome),
    /// There is no answer.
    ModelFailed(Failure),
    /// A call that ran has its result.
    CallSettled {
        /// Which call.
        call: CallId,
        /// What it came to.
        result: ToolResult,
    },
    /// Another process drove the session until now.
    Resume,
    /// Nobody used the session for so long that its sandbox was removed.
    Expire {
        /// Why, for people.
        reason: String,
    },
    /// People should know.
    Notify {
        /// What it is about.
        kind: NoticeKind,
        /// The words.
        text: String,
    },
}

/// A human's answer for a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Which call.
    pub call: CallId,
    /// Yes or no.
    pub approved: bool,
    /// How far a yes reaches.
    pub scope: Scope,
    /// Why not; it reaches the model.
    pub reason: Option<String>,
    /// The arguments that shall run instead. Whoever passes them on has checked them against the tool's schema.
    pub args: Option<Value>,
    /// Who answers.
    pub by: PrincipalId,
}

/// A piece of what a model says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Of the answer.
    Text(String),
    /// Of the reasoning's summary.
    Reasoning(String),
}

/// A model's complete answer, its calls judged.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelOutcome {
    /// The whole text.
    pub text: String,
    /// The whole summary of the reasoning.
    pub reasoning: Option<String>,
    /// The calls, in the model's order.
    pub calls: Vec<JudgedCall>,
    /// Why it stopped.
    pub stop: StopReason,
    /// What it cost.
    pub usage: Usage,
    /// What the provider wants back.
    pub replay: Option<crate::Replay>,
}

/// A call that a model asks for, and what the gate says of it.
#[derive(Clone, Debug, PartialEq)]
pub struct JudgedCall {
    /// The provider's name for the call.
    pub provider_id: Option<String>,
    /// The tool, as the model wrote it.
    pub name: ToolName,
    /// The tool's server, where there is such a tool.
    pub server: Option<ServerName>,
    /// What its server calls it.
    pub tool: String,
    /// The arguments.
    pub args: Value,
    /// What the gate says.
    pub judgement: Judgement,
    /// The tool's hints.
    pub annotations: Annotations,
    /// The hash of the tool's definition.
    pub fingerprint: String,
}

/// What the gate says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// A human's rule or grant lets it run.
    Run {
        /// Which, for people.
        why: String,
    },
    /// A human is asked.
    Ask {
        /// Why, for people.
        why: String,
    },
    /// It does not run.
    Refuse {
        /// Why, for programs.
        code: Code,
        /// Why, for people and the model.
        message: String,
    },
}

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
    /// Run the call.
    RunCall(ToolCall),
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

impl Session {
    /// A session as `state` leaves it, with this history, and what `events` made of it since.
    pub fn fold<'a>(state: SessionState, history: Vec<Message>, events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut session = Self { state, queue: VecDeque::new(), turn: None, history, asked: None };
        for event in events {
            // The messages that these events completed are in the history already.
            session.apply(event.turn, event.at, &event.body);
        }
        session
    }

    /// What outlives a turn: what a checkpoint stores. None while a turn is open or waits.
    pub fn checkpoint(&self) -> Option<&SessionState> {
        (!self.is_busy()).then_some(&self.state)
    }

    /// Whether a turn is open or waits.
    pub fn is_busy(&self) -> bool {
        self.turn.is_some() || !self.queue.is_empty()
    }

    /// The open turn.
    pub fn turn(&self) -> Option<&Turn> {
        self.turn.as_ref()
    }

    /// The history, oldest message first.
    pub fn history(&self) -> &[Message] {
        &self.history
    }

    /// What a model is shown: the window over the history and the open question.
    pub fn conversation(&self, limits: HistoryLimits) -> Vec<Message> {
        let mut all = self.history.clone();
        all.extend(self.turn.iter().flat_map(Turn::unsaved).cloned());
        let dropped = Window::over(&all, limits).dropped();
        all.split_off(dropped)
    }

    /// The calls that have no result yet.
    pub fn open_calls(&self) -> Vec<CallView<'_>> {
        self.turn.iter().flat_map(Turn::open_calls).collect()
    }

    /// When [`Command::Tick`] has something to do next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.turn.as_ref().and_then(Turn::next_expiry)
    }

    /// Whether a human let this very tool run for the rest of the session.
    pub fn grant_for(&self, server: &ServerName, tool: &str, fingerprint: &str) -> Option<&Grant> {
        self.state.grants.iter().find(|g| g.server == *server && g.tool == tool && g.fingerprint == fingerprint)
    }
}
