use super::{Answer, Refusal, Rules, Session, command::Draft};
use crate::{
    ApprovalResolved, Asked, CallId, Code, Decision, Digest, Effect, EventBody, Failure, GrantScope, NoticeKind, Rule,
    Scope, StopReason, ToolCall, ToolResult, ToolSettled, TurnId, Via,
    turn::{Stage, Undecidable},
};

impl Session {
    pub(super) fn decide(&mut self, answer: Answer, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let grant = self.grant_of(&answer)?;
        let Answer { call, approved, scope, reason, args, digest, by, via, rule, constraints: _, grant: _ } = answer;
        let (turn, call) = self.decidable(&call)?;
        self.is_to_the_question(&call.id, digest, draft.rules.require_digest)?;
        if approved && scope == Scope::Always && rule.is_none() {
            return Err(not_offered("the rule for it was not stored"));
        }
        let reason = reason.map(|r| r.trim().to_owned()).filter(|r| !approved && !r.is_empty());
        let said = match &reason {
            Some(reason) => format!("The user denied this call: {reason}"),
            None => "The user denied this call.".to_owned(),
        };
        let edited_args = args.filter(|args| approved && *args != call.args);
        let runs = edited_args.as_ref().unwrap_or(&call.args);
        let digest = self.turn.as_ref().and_then(|turn| turn.digest(&call.id, runs, &self.ground));
        let resolved = ApprovalResolved {
            call: call.id.clone(),
            decision: if approved { Decision::Approved } else { Decision::Denied },
            by: Some(by),
            scope: if approved { scope } else { Scope::Once },
            reason,
            edited_args,
            digest,
            via,
            rule: rule.filter(|_| approved && scope == Scope::Always),
            grant,
            workspace: self.ground.workspace.clone().filter(|_| approved),
        };
        self.record(draft, Some(turn), EventBody::ApprovalResolved(resolved));
        if !approved {
            self.settle(draft, turn, call, ToolResult::failed(Code::Denied, said));
        }
        Ok(())
    }

    /// The rule that must be stored before this answer is followed; `None` where it is not for always. It covers the call as it
    /// will run, and none that a human denied in this session.
    pub fn rule_to_store(&self, answer: &Answer) -> Result<Option<Rule>, Refusal> {
        if !answer.approved || answer.scope != Scope::Always {
            return Ok(None);
        }
        self.decidable(&answer.call)?;
        let open = self.open_calls().into_iter().find(|open| open.call.id == answer.call);
        let Some((args, offered)) = open.and_then(|open| Some((open.args, open.gate.always.clone()?))) else {
            return Err(not_offered("this call can be approved once or for the session, and not for always"));
        };
        let rule = Rule { args: answer.constraints.clone(), ..offered };
        if let Some(problem) = rule.problem() {
            return Err(Refusal { code: Code::InvalidPayload, message: format!("the rule {problem}") });
        }
        if !rule.fits_args(answer.args.as_ref().unwrap_or(args)) {
            let message = "the constraints do not cover the call that is approved".to_owned();
            return Err(Refusal { code: Code::InvalidPayload, message });
        }
        if self.denials().any_within(&rule) {
            return Err(not_offered("the rule would cover a call that was denied in this session"));
        }
        Ok(Some(rule))
    }

    /// Which calls an approval for the session covers; `None` for any other answer. It must be one of the scopes that are
    /// offered for the call as it will run.
    fn grant_of(&self, answer: &Answer) -> Result<Option<GrantScope>, Refusal> {
        if !answer.approved || answer.scope != Scope::Session {
            return Ok(None);
        }
        let (_, call) = self.decidable(&answer.call)?;
        let scope = answer.grant.clone().unwrap_or_default();
        let open = self.open_calls().into_iter().find(|open| open.call.id == answer.call);
        let offered = open.filter(|open| !open.gate.scopes.is_empty()).and_then(|open| {
            let asked = Asked::again(open.call, open.gate, &self.ground.user)?;
            Some(GrantScope::offered(Asked { args: answer.args.as_ref().unwrap_or(&call.args), ..asked }))
        });
        match offered {
            Some(offered) if offered.contains(&scope) => Ok(Some(scope)),
            Some(offered) if !offered.is_empty() => {
                Err(not_offered("this scope is not offered for the call: name one of the question's sessionScopes"))
            }
            _ => Err(not_offered("this call can be approved once, and not for the session")),
        }
    }

    /// Refuses an answer that is not to the question that is being asked, before anything is stored for it.
    pub fn check_answer(&self, answer: &Answer, rules: &Rules) -> Result<(), Refusal> {
        self.decidable(&answer.call)?;
        self.is_to_the_question(&answer.call, answer.digest, rules.require_digest)
    }

    /// Refuses an answer to another question than the one that is being asked, and to one that does not hold any more. The
    /// call waits on.
    fn is_to_the_question(&self, call: &CallId, shown: Option<Digest>, required: bool) -> Result<(), Refusal> {
        let refuse = |message: &str| Err(Refusal { code: Code::ApprovalMismatch, message: message.to_owned() });
        let asked = self.turn.as_ref().and_then(|turn| turn.asked().find(|asked| asked.call.id == *call));
        if asked.as_ref().is_some_and(|asked| !asked.holds_on(&self.ground)) {
            return refuse("what the question was about has changed; it is asked anew");
        }
        let Some(shown) = shown else {
            return if required {
                refuse("an answer must give the digest of the question that it is to")
            } else {
                Ok(())
            };
        };
        // The call was listed with a digest before its question was asked; that one binds all but the time to answer.
        let listed = self.turn.as_ref().and_then(|turn| turn.listed_digest(call, &self.ground));
        let known = [asked.and_then(|asked| asked.digest), listed];
        if known.into_iter().flatten().any(|known| shown.matches(&known)) {
            return Ok(());
        }
        refuse("this is an answer to another question: the digest is not that of the call as it waits")
    }

    /// Voids approvals of calls that were not sent anywhere before their workspace was lost. They wait for a human again.
    pub(super) fn ask_again(&mut self, calls: &[CallId], draft: &mut Draft<'_>) {
        for id in calls {
            let Some(turn) = self.turn.as_ref().filter(|turn| turn.let_through(id).is_some()) else { continue };
            let (turn, call) = (turn.id(), id.clone());
            let why = "the workspace was lost after this call was approved, and a new one is in its place";
            let resolved = ApprovalResolved { reason: Some(why.to_owned()), ..void(call) };
            self.record(draft, Some(turn), EventBody::ApprovalResolved(resolved));
        }
    }

    /// Asks anew what does not hold any more: the ground has changed since, or the stored question is not what was written.
    pub(super) fn ask_anew(&mut self, draft: &mut Draft<'_>) {
        let expires_at = draft.now.after(draft.rules.approval_ttl);
        let Some(turn) = &self.turn else { return };
        let stale = turn.asked().find(|asked| !asked.holds_on(&self.ground)).map(|asked| asked.call.id.clone());
        let question = stale.and_then(|call| turn.question(&call, expires_at, &self.ground));
        let id = turn.id();
        if let Some(question) = question {
            self.record(draft, Some(id), EventBody::ApprovalRequired(question));
        }
    }

    fn decidable(&self, id: &CallId) -> Result<(TurnId, ToolCall), Refusal> {
        let refuse = |why: Undecidable| match why {
            Undecidable::Resolved => (Code::AlreadyResolved, "this call was decided before; the first answer holds"),
            Undecidable::Expired => (Code::ApprovalExpired, "the time to decide this call is over; it was refused"),
            Undecidable::Unknown => (Code::UnknownCall, "no pending call has this id"),
        };
        let found = match &self.turn {
            Some(turn) => turn.decidable(id).map(|call| (turn.id(), call)),
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
    pub(super) fn settle(&mut self, draft: &mut Draft<'_>, turn: TurnId, call: ToolCall, result: ToolResult) {
        let settled = ToolSettled { call: call.id, tool: call.tool, result };
        self.record(draft, Some(turn), EventBody::ToolSettled(settled));
    }

    pub(super) fn resolve(&mut self, draft: &mut Draft<'_>, turn: TurnId, call: &ToolCall, decision: Decision) {
        let resolved = ApprovalResolved { decision, ..void(call.id.clone()) };
        self.record(draft, Some(turn), EventBody::ApprovalResolved(resolved));
    }

    /// Refuses calls that wait and that a rule denies by now. One that was decided meanwhile stays as it is.
    pub(super) fn forbid(&mut self, calls: Vec<(CallId, String)>, draft: &mut Draft<'_>) {
        for (id, said) in calls {
            let Ok((turn, call)) = self.decidable(&id) else { continue };
            let resolved = ApprovalResolved { decision: Decision::Denied, reason: Some(said.clone()), ..void(id) };
            self.record(draft, Some(turn), EventBody::ApprovalResolved(resolved));
            self.settle(draft, turn, call, ToolResult::failed(Code::Denied, said));
        }
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
        self.settle_open_calls(draft, Code::Cancelled, "the turn was cancelled");
    }

    /// Gives every open call of the turn a result, because the turn ends.
    pub(super) fn settle_open_calls(&mut self, draft: &mut Draft<'_>, code: Code, why: &str) {
        let Some(turn) = &self.turn else { return };
        let (id, open) = (turn.id(), turn.unsettled());
        for (call, stage) in open {
            if stage != Stage::Waiting {
                draft.effects.push(Effect::StopCall(call.id.clone()));
            }
            let said = match stage {
                Stage::Waiting => {
                    self.resolve(draft, id, &call, Decision::Cancelled);
                    format!("Before anyone approved this call, {why}; it was not run.")
                }
                Stage::LetThrough => format!("Before this call was sent, {why}; it was not run."),
                Stage::Started => format!("While this call ran, {why}; it may have had effects."),
            };
            self.settle(draft, id, call, ToolResult::failed(code, said));
        }
    }

    /// Takes up what another process left: calls that it had started have an unknown outcome and do not run again; those that
    /// it had not sent run now; the model is asked again.
    pub(super) fn resume(&mut self, draft: &mut Draft<'_>) {
        self.asked = None;
        let waiting = self.queue.front().map(|q| (q.turn, 0));
        let Some((id, resumes)) = self.turn.as_ref().map(|t| (t.id(), t.resumes())).or(waiting) else { return };
        if resumes >= draft.rules.max_resumes {
            if self.turn.is_none() {
                self.open_next();
            }
            self.close_budget_question(false, None, draft);
            self.settle_lost_calls(draft);
            self.refuse_open_calls(draft);
            let message = format!("The server was lost {} times during this turn.", resumes + 1);
            let failure = Failure::new(Code::TurnInterrupted, message).with_hint("Send the message again.");
            self.record(draft, Some(id), EventBody::Failure(failure));
            self.complete(draft, StopReason::Interrupted);
            return;
        }
        let text = "The server continues this turn after an interruption.".to_owned();
        self.record(draft, Some(id), EventBody::Notice { kind: NoticeKind::TurnResumed, text });
        self.settle_lost_calls(draft);
    }

    /// Calls that were started by an owner that is gone: nobody knows what became of them.
    fn settle_lost_calls(&mut self, draft: &mut Draft<'_>) {
        let Some(turn) = &self.turn else { return };
        let (id, started) = (turn.id(), turn.started());
        for call in started {
            let said = "The server was lost while this call ran. It is not known whether it had its effect, and it was \
                        not run again.";
            self.settle(draft, id, call, ToolResult::failed(Code::OutcomeUnknown, said));
        }
    }
}

/// The end of a question that no human decided.
fn void(call: CallId) -> ApprovalResolved {
    ApprovalResolved {
        call,
        decision: Decision::Void,
        by: None,
        scope: Scope::Once,
        reason: None,
        edited_args: None,
        digest: None,
        via: Via::default(),
        rule: None,
        grant: None,
        workspace: None,
    }
}

fn not_offered(message: &str) -> Refusal {
    Refusal { code: Code::ScopeUnavailable, message: message.to_owned() }
}
