mod apply;
mod budget;
mod command;
mod decide;
mod limits;
mod model;
mod pins;
mod reaction;
mod rules;
#[cfg(test)]
mod tests;

use crate::{
    ArgumentRule, Asked, AuditKey, BudgetAsked, CallId, CallView, ChainHead, ClientMessageId, Denials, Digest, Event,
    Failure, Grant, GrantScope, Ground, HistoryLimits, Message, NoticeKind, PrincipalId, QuestionId, RequestId, RuleId,
    Scope, SessionId, Timestamp, ToolCall, ToolDefinition, ToolResult, ToolTrusted, Turn, TurnId, UserMessage, Via,
    Window, WorkspaceId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub use model::{JudgedCall, Judgement, ModelOutcome, Said};
pub use reaction::{Changes, Effect, Reaction, Refusal, Reply};
pub use rules::Rules;

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
    /// The calls that are being made ready to be sent. Known to the live session only, like `asked`.
    preparing: BTreeSet<CallId>,
    /// What its approvals stand on. Known to the live session only: the log holds their digests.
    ground: Ground,
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
    /// The commands that were followed last and must not be followed again.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    requests: VecDeque<RequestId>,
    /// What the messages of those names said, by their digests. Earlier versions did not store it.
    #[serde(skip_serializing_if = "VecDeque::is_empty")]
    recent_content: VecDeque<(ClientMessageId, Digest)>,
    grants: Vec<Grant>,
    #[serde(skip_serializing_if = "Denials::is_empty")]
    denials: Denials,
    last_turn_ended_at: Option<Timestamp>,
    /// The tools whose calls were judged, each as it was then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pins: Vec<ToolDefinition>,
    /// Those that are something else now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    quarantined: Vec<ToolDefinition>,
    /// Where the audit ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    audit: Option<ChainHead>,
}

/// What can happen to a session.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// A user says something.
    Submit(UserMessage),
    /// A human answers for a call.
    Decide(Answer),
    /// What the turn wants next costs more than there is: it ends.
    OverBudget {
        /// The call that was not run for it.
        call: Option<CallId>,
        /// Why, for people.
        failure: Failure,
    },
    /// What the turn wants next costs more than there is: a human is asked.
    AskBudget {
        /// The question.
        question: BudgetAsked,
        /// The call that waits for the answer; none where the model does.
        call: Option<CallId>,
    },
    /// A human says whether the turn goes on.
    AnswerBudget(BudgetAnswer),
    /// A user stops the turn.
    Cancel,
    /// A user empties the history; turns that are open or wait end first.
    Reset,
    /// A user ends the session.
    End,
    /// The rules have changed and deny these calls, which wait for a human; each with what is said of it.
    Forbid(Vec<(CallId, String)>),
    /// Time passed: questions whose time is over are refused, and a turn whose time is over ends.
    Tick,
    /// The model said something.
    ModelSaid(Vec<Said>),
    /// The model's answer is complete.
    ModelDone(ModelOutcome),
    /// There is no answer.
    ModelFailed(Failure),
    /// A call that was to be run has all that it needs, and is about to be sent.
    StartCall(CallId),
    /// A call that was let through has its result, whether it was sent or not.
    CallSettled {
        /// Which call.
        call: CallId,
        /// What it came to.
        result: ToolResult,
    },
    /// A tool's server gives this definition of it now.
    ToolSeen {
        /// The definition.
        now: Box<ToolDefinition>,
        /// The one that the model was offered, if it was another one.
        offered: Option<Box<ToolDefinition>>,
    },
    /// A human takes a tool that is held back as it is now.
    Trust(ToolTrusted),
    /// The workspace was lost before these calls, which had been approved, were sent to it: a human is asked again.
    AskAgain(Vec<CallId>),
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
    /// What the arguments must be for a rule that is stored to cover a call, where a yes is for always.
    #[serde(default)]
    pub constraints: BTreeMap<String, ArgumentRule>,
    /// Which calls a yes for the session covers: one of the scopes that were offered. Without it, every call of the tool.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub grant: Option<GrantScope>,
    /// The digest of the question, as the client was shown it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub digest: Option<Digest>,
    /// Who answers.
    pub by: PrincipalId,
    /// By which way.
    #[serde(default)]
    pub via: Via,
    /// The rule that whoever drives the session has stored for a yes for always.
    #[serde(skip)]
    pub rule: Option<RuleId>,
}

impl SessionState {
    /// The calls that a human denied.
    pub fn denials(&self) -> &Denials {
        &self.denials
    }
}

/// A human's word on a turn that costs more than there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetAnswer {
    /// The question that it answers, as the client was shown it. Without it, it answers a question without a name alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub question: Option<QuestionId>,
    /// Whether it goes on, to its end.
    pub go_on: bool,
    /// Who says so.
    pub by: PrincipalId,
    /// By which way.
    #[serde(default)]
    pub via: Via,
}

impl SessionState {
    /// Where the audit ended when this state was written.
    pub fn audit_head(&self) -> ChainHead {
        self.audit.unwrap_or_default()
    }
}

impl Session {
    /// How many commands are remembered. A command is repeated within seconds, so this bounds the record and not the promise.
    const REMEMBERED: usize = 64;

    /// A session as `state` leaves it, with this history, and what `events` made of it since.
    pub fn fold<'a>(state: SessionState, history: Vec<Message>, events: impl IntoIterator<Item = &'a Event>) -> Self {
        let (queue, preparing) = (VecDeque::new(), BTreeSet::new());
        let mut session = Self { state, queue, turn: None, history, asked: None, preparing, ground: Ground::default() };
        for event in events {
            // The messages that these events completed are in the history already.
            session.apply(event.turn, event.at, &event.body);
            if let Some(link) = event.link {
                session.state.audit = Some(link.into());
            }
            if let Some(request) = &event.request {
                session.remember(request.clone());
            }
        }
        session
    }

    /// The command of this name was followed.
    pub fn remember(&mut self, request: RequestId) {
        self.state.requests.push_back(request);
        self.state.requests.drain(..self.state.requests.len().saturating_sub(Self::REMEMBERED));
    }

    /// Whether the command of this name was followed, by this owner or an earlier one.
    pub fn has_followed(&self, request: &RequestId) -> bool {
        self.state.requests.contains(request)
    }

    /// Gives events that are about to be written their places in the audit. What is then not written must not be written in
    /// another form: the session is thrown away.
    pub fn link<'a>(
        &mut self,
        id: &SessionId,
        events: impl IntoIterator<Item = &'a mut Event>,
        key: Option<&AuditKey>,
    ) {
        let mut head = self.state.audit.unwrap_or_default();
        for event in events {
            head.link(id, event, key);
        }
        self.state.audit = (head != ChainHead::default()).then_some(head);
    }

    /// What approvals stand on from now on. Questions that were asked on other ground are asked anew with the next
    /// command that is followed, and calls that were let through on it do not run.
    pub fn stand_on(&mut self, ground: Ground) {
        self.ground = ground;
    }

    /// The same ground, but for the rules.
    pub fn stand_on_rules(&mut self, version: String) {
        self.ground.policy = version;
    }

    /// The same ground, but for the workspace: approvals that were given for another one do not hold any more.
    pub fn stand_in(&mut self, workspace: Option<WorkspaceId>) {
        self.ground.move_to(workspace);
    }

    /// The workspace that calls run in, or will.
    pub fn workspace(&self) -> Option<&WorkspaceId> {
        self.ground.workspace.as_ref()
    }

    /// The grants that hold in the workspace as it is.
    pub fn grants(&self) -> impl Iterator<Item = &Grant> {
        self.state.grants.iter().filter(|grant| grant.workspace == self.ground.workspace)
    }

    /// Whether a human let this call through, by an answer or a grant, for a workspace that was lost since.
    pub fn is_approved_for_lost(&self, call: &CallId) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.is_approved_for_lost(call, &self.ground))
    }

    /// Whether a question is being asked that does not hold any more: an answer to it is refused.
    pub fn has_stale_question(&self) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.asked().any(|asked| !asked.holds_on(&self.ground)))
    }

    /// Whether a call that is about to run, with these arguments and this definition of its tool, is to the letter what was
    /// let through.
    pub fn is_bound(&self, call: &ToolCall, definition: &str) -> bool {
        self.turn.as_ref().is_some_and(|turn| turn.is_bound(call, definition, &self.ground))
    }

    /// The session as its owner has it, for who only looks: the turn of the message that waits longest is open, which no event
    /// says before its first.
    #[must_use]
    pub fn as_driven(mut self) -> Self {
        if self.turn.is_none() {
            self.open_next();
        }
        self
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
    pub fn next_deadline(&self, rules: &Rules) -> Option<Timestamp> {
        let turn = self.turn.as_ref()?;
        let asked = turn.budget_question().map(|asked| asked.expires_at);
        [turn.next_expiry(), turn.deadline(rules.max_turn), asked].into_iter().flatten().min()
    }

    /// The calls that a human denied.
    pub fn denials(&self) -> &Denials {
        &self.state.denials
    }

    /// The grant that lets this call run.
    pub fn grant_for(&self, asked: Asked<'_>) -> Option<&Grant> {
        self.grants().find(|grant| grant.covers(asked))
    }
}
