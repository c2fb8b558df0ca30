use super::{Answer, Refusal, Session, command::Draft};
use crate::{
    ApprovalResolved, CallId, Code, Decision, Effect, EventBody, Failure, NoticeKind, Scope, StopReason, ToolCall,
    ToolResult, ToolSettled, Turn, TurnId, Via, turn::Undecidable,
};

impl Session {
    pub(super) fn decide(&mut self, answer: Answer, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let Answer { call, approved, scope, reason, args, by, via } = answer;
        let (turn, call) = self.decidable(&call)?;
        if scope == Scope::Always {
            let message = "approvals are for one call or for the session here".to_owned();
            return Err(Refusal { code: Code::ScopeUnavailable, message });
        }
        let reason = reason.map(|r| r.trim().to_owned()).filter(|r| !approved && !r.is_empty());
        let said = match &reason {
            Some(reason) => format!("The user denied this call: {reason}"),
            None => "The user denied this call.".to_owned(),
        };
        let resolved = ApprovalResolved {
            call: call.id.clone(),
            decision: if approved { Decision::Approved } else { Decision::Denied },
            by: Some(by),
            scope: if approved { scope } else { Scope::Once },
            reason,
            edited_args: args.filter(|args| approved && *args != call.args),
            via,
        };
        self.record(draft, Some(turn), EventBody::ApprovalResolved(resolved));
        if !approved {
            self.settle(draft, turn, call, ToolResult::failed(Code::Denied, said));
        }
        Ok(())
    }

    fn decidable(&self, id: &CallId) -> Result<(TurnId, ToolCall), Refusal> {
        let refuse = |why: Undecidable| match why {
            Undecidable::Resolved => (Code::AlreadyResolved, "this call was decided before; the first answer holds"),
            Undecidable::Expired => (Code::ApprovalExpired, "the time to decide this call is over; it was refused"),
            Undecidable::Unknown => (Code::UnknownCall, "no pending call has this id"),
        };
        let found = match &self.turn {
            Some(turn) => turn.decidable(id).map(|(call, _)| (turn.id(), call.clone())),
            None => match id.minted_for() {
                Some((turn, _)) if turn <= self.state.turns => Err(Undecidable::Resolved),
                _ => Err(Undecidable::Unknown),
            },
        };
        found.map_err(|why| {
            let (code, message) = refuse(why);
            Refusal { code, message: message.to_owned() }
        })
    }

    /// Gives a call its one result.
    fn settle(&mut self, draft: &mut Draft<'_>, turn: TurnId, call: ToolCall, result: ToolResult) {
        let settled = ToolSettled { call: call.id, tool: call.tool, result };
        self.record(draft, Some(turn), EventBody::ToolSettled(settled));
    }

    fn resolve(&mut self, draft: &mut Draft<'_>, turn: TurnId, call: &ToolCall, decision: Decision) {
        let resolved = ApprovalResolved {
            call: call.id.clone(),
            decision,
            by: None,
            scope: Scope::Once,
            reason: None,
            edited_args: None,
            via: Via::default(),
        };
        self.record(draft, Some(turn), EventBody::ApprovalResolved(resolved));
    }

    /// Refuses the calls whose time is over.
    pub(super) fn expire_questions(&mut self, draft: &mut Draft<'_>) {
        let Some(turn) = &self.turn else { return };
        let (id, overdue) = (turn.id(), turn.overdue(draft.now));
        for call in overdue {
            self.resolve(draft, id, &call, Decision::Expired);
            let said = "Nobody approved this call in time, so it was not run.";
            self.settle(draft, id, call, ToolResult::failed(Code::ApprovalExpired, said));
        }
    }

    /// Gives every open call of the turn a result, because the turn is cancelled.
    pub(super) fn refuse_open_calls(&mut self, draft: &mut Draft<'_>) {
        let Some(turn) = &self.turn else { return };
        let (id, open) = (turn.id(), turn.unsettled());
        for (call, waiting) in open {
            let said = if waiting {
                self.resolve(draft, id, &call, Decision::Cancelled);
                "The turn was cancelled before anyone approved this call; it was not run."
            } else {
                draft.effects.push(Effect::StopCall(call.id.clone()));
                "The turn was cancelled while this call ran; it may have had effects."
            };
            self.settle(draft, id, call, ToolResult::failed(Code::Cancelled, said));
        }
    }

    /// Takes up what another process left: calls that it had started have an unknown outcome and do not run again; the
    /// model is asked again.
    pub(super) fn resume(&mut self, draft: &mut Draft<'_>) {
        self.asked = None;
        let waiting = self.queue.front().map(|q| (q.turn, 0));
        let Some((id, resumes)) = self.turn.as_ref().map(|t| (t.id(), t.resumes())).or(waiting) else { return };
        if resumes >= draft.rules.max_resumes {
            if self.turn.is_none() {
                self.open_next();
            }
            self.refuse_open_calls(draft);
            let message = format!("The server was lost {} times during this turn.", resumes + 1);
            let failure = Failure::new(Code::TurnInterrupted, message).with_hint("Send the message again.");
            self.record(draft, Some(id), EventBody::Failure(failure));
            self.complete(draft, StopReason::Interrupted);
            return;
        }
        let text = "The server continues this turn after an interruption.".to_owned();
        self.record(draft, Some(id), EventBody::Notice { kind: NoticeKind::TurnResumed, text });
        let running = self.turn.iter().flat_map(Turn::running).collect::<Vec<_>>();
        for call in running {
            let said = "The server was lost while this call ran. It is not known whether it had its effect, and it was \
                        not run again.";
            self.settle(draft, id, call, ToolResult::failed(Code::OutcomeUnknown, said));
        }
    }
}
