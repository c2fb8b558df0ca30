use super::{Actor, persist::Lost};
use lockkeeper_domain::{Code, Command, Effect, Reaction, Refusal, ToolResult};
use lockkeeper_ports::RecordChange;

impl Actor {
    /// Follows a command that cannot be refused, or whose refusal means that it came too late.
    pub(super) async fn follow(&mut self, command: Command) -> Result<(), Lost> {
        match self.session.handle(command, self.shared.now(), &self.shared.rules) {
            Ok(reaction) => self.carry_out(reaction, RecordChange::default()).await,
            Err(refusal) => {
                came_too_late(&refusal);
                Ok(())
            }
        }
    }

    /// Writes, then acts: nothing happens that is not in the log before.
    pub(super) async fn carry_out(&mut self, reaction: Reaction, record: RecordChange) -> Result<(), Lost> {
        self.persist(reaction.changes, record).await?;
        self.act(reaction.effects).await
    }

    /// Carries out what was written. No call runs under a lease that may be another owner's by now.
    pub(super) async fn act(&mut self, effects: Vec<Effect>) -> Result<(), Lost> {
        if effects.iter().any(|effect| matches!(effect, Effect::SendCall(_))) {
            self.sure_of_lease().await?;
        }
        self.perform_all(effects);
        Ok(())
    }

    /// Carries out what was written, but for calls: who approved them was told that this failed.
    pub(super) fn withdraw(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::RunCall(call) => {
                    let said = "The approval could not be stored in time; the call was not run.";
                    self.calls.settle(call, ToolResult::failed(Code::StoreUnavailable, said));
                }
                effect => self.perform(effect),
            }
        }
    }

    fn perform_all(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.perform(effect);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::CallModel { turn, step } => self.ask_model(turn, step),
            Effect::StopModel => {
                self.model = None;
                self.model_wanted = None;
            }
            Effect::RunCall(call) => self.run_call(call),
            Effect::SendCall(call) => self.send_call(call),
            Effect::StopCall(call) => {
                self.calls_wanted.retain(|wanted| wanted.id != call);
                self.calls.cancel(&call);
            }
        }
    }
}

pub(super) fn came_too_late(refusal: &Refusal) {
    tracing::debug!(code = %refusal.code, "a command came too late");
}
