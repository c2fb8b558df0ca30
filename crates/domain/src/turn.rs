mod apply;
mod bound;

use crate::{
    ApprovalRequired, AssistantMessage, BudgetAsked, CallGate, CallId, Decision, Digest, Ground, Message, Timestamp,
    ToolCall, ToolResult, TurnId, Usage, UserMessage,
};
use bound::Bound;
use serde_json::Value;
use std::time::Duration;

/// One question, its answer, and all tool calls in between.
///
/// A turn thinks or acts. It thinks while a model is asked; it acts while calls of the model's step wait for a human,
/// run, or settle. When the last call of a step settles, the turn thinks again. It changes by events alone, so that
/// the events of the log give the same turn again.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    id: TurnId,
    opened_at: Timestamp,
    step: u32,
    attempt: u32,
    resumes: u32,
    partial: String,
    said: Option<AssistantMessage>,
    calls: Vec<Call>,
    /// Messages that are not part of the history yet: the question, until a step is whole.
    unsaved: Vec<Message>,
    usage: Usage,
    tool_calls: u32,
    /// How much its calls have said, in bytes.
    output: u64,
    /// The question that a human is being asked.
    asking: Option<CallId>,
    /// Since when it waits for a human's word on a call or its budget.
    waiting_since: Option<Timestamp>,
    /// For how long it waited for humans, or had no server.
    waited: Duration,
    last_event_at: Timestamp,
    /// Whether a human is asked if it may go on.
    budget_question: Option<BudgetAsked>,
    /// A human said that it may, whatever it costs.
    is_waived: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Call {
    asked_for: ToolCall,
    gate: CallGate,
    /// What runs: the model's arguments, or the human's.
    args: Value,
    bound: Bound,
    status: Status,
}

impl Call {
    fn is_edited(&self) -> bool {
        self.args != self.asked_for.args
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Status {
    /// Nobody let it through yet. `asked` once a human is shown it, with the time at which it is refused.
    Waiting { asked: Option<Timestamp> },
    /// It may run and was not started.
    Ready,
    /// It was started.
    Running,
    /// It will not run; its result follows in the same commit.
    Refused(Decision),
    /// It has its one result, and perhaps a refusal led to it.
    Settled(Box<ToolResult>, Option<Decision>),
}

/// A call of the open step, for people who join late.
#[derive(Clone, Debug, PartialEq)]
pub struct CallView<'a> {
    /// The call, with the model's arguments.
    pub call: &'a ToolCall,
    /// The gate's word on it.
    pub gate: &'a CallGate,
    /// The arguments that run: the model's, or the human's.
    pub args: &'a Value,
    /// What an answer to the call as it waits is bound to.
    pub digest: Option<Digest>,
    /// When it is refused by itself, once a human was asked.
    pub expires_at: Option<Timestamp>,
    /// Whether it waits for a human.
    pub waiting: bool,
}

/// How far a call without a result is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It waits for a human, or to be asked about.
    Waiting,
    /// It was decided, and not sent.
    LetThrough,
    /// It was sent, or was about to be.
    Started,
}

/// Why a call cannot be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undecidable {
    /// It was, by a human, a rule or a cancellation.
    Resolved,
    /// Its time was over.
    Expired,
    /// There is no such call.
    Unknown,
}

impl Turn {
    /// The turn that `message` opens; it begins when the one before it has ended.
    pub(crate) fn open(id: TurnId, message: UserMessage, at: Timestamp, opened_at: Timestamp) -> Self {
        Self {
            id,
            opened_at,
            step: 0,
            attempt: 0,
            resumes: 0,
            partial: String::new(),
            said: None,
            calls: Vec::new(),
            unsaved: vec![Message::User { turn: id, at, message }],
            usage: Usage::default(),
            tool_calls: 0,
            output: 0,
            asking: None,
            waiting_since: None,
            waited: Duration::ZERO,
            last_event_at: opened_at,
            budget_question: None,
            is_waived: false,
        }
    }

    /// Its id.
    pub fn id(&self) -> TurnId {
        self.id
    }

    /// The step that it is in, from 0.
    pub fn step(&self) -> u32 {
        self.step
    }

    /// Which attempt at the step this is, from 0.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Whether calls of its step are open.
    pub fn is_acting(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The calls of the open step.
    pub fn open_calls(&self) -> impl Iterator<Item = CallView<'_>> {
        self.calls.iter().filter(|c| !matches!(c.status, Status::Settled(..))).map(|c| {
            let (waiting, expires_at) = match c.status {
                Status::Waiting { asked } => (true, asked),
                _ => (false, None),
            };
            let digest = c.bound.digest.filter(|_| waiting);
            CallView { call: &c.asked_for, gate: &c.gate, args: &c.args, digest, expires_at, waiting }
        })
    }

    /// The text of the current attempt that was streamed so far.
    pub fn partial(&self) -> &str {
        &self.partial
    }

    /// The question whether it may go on, while a human is asked.
    pub fn budget_question(&self) -> Option<&BudgetAsked> {
        self.budget_question.as_ref()
    }

    /// Whether a human let it go on to its end, whatever it costs.
    pub fn is_waived(&self) -> bool {
        self.is_waived
    }

    pub(crate) fn resumes(&self) -> u32 {
        self.resumes
    }

    pub(crate) fn opened_at(&self) -> Timestamp {
        self.opened_at
    }

    pub(crate) fn usage(&self) -> Usage {
        self.usage
    }

    pub(crate) fn tool_calls(&self) -> u32 {
        self.tool_calls
    }

    pub(crate) fn output(&self) -> u64 {
        self.output
    }

    /// When it has taken `most`. The time in which it waits for a human does not count, and while it does there is no such time.
    pub(crate) fn deadline(&self, most: Duration) -> Option<Timestamp> {
        self.waiting_since.is_none().then(|| self.opened_at.after(most.saturating_add(self.waited)))
    }

    pub(crate) fn unsaved(&self) -> &[Message] {
        &self.unsaved
    }

    /// The next approval to ask for, if none is being asked for.
    pub(crate) fn next_question(&self, expires_at: Timestamp, ground: &Ground) -> Option<ApprovalRequired> {
        let is_asked = |c: &Call| matches!(c.status, Status::Waiting { asked: Some(_) });
        if self.calls.iter().any(is_asked) {
            return None;
        }
        let next = self.calls.iter().find(|c| matches!(c.status, Status::Waiting { asked: None }))?;
        self.question(&next.asked_for.id, expires_at, ground)
    }

    /// What a human is asked about a call of the step.
    pub(crate) fn question(&self, call: &CallId, expires_at: Timestamp, ground: &Ground) -> Option<ApprovalRequired> {
        let asks = |c: &&Call| c.gate.status == crate::CallStatus::Waiting || c.asked_for.id == *call;
        let position = self.calls.iter().filter(asks).position(|c| c.asked_for.id == *call)? + 1;
        let Call { asked_for, gate, args, .. } = self.find(call)?;
        Some(ApprovalRequired {
            call: asked_for.id.clone(),
            server: asked_for.server.clone(),
            tool: asked_for.tool.clone(),
            args: args.clone(),
            why: gate.why.clone(),
            annotations: gate.annotations.clone(),
            position,
            total: self.calls.iter().filter(asks).count(),
            expires_at,
            always: gate.always.clone(),
            scopes: gate.scopes.clone(),
            digest: Some(ground.digest(asked_for, args, &gate.fingerprint, Some(expires_at))),
        })
    }

    /// The calls that may run and were not started, with the arguments that run.
    pub(crate) fn ready(&self) -> Vec<ToolCall> {
        let ready = self.calls.iter().filter(|c| c.status == Status::Ready);
        ready.map(|c| ToolCall { args: c.args.clone(), ..c.asked_for.clone() }).collect()
    }

    /// The calls that were started and have no result.
    pub(crate) fn started(&self) -> Vec<ToolCall> {
        let started = self.calls.iter().filter(|c| c.status == Status::Running);
        started.map(|c| c.asked_for.clone()).collect()
    }

    /// Whether a call was started and has no result.
    pub fn is_started(&self, id: &CallId) -> bool {
        self.find(id).is_some_and(|c| c.status == Status::Running)
    }

    /// The call as it runs, if it was let through and has no result.
    pub fn let_through(&self, id: &CallId) -> Option<ToolCall> {
        let call = self.find(id).filter(|c| matches!(c.status, Status::Ready | Status::Running))?;
        Some(ToolCall { args: call.args.clone(), ..call.asked_for.clone() })
    }

    /// The calls without a result, and how far each is.
    pub(crate) fn unsettled(&self) -> Vec<(ToolCall, Stage)> {
        let stage = |call: &Call| match call.status {
            Status::Waiting { .. } => Some(Stage::Waiting),
            Status::Ready | Status::Refused(_) => Some(Stage::LetThrough),
            Status::Running => Some(Stage::Started),
            Status::Settled(..) => None,
        };
        self.calls.iter().filter_map(|call| Some((call.asked_for.clone(), stage(call)?))).collect()
    }

    /// The calls whose time to be approved is over at `now`.
    pub(crate) fn overdue(&self, now: Timestamp) -> Vec<ToolCall> {
        let late = |c: &&Call| matches!(c.status, Status::Waiting { asked: Some(at) } if at <= now);
        self.calls.iter().filter(late).map(|c| c.asked_for.clone()).collect()
    }

    /// When the first question that is being asked runs out.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        let expiry = |c: &Call| match c.status {
            Status::Waiting { asked } => asked,
            _ => None,
        };
        self.calls.iter().filter_map(expiry).min()
    }

    /// The arguments that a call of the step runs with.
    pub(crate) fn args_of(&self, call: &CallId) -> Option<&Value> {
        self.find(call).map(|call| &call.args)
    }

    /// The call as it waits, if a human may still decide it.
    pub(crate) fn decidable(&self, call: &CallId) -> Result<ToolCall, Undecidable> {
        match self.find(call) {
            Some(Call { status: Status::Waiting { .. }, asked_for, args, .. }) => {
                Ok(ToolCall { args: args.clone(), ..asked_for.clone() })
            }
            Some(Call {
                status: Status::Refused(Decision::Expired) | Status::Settled(_, Some(Decision::Expired)),
                ..
            }) => Err(Undecidable::Expired),
            Some(_) => Err(Undecidable::Resolved),
            None => match call.minted_for() {
                Some((turn, step)) if (turn, step) < (self.id, self.step) => Err(Undecidable::Resolved),
                _ => Err(Undecidable::Unknown),
            },
        }
    }

    fn find(&self, call: &CallId) -> Option<&Call> {
        self.calls.iter().find(|c| c.asked_for.id == *call)
    }
}
