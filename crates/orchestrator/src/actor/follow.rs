use super::{Actor, persist::Lost};
use lockkeeper_domain::{Command, Effect, Reaction, Refusal};
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
        self.perform_all(reaction.effects);
        Ok(())
    }

    pub(super) fn perform_all(&mut self, effects: Vec<Effect>) {
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
            Effect::StopCall(call) => {
                self.calls_wanted.retain(|wanted| wanted.id != call);
                self.calls_held.retain(|held| held.id != call);
                self.calls.cancel(&call);
            }
        }
    }
}

pub(super) fn came_too_late(refusal: &Refusal) {
    tracing::debug!(code = %refusal.code, "a command came too late");
}
