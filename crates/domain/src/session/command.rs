use super::{
    Changes, Command, Effect, JudgedCall, Judgement, ModelOutcome, Reaction, Refusal, Reply, Rules, Said, Session,
    limits::spent,
};
use crate::{
    AssistantMessage, CallGate, CallId, CallStatus, Code, EventBody, Failure, HistoryLimits, NoticeKind, StopReason,
    Timestamp, ToolCall, ToolCalls, ToolResult, ToolSettled, Turn, TurnCompleted, TurnId, UserMessage, Window,
};

/// A reaction while it is made.
pub(super) struct Draft<'a> {
    pub(super) now: Timestamp,
    pub(super) rules: &'a Rules,
    pub(super) changes: Changes,
    pub(super) effects: Vec<Effect>,
}

impl Session {
    /// Follows a command, at `now`.
    pub fn handle(&mut self, command: Command, now: Timestamp, rules: &Rules) -> Result<Reaction, Refusal> {
        let mut draft = Draft { now, rules, changes: Changes::default(), effects: Vec::new() };
        let reply = self.follow(command, &mut draft)?;
        self.advance(&mut draft);
        self.slide(&mut draft);
        Ok(Reaction { changes: draft.changes, effects: draft.effects, reply })
    }

    fn follow(&mut self, command: Command, draft: &mut Draft<'_>) -> Result<Reply, Refusal> {
        match command {
            Command::Submit(message) => return self.submit(message, draft),
            Command::Decide(answer) => self.decide(answer, draft)?,
            Command::OverBudget { call, failure } => self.over_budget(call.as_ref(), failure, draft),
            Command::AskBudget { question, call } => self.ask_budget(question, call.as_ref(), draft),
            Command::AnswerBudget(answer) => self.answer_budget(answer, draft)?,
            Command::Cancel => self.cancel(draft)?,
            Command::Reset => self.reset(draft),
            Command::End => self.end(draft),
            Command::Tick => {
                self.expire_questions(draft);
                self.expire_budget_question(draft);
                self.end_overlong(draft);
            }
            Command::Forbid(calls) => self.forbid(calls, draft),
            Command::ModelSaid(pieces) => self.model_said(pieces, draft),
            Command::ModelDone(outcome) => self.model_done(outcome, draft),
            Command::ModelFailed(failure) => self.model_failed(failure, draft),
            Command::StartCall(call) => self.start_call(&call, draft),
            Command::CallSettled { call, result } => self.call_settled(&call, result, draft),
            Command::ToolSeen { now, offered } => self.tool_seen(&now, offered.as_deref(), draft),
            Command::Trust(trusted) => self.trust(trusted, draft)?,
            Command::AskAgain(calls) => self.ask_again(&calls, draft),
            Command::Resume => self.resume(draft),
            Command::Expire { reason } => {
                if !self.is_busy() {
                    self.record(draft, None, EventBody::SessionExpired { reason });
                }
            }
            Command::Notify { kind, text } => {
                self.record(draft, None, EventBody::Notice { kind, text });
            }
        }
        Ok(Reply::Done)
    }

    /// Writes an event and accounts for it.
    pub(super) fn record(&mut self, draft: &mut Draft<'_>, turn: Option<TurnId>, body: EventBody) {
        let whole = self.apply(turn, draft.now, &body);
        draft.changes.events.push((turn, body));
        self.history.extend(whole.iter().cloned());
        draft.changes.append.extend(whole);
    }

    fn submit(&mut self, message: UserMessage, draft: &mut Draft<'_>) -> Result<Reply, Refusal> {
        let name = message.client_message_id.as_ref();
        let before = self.state.recent.iter().find(|(id, _)| Some(id) == name);
        if let Some((id, turn)) = before {
            let content = self.state.recent_content.iter().find(|(other, _)| other == id);
            if content.is_some_and(|(_, digest)| *digest != message.content_digest()) {
                let message = format!("clientMessageId {id} names another message; use a new one for each message");
                return Err(Refusal { code: Code::InvalidPayload, message });
            }
            return Ok(Reply::Accepted { turn: *turn, duplicate: true });
        }
        if self.turn.is_some() && self.queue.len() >= draft.rules.max_queued {
            let message = format!("{} messages are waiting already", self.queue.len());
            return Err(Refusal { code: Code::Busy, message });
        }
        let turn = self.state.turns.next();
        self.record(draft, Some(turn), EventBody::UserMessage { message });
        Ok(Reply::Accepted { turn, duplicate: false })
    }

    fn cancel(&mut self, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        if self.turn.is_none() {
            return Err(Refusal { code: Code::NothingRunning, message: "no turn is running".to_owned() });
        }
        self.cancel_turn(draft);
        Ok(())
    }

    fn cancel_turn(&mut self, draft: &mut Draft<'_>) {
        self.close_budget_question(false, None, draft);
        self.refuse_open_calls(draft);
        if self.asked.is_some() {
            draft.effects.push(Effect::StopModel);
        }
        self.complete(draft, StopReason::Cancelled);
    }

    fn cancel_all(&mut self, draft: &mut Draft<'_>) {
        if self.turn.is_some() {
            self.cancel_turn(draft);
        }
        while !self.queue.is_empty() {
            self.open_next();
            self.complete(draft, StopReason::Cancelled);
        }
    }

    fn reset(&mut self, draft: &mut Draft<'_>) {
        self.cancel_all(draft);
        let text = "The history is empty now.".to_owned();
        self.record(draft, None, EventBody::Notice { kind: NoticeKind::HistoryReset, text });
        self.history.clear();
        draft.changes.append.clear();
        draft.changes.clear = true;
    }

    fn end(&mut self, draft: &mut Draft<'_>) {
        self.cancel_all(draft);
        let text = "The session was ended. Its history is kept.".to_owned();
        self.record(draft, None, EventBody::Notice { kind: NoticeKind::SessionEnded, text });
    }

    /// The model is only heard while it is being asked: what comes after a stop is late.
    fn listening(&self) -> Option<(TurnId, u32, u32)> {
        self.asked
    }

    fn model_said(&mut self, pieces: Vec<Said>, draft: &mut Draft<'_>) {
        let Some((turn, step, attempt)) = self.listening() else { return };
        for piece in pieces {
            let body = match piece {
                Said::Text(text) => EventBody::Delta { step, attempt, text },
                Said::Reasoning(text) => EventBody::Reasoning { step, attempt, text },
            };
            self.record(draft, Some(turn), body);
        }
    }

    fn model_done(&mut self, outcome: ModelOutcome, draft: &mut Draft<'_>) {
        let Some((turn, step, _)) = self.listening() else { return };
        self.asked = None;
        let ended_properly = matches!(outcome.stop, StopReason::EndTurn | StopReason::StopSequence);
        if outcome.calls.is_empty() || !ended_properly {
            self.answer(turn, outcome, draft);
        } else {
            self.act(turn, step, outcome, draft);
        }
    }

    fn answer(&mut self, turn: TurnId, outcome: ModelOutcome, draft: &mut Draft<'_>) {
        let silent = outcome.text.trim().is_empty();
        let text = if silent { silence(outcome.stop).to_owned() } else { outcome.text };
        // Calls of an answer that did not end properly are dropped, so its replay, which holds them, is too.
        let replay = outcome.replay.filter(|_| outcome.calls.is_empty());
        let message = AssistantMessage { text, reasoning: outcome.reasoning, calls: Vec::new(), replay };
        self.record(draft, Some(turn), EventBody::Response { message, usage: outcome.usage });
        self.complete(draft, outcome.stop);
    }

    fn act(&mut self, turn: TurnId, step: u32, outcome: ModelOutcome, draft: &mut Draft<'_>) {
        let mut calls = Vec::with_capacity(outcome.calls.len());
        let mut gates = Vec::with_capacity(outcome.calls.len());
        let mut refused = Vec::new();
        let spent = self.turn.as_ref().and_then(|turn| spent(turn, step, outcome.usage, draft.rules));
        let before = self.turn.as_ref().map_or(0, Turn::tool_calls) as usize;
        let (per_step, per_turn) = (draft.rules.max_calls_per_step, draft.rules.max_calls_per_turn as usize);
        for (index, judged) in outcome.calls.into_iter().enumerate() {
            let judgement = if let Some(message) = spent.clone() {
                Judgement::Refuse { code: Code::TurnLimit, message }
            } else if before + index >= per_turn {
                let message = format!("the turn has had all of its {per_turn} calls (session.max_calls_per_turn)");
                Judgement::Refuse { code: Code::TurnLimit, message }
            } else if index >= per_step {
                let message = format!("only {per_step} calls are run in one step");
                Judgement::Refuse { code: Code::TooManyCalls, message }
            } else {
                judged.judgement
            };
            let call = ToolCall {
                id: CallId::minted(turn, step, index),
                provider_id: judged.provider_id,
                name: judged.name,
                server: judged.server,
                tool: judged.tool,
                args: judged.args,
            };
            let JudgedCall { annotations, fingerprint, pin, rule, always, scopes, granted, .. } = judged;
            let is_by_rule = matches!(judgement, Judgement::Run { .. }) && !granted;
            let ground = if is_by_rule { &self.ground.anywhere() } else { &self.ground };
            let digest = ground.digest(&call, &call.args, &fingerprint, None);
            let gate = |status, why| CallGate {
                status,
                why,
                annotations,
                fingerprint,
                rule: None,
                always: None,
                pin: None,
                scopes: Vec::new(),
                granted: false,
                digest: None,
            };
            gates.push(match judgement {
                Judgement::Run { why } => {
                    CallGate { rule, pin, granted, digest: Some(digest), ..gate(CallStatus::Allowed, why) }
                }
                Judgement::Ask { why } => {
                    CallGate { always, scopes, pin, digest: Some(digest), ..gate(CallStatus::Waiting, why) }
                }
                Judgement::Refuse { code, message } => {
                    let result = ToolResult::failed(code, message.clone());
                    refused.push(ToolSettled { call: call.id.clone(), tool: call.tool.clone(), result });
                    gate(CallStatus::Refused, message)
                }
            });
            calls.push(call);
        }
        let message =
            AssistantMessage { text: outcome.text, reasoning: outcome.reasoning, calls, replay: outcome.replay };
        let body = EventBody::ToolCalls(ToolCalls { step, message, gates, usage: outcome.usage });
        self.record(draft, Some(turn), body);
        for settled in refused {
            self.record(draft, Some(turn), EventBody::ToolSettled(settled));
        }
    }

    fn model_failed(&mut self, failure: Failure, draft: &mut Draft<'_>) {
        let Some((turn, ..)) = self.listening() else { return };
        self.record(draft, Some(turn), EventBody::Failure(failure));
        self.complete(draft, StopReason::Error);
    }

    /// Has a call sent, once it is written that it was. One that was cancelled meanwhile is not sent. One that was started
    /// before is sent to another place: the first one had lost it unsent.
    fn start_call(&mut self, call: &CallId, draft: &mut Draft<'_>) {
        let Some(turn) = &self.turn else { return };
        let Some(runs) = turn.let_through(call) else { return };
        if !turn.is_started(call) {
            let (id, server, tool) = (turn.id(), runs.server.clone(), runs.tool.clone());
            self.record(draft, Some(id), EventBody::ToolStarted { call: call.clone(), server, tool });
        }
        draft.effects.push(Effect::SendCall(runs));
    }

    /// A result that nobody waits for any more, because its call was cancelled, is dropped.
    pub(super) fn call_settled(&mut self, call: &CallId, result: ToolResult, draft: &mut Draft<'_>) {
        let Some((id, run)) = self.turn.as_ref().and_then(|turn| Some((turn.id(), turn.let_through(call)?))) else {
            return;
        };
        let settled = ToolSettled { call: call.clone(), tool: run.tool, result };
        self.record(draft, Some(id), EventBody::ToolSettled(settled));
    }

    pub(super) fn complete(&mut self, draft: &mut Draft<'_>, stop_reason: StopReason) {
        let Some(turn) = &self.turn else { return };
        let duration = draft.now.since(turn.opened_at());
        let completed = TurnCompleted {
            stop_reason,
            usage: turn.usage(),
            tool_calls: turn.tool_calls(),
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        };
        let id = turn.id();
        self.record(draft, Some(id), EventBody::TurnCompleted(completed));
    }

    /// Does what the state of the session calls for: opens the next turn, starts calls, asks the next question, asks
    /// the model.
    fn advance(&mut self, draft: &mut Draft<'_>) {
        if self.turn.is_none() {
            self.open_next();
        }
        let Some(turn) = self.turn.as_ref().filter(|turn| turn.budget_question().is_none()) else { return };
        let (id, step, attempt) = (turn.id(), turn.step(), turn.attempt());
        if !turn.is_acting() {
            if self.ends_at_a_limit(draft) {
                self.advance(draft);
            } else if self.asked.is_none() {
                self.asked = Some((id, step, attempt));
                draft.effects.push(Effect::CallModel { turn: id, step });
            }
            return;
        }
        for call in turn.ready() {
            if self.preparing.insert(call.id.clone()) {
                draft.effects.push(Effect::RunCall(call));
            }
        }
        let expires_at = draft.now.after(draft.rules.approval_ttl);
        if let Some(mut question) = self.turn.as_ref().and_then(|t| t.next_question(expires_at, &self.ground)) {
            // Another call of the step may have been denied since.
            question.always.take_if(|rule| self.state.denials.any_within(rule));
            self.record(draft, Some(id), EventBody::ApprovalRequired(question));
        }
        self.ask_anew(draft);
    }

    /// Keeps the history within its number of messages. How many tokens a model is shown is decided when it is asked.
    fn slide(&mut self, draft: &mut Draft<'_>) {
        let limits = HistoryLimits { max_tokens: usize::MAX, ..draft.rules.history };
        let dropped = Window::over(&self.history, limits).dropped();
        if !draft.changes.append.is_empty() && dropped > 0 {
            self.history.drain(..dropped);
            draft.changes.drop_front = dropped;
        }
    }
}

/// What people read when a model ends its turn without a word.
fn silence(stop: StopReason) -> &'static str {
    match stop {
        StopReason::MaxTokens => "(The answer reached its length limit before it had any text.)",
        StopReason::Refusal => "(The model refused to answer.)",
        StopReason::Safety => "(The provider's safety filter stopped the answer.)",
        StopReason::Unfinished => "(The provider stopped the answer before it was finished.)",
        _ => "(The model ended its turn without an answer.)",
    }
}
