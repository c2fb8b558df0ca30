//! Turns whose budget does not suffice: they end, or a human says whether they go on.

use super::{Session, command::Draft};
use crate::{
    BudgetAnswer, BudgetAnswered, BudgetAsked, CallId, Code, Effect, EventBody, Failure, Refusal, StopReason,
    ToolResult, Turn,
};

impl Session {
    /// Ends the turn for want of a budget. `call` is the one that was not run for it.
    pub(super) fn over_budget(&mut self, call: Option<&CallId>, failure: Failure, draft: &mut Draft<'_>) {
        if self.turn.is_none() {
            return;
        }
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

    /// Asks a human whether the turn may go on. Until somebody answers it begins nothing new.
    pub(super) fn ask_budget(&mut self, question: BudgetAsked, draft: &mut Draft<'_>) {
        let Some(turn) = self.turn.as_ref().filter(|turn| turn.budget_question().is_none()) else { return };
        let id = turn.id();
        // The model was not asked; it will be, once there is an answer.
        self.asked = None;
        self.record(draft, Some(id), EventBody::BudgetAsked(question));
    }

    pub(super) fn answer_budget(&mut self, answer: BudgetAnswer, draft: &mut Draft<'_>) -> Result<(), Refusal> {
        let asked = self.turn.as_ref().and_then(|turn| Some((turn.id(), *turn.budget_question()?)));
        let Some((id, question)) = asked else {
            let message = "no question about a budget is open".to_owned();
            return Err(Refusal { code: Code::AlreadyResolved, message });
        };
        let BudgetAnswer { go_on, by, via } = answer;
        self.record(draft, Some(id), EventBody::BudgetAnswered(BudgetAnswered { go_on, by: Some(by), via }));
        if !go_on {
            self.over_budget(None, ended(&question, "Somebody decided that this turn shall not go on."), draft);
        }
        Ok(())
    }

    /// Silence is a no.
    pub(super) fn expire_budget_question(&mut self, draft: &mut Draft<'_>) {
        let Some(turn) = &self.turn else { return };
        let Some(question) = turn.budget_question().copied().filter(|asked| asked.expires_at <= draft.now) else {
            return;
        };
        let answered = BudgetAnswered { go_on: false, by: None, via: crate::Via::default() };
        self.record(draft, Some(turn.id()), EventBody::BudgetAnswered(answered));
        self.over_budget(None, ended(&question, "Nobody said in time whether this turn may go on."), draft);
    }
}

fn ended(question: &BudgetAsked, why: &str) -> Failure {
    let BudgetAsked { taken, limit, .. } = question;
    Failure::new(Code::BudgetExceeded, format!("{why} Of its budget of {limit}, {taken} were spent or set aside."))
        .with_hint("Send a message to be asked again, or ask the operator for more.")
}
