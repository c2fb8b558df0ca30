//! What the log says of a session, as figures and as the spans of its turns.
//!
//! Every step of every session passes here once it is written, on the one server that drives the session.

use crate::{
    content::Content,
    instruments::{Instruments, label},
    outcome,
    traces::{Traces, Work},
};
use lockkeeper_domain::{
    CallId, Event, EventBody, NoticeKind, SessionId, Timestamp, ToolCalls, ToolSettled, TurnCompleted, TurnId,
};
use opentelemetry::{KeyValue, trace::SpanKind};
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What an agent of Lockkeeper's is called.
const AGENT: &str = "lockkeeper";
/// The server of a call of a tool that does not exist, or of one that another process began.
const NO_SERVER: &str = "none";

/// What is known of sessions whose turns are open.
#[derive(Debug)]
pub(crate) struct Journal {
    instruments: Arc<Instruments>,
    traces: Traces,
    content: Content,
    open: Mutex<HashMap<SessionId, Open>>,
}

#[derive(Debug, Default)]
struct Open {
    turn: Option<(TurnId, Work)>,
    /// Turns whose messages wait.
    queue: VecDeque<TurnId>,
    calls: HashMap<CallId, Call>,
}

#[derive(Debug)]
struct Call {
    server: String,
    tool: String,
    since: Timestamp,
    /// A human is asked.
    asking: Work,
    /// It runs.
    running: Work,
}

impl Journal {
    pub(crate) fn new(instruments: Arc<Instruments>, traces: Traces, content: Content) -> Self {
        Self { instruments, traces, content, open: Mutex::default() }
    }

    /// The turn that is open, for what is done in it.
    pub(crate) fn turn(&self, session: &SessionId) -> Work {
        let open = self.open();
        let turn = open.get(session).and_then(|open| open.turn.as_ref());
        turn.map(|(_, work)| work.clone()).unwrap_or_default()
    }

    /// A call that runs, for what is done for it.
    pub(crate) fn call(&self, session: &SessionId, call: &CallId) -> Work {
        let open = self.open();
        open.get(session).and_then(|open| open.calls.get(call)).map(|call| call.running.clone()).unwrap_or_default()
    }

    /// A step was written.
    pub(crate) fn written(&self, session: &SessionId, events: &[Event]) {
        // Most steps are pieces of text, and say nothing here.
        let tells = |event: &&Event| !matches!(event.body, EventBody::Delta { .. } | EventBody::Reasoning { .. });
        let mut events = events.iter().filter(tells).peekable();
        if events.peek().is_none() {
            return;
        }
        let mut sessions = self.open();
        let open = sessions.entry(session.clone()).or_default();
        events.for_each(|event| self.tell(session, open, event));
        if open.turn.is_none() && open.queue.is_empty() {
            sessions.remove(session);
        }
    }

    /// This server drives the session no more. What was open ends elsewhere, and here as it is.
    pub(crate) fn let_go(&self, session: &SessionId) {
        if let Some((_, turn)) = self.open().remove(session).and_then(|open| open.turn) {
            turn.note(label("lockkeeper.left", true));
            turn.end(None);
        }
    }

    fn tell(&self, session: &SessionId, open: &mut Open, event: &Event) {
        match (&event.body, event.turn) {
            (EventBody::UserMessage { .. }, Some(turn)) if open.turn.is_some() => open.queue.push_back(turn),
            (EventBody::UserMessage { .. }, Some(turn)) => self.turn_opens(session, open, turn, false),
            (EventBody::Notice { kind: NoticeKind::TurnResumed, .. }, Some(turn)) => {
                self.turn_opens(session, open, turn, true);
            }
            (EventBody::ToolCalls(calls), _) => remember(open, calls, event.at),
            (EventBody::ApprovalRequired(asked), _) => {
                let turn = turn_of(open);
                if let Some(call) = open.calls.get_mut(&asked.call) {
                    call.since = event.at;
                    let name = format!("approval {}", call.tool);
                    call.asking = self.traces.begin(name, SpanKind::Internal, &turn, named(&asked.call, call));
                }
            }
            (EventBody::ApprovalResolved(resolved), _) => {
                let decision = outcome::of_approval(resolved.decision);
                self.instruments.approvals.add(1, &[label("decision", decision)]);
                if let Some(call) = open.calls.get_mut(&resolved.call) {
                    let waited = event.at.since(call.since).as_secs_f64();
                    self.instruments.approval_wait.record(waited, &[label("decision", decision)]);
                    call.asking.note(label("lockkeeper.approval.decision", decision));
                    call.asking.end(None);
                }
            }
            (EventBody::ToolStarted { call, .. }, _) => {
                let turn = turn_of(open);
                if let Some(known) = open.calls.get_mut(call) {
                    let mut attributes = named(call, known);
                    attributes.push(label("gen_ai.operation.name", "execute_tool"));
                    attributes.push(label("gen_ai.tool.type", "function"));
                    let name = format!("execute_tool {}", known.tool);
                    known.running = self.traces.begin(name, SpanKind::Internal, &turn, attributes);
                }
            }
            (EventBody::ToolSettled(settled), _) => self.settled(open, settled),
            (EventBody::TurnCompleted(completed), turn) => self.turn_ends(session, open, turn, completed),
            _ => {}
        }
    }

    fn turn_opens(&self, session: &SessionId, open: &mut Open, turn: TurnId, resumed: bool) {
        let mut attributes = vec![
            label("gen_ai.operation.name", "invoke_agent"),
            label("gen_ai.agent.name", AGENT),
            label("gen_ai.conversation.id", session.as_str().to_owned()),
            label("lockkeeper.turn", turn.get().cast_signed()),
        ];
        if resumed {
            attributes.push(label("lockkeeper.resumed", true));
        }
        let name = format!("invoke_agent {AGENT}");
        let work = self.traces.begin(name, SpanKind::Internal, &Work::default(), attributes);
        open.turn = Some((turn, work));
    }

    fn settled(&self, open: &mut Open, settled: &ToolSettled) {
        let outcome = outcome::of_call(settled.result.outcome);
        let known = open.calls.remove(&settled.call);
        let server = known.as_ref().map_or(NO_SERVER, |call| &call.server).to_owned();
        self.instruments.tool_calls.add(1, &[label("server", server), label("outcome", outcome)]);
        let Some(call) = known else { return };
        if let Some(result) = self.content.attribute("gen_ai.tool.call.result", || settled.result.text()) {
            call.running.note(result);
        }
        call.running.end(Some(outcome).filter(|outcome| *outcome != outcome::SUCCEEDED));
    }

    fn turn_ends(&self, session: &SessionId, open: &mut Open, turn: Option<TurnId>, completed: &TurnCompleted) {
        let reason = outcome::of_turn(completed.stop_reason);
        let error = outcome::is_failure(completed.stop_reason).then_some(reason);
        self.instruments.turns.add(1, &[label("stop_reason", reason)]);
        let mut labels = vec![label("gen_ai.operation.name", "invoke_agent"), label("gen_ai.agent.name", AGENT)];
        labels.extend(error.map(|error| label("error.type", error)));
        self.instruments.turn_duration.record(Duration::from_millis(completed.duration_ms).as_secs_f64(), &labels);
        open.calls.clear();
        open.queue.retain(|waiting| Some(*waiting) != turn);
        if let Some((_, work)) = open.turn.take_if(|(open, _)| Some(*open) == turn) {
            work.note(label("lockkeeper.stop_reason", reason));
            work.note(label("gen_ai.usage.input_tokens", completed.usage.input_tokens.cast_signed()));
            work.note(label("gen_ai.usage.output_tokens", completed.usage.output_tokens.cast_signed()));
            work.note(label("lockkeeper.tool_calls", i64::from(completed.tool_calls)));
            work.end(error);
        }
        if open.turn.is_none()
            && let Some(next) = open.queue.pop_front()
        {
            self.turn_opens(session, open, next, false);
        }
    }

    /// Each change is told as a whole, so that a panic elsewhere leaves it right.
    fn open(&self) -> MutexGuard<'_, HashMap<SessionId, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn turn_of(open: &Open) -> Work {
    open.turn.as_ref().map(|(_, work)| work.clone()).unwrap_or_default()
}

/// Keeps what a step's calls are, for the events that name them by their ids alone.
fn remember(open: &mut Open, calls: &ToolCalls, at: Timestamp) {
    for call in &calls.message.calls {
        let server = call.server.as_ref().map_or(NO_SERVER, |server| server.as_str());
        let known = Call {
            server: server.to_owned(),
            tool: call.tool.clone(),
            since: at,
            asking: Work::default(),
            running: Work::default(),
        };
        open.calls.insert(call.id.clone(), known);
    }
}

/// What is always said of a call.
fn named(id: &CallId, call: &Call) -> Vec<KeyValue> {
    vec![
        label("gen_ai.tool.name", call.tool.clone()),
        label("gen_ai.tool.call.id", id.as_str().to_owned()),
        label("lockkeeper.mcp.server", call.server.clone()),
    ]
}
