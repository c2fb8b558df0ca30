//! Turns whose budget does not suffice: they end, or a human says whether they go on.

use super::{Session, command::Draft};
use crate::{
    BudgetAnswer, BudgetAnswered, BudgetAsked, CallId, Code, Effect, EventBody, Failure, PrincipalId, Refusal,
    StopReason, ToolResult, Turn, Via,
};

impl Session {
    /// Ends the turn for want of a budget. `call` is the one that was not run for it.
    pub(super) fn over_budget(&mut self, call: Option<&CallId>, failure: Failure, draft: &mut Draft<'_>) {
        if self.turn.is_none() {
            return;
        }
        self.close_budget_question(false, None, draft);
        if let Some(call) = call {
            let said = format!("{} The call was not run.", failure.message);
            self.call_settled(call, ToolResult::failed(Code::BudgetExceeded, said), draft);
        }
        self.refuse_open_calls(draft);
        if self.asked.take().is_some() {
            draft.effects.push(Effect::StopModel);
        }
        let Some(id) = self.turn.as_ref().map(Turn::id) else { return };
        self.record(draft, Some(id), EventBody::Failure(failure));
        self.complete(draft, StopReason::Error);
    }

    /// Asks a human whether the turn may go on. Until somebody answers it begins nothing new, and `call` waits unsent.
    pub(super) fn ask_budget(&mut self, question: BudgetAsked, call: Option<&CallId>, draft: &mut Draft<'_>) {
        if let Some(call) = call {
            self.preparing.remove(call);
            // One that was cancelled asks for nothing.
            if self.turn.as_ref().is_none_or(|turn| turn.let_through(call).is_none()) {
                return;
            }
        }
        let Some(turn) = self.turn.as_ref().filter(|turn| turn.budget_question().is_none()) else { return };
        let (id, is_waived) = (turn.id(), turn.is_waived());
        // The model was not asked; it will be, once there is an answer.
        self.asked = None;
        // The answer came while the budget refused something else.
        if is_waived {
            return;
        }
        self.record(draft, Some(id), EventBody::BudgetAsked(question));
    }

    /// Takes an answer to the question that is open, and to no other: what a human said of one turn pays for no other.
    pub(super) fn answer_budget(&mut self, answer: BudgetAnswer, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let refuse = |code, message: &str| Err(Refusal { code, message: message.to_owned() });
        let Some(asked) = self.turn.as_ref().and_then(Turn::budget_question) else {
            return refuse(Code::AlreadyResolved, "no question about a budget is open");
        };
        match (&answer.question, &asked.question) {
            (None, Some(_)) => {
                return refuse(Code::ApprovalMismatch, "an answer about a budget must name the question that it is to");
            }
            (Some(_), named) if answer.question != *named => {
                return refuse(
                    Code::AlreadyResolved,
                    "this question about a budget is closed, and another one is open",
                );
            }
            _ => {}
        }
        let BudgetAnswer { go_on, by, via, question: _ } = answer;
        let closed = self.close_budget_question(go_on, Some((by, via)), draft);
        if let Some(question) = closed.filter(|_| !go_on) {
            self.over_budget(None, ended(&question, "Somebody decided that this turn shall not go on."), draft);
        }
        Ok(())
    }

    /// Silence is a no.
    pub(super) fn expire_budget_question(&mut self, draft: &mut Draft<'_>) {
        let open = self.turn.as_ref().and_then(Turn::budget_question);
        if open.is_none_or(|asked| asked.expires_at > draft.now) {
            return;
        }
        if let Some(question) = self.close_budget_question(false, None, draft) {
            self.over_budget(None, ended(&question, "Nobody said in time whether this turn may go on."), draft);
        }
    }

    /// Writes what became of the open question, if there is one, and returns it.
    pub(super) fn close_budget_question(
        &mut self,
        go_on: bool,
        by: Option<(PrincipalId, Via)>,
        draft: &mut Draft<'_>,
    ) -> Option<BudgetAsked> {
        let turn = self.turn.as_ref()?;
        let (id, asked) = (turn.id(), turn.budget_question()?.clone());
        let (by, via) = by.unzip();
        let answered = BudgetAnswered { question: asked.question.clone(), go_on, by, via: via.unwrap_or_default() };
        self.record(draft, Some(id), EventBody::BudgetAnswered(answered));
        Some(asked)
    }
}

fn ended(question: &BudgetAsked, why: &str) -> Failure {
    let BudgetAsked { taken, limit, .. } = question;
    Failure::new(Code::BudgetExceeded, format!("{why} Of its budget of {limit}, {taken} were spent or set aside."))
        .with_hint("Send a message to be asked again, or ask the operator for more.")
}
