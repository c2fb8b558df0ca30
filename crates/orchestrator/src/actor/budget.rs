use super::{Actor, persist::Lost};
use crate::{
    manager::new_question_id,
    purse::{Errand, OnExceeded, OverBudget},
};
use lockkeeper_domain::{Command, ToolCall, Turn};

impl Actor {
    /// On whose budget this session's work goes.
    pub(super) fn errand(&self) -> Errand {
        let waived = self.session.turn().is_some_and(Turn::is_waived);
        Errand { session: self.id.clone(), owner: self.owner.clone(), epoch: self.epoch, waived }
    }

    /// Something was not done because the budget does not suffice: a call, or else the model was not asked.
    pub(super) async fn over_budget(&mut self, over: OverBudget, call: Option<ToolCall>) -> Result<(), Lost> {
        // One of a turn that ended meanwhile says nothing of this one.
        let is_late = |call: &ToolCall| self.session.turn().is_none_or(|turn| turn.running_call(&call.id).is_none());
        if call.as_ref().is_some_and(is_late) {
            return Ok(());
        }
        match self.shared.purse.on_exceeded() {
            OnExceeded::Stop => {
                let (call, failure) = (call.map(|call| call.id), over.failure());
                self.follow(Command::OverBudget { call, failure }).await
            }
            OnExceeded::Ask => {
                self.calls_held.extend(call);
                let expires_at = self.shared.now().after(self.shared.rules.approval_ttl);
                let question = match new_question_id() {
                    Ok(id) => Command::AskBudget(over.question(id, expires_at)),
                    Err(failure) => Command::OverBudget { call: None, failure },
                };
                self.follow(question).await?;
                // Somebody may have answered while it was on its way.
                self.run_held_calls();
                Ok(())
            }
        }
    }

    /// Runs what was held back, once the turn may go on.
    pub(super) fn run_held_calls(&mut self) {
        let Some(turn) = self.session.turn() else { return self.calls_held.clear() };
        if turn.budget_question().is_none() {
            for call in std::mem::take(&mut self.calls_held) {
                self.run_call(call);
            }
        }
    }
}
