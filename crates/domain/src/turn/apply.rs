//! What each event makes of a turn.

use super::{Bound, Call, Status, Turn};
use crate::{
    ApprovalResolved, AssistantMessage, CallGate, CallId, CallResult, CallStatus, Content, Decision, EventBody,
    Message, NoticeKind, Timestamp, ToolCall, ToolCalls,
};

impl Turn {
    /// Accounts for an event of this turn. What it returns has become whole and belongs to the history.
    pub(crate) fn apply(&mut self, at: Timestamp, body: &EventBody) -> Vec<Message> {
        let whole = self.account(at, body);
        self.count_waiting(at);
        self.last_event_at = at;
        whole
    }

    /// Time in which a human is asked does not count as the turn's, however many questions there are.
    fn count_waiting(&mut self, at: Timestamp) {
        let waits = self.asking.is_some() || self.budget_question.is_some();
        if waits {
            self.waiting_since.get_or_insert(at);
        } else if let Some(since) = self.waiting_since.take() {
            self.waited = self.waited.saturating_add(at.since(since));
        }
    }

    fn account(&mut self, at: Timestamp, body: &EventBody) -> Vec<Message> {
        match body {
            EventBody::Delta { step, attempt, text } => {
                (self.step, self.attempt) = (*step, *attempt);
                self.partial.push_str(text);
            }
            EventBody::Notice { kind: NoticeKind::TurnResumed, .. } => self.begin_again(at),
            EventBody::ToolCalls(calls) => self.act(calls),
            EventBody::ApprovalRequired(asked) => {
                self.asking = Some(asked.call.clone());
                self.set(&asked.call, Status::Waiting { asked: Some(asked.expires_at) });
                self.bind(&asked.call, Bound { digest: asked.digest, expires_at: Some(asked.expires_at) });
            }
            EventBody::ApprovalResolved(resolved) => self.resolve(resolved),
            EventBody::ToolStarted { call, .. } => self.set(call, Status::Running),
            EventBody::ToolSettled(settled) => {
                self.output = self.output.saturating_add(settled.result.size());
                let decision = match self.find(&settled.call).map(|c| &c.status) {
                    Some(Status::Refused(decision)) => Some(*decision),
                    _ => None,
                };
                self.set(&settled.call, Status::Settled(Box::new(settled.result.clone()), decision));
                return self.settle_step(at);
            }
            EventBody::Response { message, usage } => {
                self.usage += *usage;
                self.partial.clear();
                self.unsaved.push(Message::Assistant { turn: self.id, at, message: message.clone() });
            }
            EventBody::BudgetAsked(asked) => self.budget_question = Some(asked.clone()),
            EventBody::BudgetAnswered(answered) => {
                self.budget_question = None;
                self.is_waived |= answered.go_on;
            }
            EventBody::TurnCompleted(_) => return self.close(at),
            _ => {}
        }
        Vec::new()
    }

    fn begin_again(&mut self, at: Timestamp) {
        self.resumes += 1;
        if self.waiting_since.is_none() {
            self.waited = self.waited.saturating_add(at.since(self.last_event_at));
        }
        if !self.partial.is_empty() {
            self.attempt += 1;
            self.partial.clear();
        }
    }

    fn act(&mut self, calls: &ToolCalls) {
        self.usage += calls.usage;
        self.tool_calls += u32::try_from(calls.message.calls.len()).unwrap_or(u32::MAX);
        self.partial.clear();
        self.said = Some(calls.message.clone());
        let open = |(call, gate): (&ToolCall, &CallGate)| Call {
            asked_for: call.clone(),
            gate: gate.clone(),
            args: call.args.clone(),
            bound: Bound { digest: gate.digest, expires_at: None },
            status: match gate.status {
                CallStatus::Allowed => Status::Ready,
                CallStatus::Waiting | CallStatus::Refused => Status::Waiting { asked: None },
            },
        };
        self.calls = calls.message.calls.iter().zip(&calls.gates).map(open).collect();
    }

    fn resolve(&mut self, resolved: &ApprovalResolved) {
        self.asking.take_if(|call| *call == resolved.call);
        let Some(call) = self.calls.iter_mut().find(|c| c.asked_for.id == resolved.call) else { return };
        call.status = match resolved.decision {
            Decision::Approved => Status::Ready,
            // It waits again, unless its result follows in the same commit.
            Decision::Void => Status::Waiting { asked: None },
            refused => Status::Refused(refused),
        };
        if let (Decision::Void, Some(reason)) = (resolved.decision, &resolved.reason)
            && !call.gate.why.starts_with(reason)
        {
            call.gate.why = format!("{reason}; {}", call.gate.why);
        }
        if let Some(args) = &resolved.edited_args {
            call.args = args.clone();
        }
        if let Some(digest) = resolved.digest {
            call.bound.digest = Some(digest);
        }
    }

    fn set(&mut self, id: &CallId, status: Status) {
        if let Some(call) = self.calls.iter_mut().find(|c| c.asked_for.id == *id) {
            call.status = status;
        }
    }

    fn bind(&mut self, id: &CallId, bound: Bound) {
        if let Some(call) = self.calls.iter_mut().find(|c| c.asked_for.id == *id) {
            call.bound = bound;
        }
    }

    /// Once all calls have results, the step is whole: its messages leave, and the turn thinks again. The history says what
    /// ran: the model and readers must not take the model's arguments for those that a person put in their place.
    fn settle_step(&mut self, at: Timestamp) -> Vec<Message> {
        let is_replayed = self.said.as_ref().is_some_and(|said| said.replay.is_some());
        let result = |c: &Call| match &c.status {
            Status::Settled(result, _) => {
                let mut result = (**result).clone();
                // A provider gets its own words back, in which the call stays as the model made it.
                if is_replayed && c.is_edited() {
                    let note = format!("A person changed the arguments before this call ran. They were: {}", c.args);
                    result.content.insert(0, Content::text(note));
                }
                Some(CallResult { call: c.asked_for.id.clone(), name: c.asked_for.name.clone(), result })
            }
            _ => None,
        };
        let Some(results) = self.calls.iter().map(result).collect::<Option<Vec<_>>>() else {
            return Vec::new();
        };
        let mut whole = std::mem::take(&mut self.unsaved);
        if let Some(mut message) = self.said.take() {
            for (said, call) in message.calls.iter_mut().zip(&self.calls) {
                said.args.clone_from(&call.args);
            }
            whole.push(Message::Assistant { turn: self.id, at, message });
            whole.push(Message::Tool { turn: self.id, at, results });
        }
        self.calls.clear();
        self.step += 1;
        self.attempt = 0;
        whole
    }

    /// What was said and shown stays in the history, also when the turn was cut short.
    fn close(&mut self, at: Timestamp) -> Vec<Message> {
        let mut whole = std::mem::take(&mut self.unsaved);
        if !self.partial.is_empty() {
            let text = std::mem::take(&mut self.partial);
            let message = AssistantMessage { text, ..AssistantMessage::default() };
            whole.push(Message::Assistant { turn: self.id, at, message });
        }
        whole
    }
}
