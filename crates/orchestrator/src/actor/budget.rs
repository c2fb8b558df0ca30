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
        let call = call.map(|call| call.id);
        // One of a turn that ended meanwhile says nothing of this one.
        let is_late = |call| self.session.turn().is_none_or(|turn| turn.let_through(call).is_none());
        if call.as_ref().is_some_and(is_late) {
            return Ok(());
        }
        let stop = |call, failure| Command::OverBudget { call, failure };
        let command = match self.shared.purse.on_exceeded() {
            OnExceeded::Stop => stop(call, over.failure()),
            OnExceeded::Ask => match new_question_id() {
                Ok(id) => {
                    let expires_at = self.shared.now().after(self.shared.rules.approval_ttl);
                    Command::AskBudget { question: over.question(id, expires_at), call }
                }
                Err(failure) => stop(call, failure),
            },
        };
        self.follow(command).await
    }
}
