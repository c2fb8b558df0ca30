//! Who answers: what clients want of it counts from the next turn on.

use super::{Actor, persist::Lost};
use crate::agent::{Agent, AgentFactory, Wish};
use lockkeeper_domain::{Changes, Command, Failure, NoticeKind, SessionRecord, TurnId};
use lockkeeper_ports::RecordChange;

/// Who answers in a session. Holds a key that a user brought, and goes with the actor.
pub(super) struct Choice {
    next: Agent,
    /// Who answers in the open turn, once it has asked.
    turn: Option<(TurnId, Agent)>,
    /// The model that a client named.
    model: Option<String>,
    own_key: bool,
}

impl Choice {
    /// The record knows that there was a user's key, and not which: it went with the actor before this one.
    pub(super) fn of(record: &SessionRecord, agents: &AgentFactory) -> Self {
        let model = record.model.as_deref();
        let next = if record.own_key { agents.of_user(model, None) } else { agents.of_server(model) };
        Self { next, turn: None, model: record.model.clone(), own_key: record.own_key }
    }

    /// Who answers from the next turn on.
    pub(super) fn next(&self) -> &Agent {
        &self.next
    }

    /// Why the next turn would get no answer.
    pub(super) fn possible(&self) -> Result<(), Failure> {
        self.next.provider.as_ref().map(drop).map_err(Clone::clone)
    }

    /// Who answers in this turn: whoever did at its beginning. A turn that has lost its key takes the one that came since.
    pub(super) fn of_turn(&mut self, turn: TurnId) -> Agent {
        match &self.turn {
            Some((of, agent)) if *of == turn && agent.provider.is_ok() => agent.clone(),
            _ => {
                self.turn = Some((turn, self.next.clone()));
                self.next.clone()
            }
        }
    }

    pub(super) fn turn_is_over(&mut self) {
        self.turn = None;
    }

    /// Takes what is new in a wish; says what the record must say of it.
    fn take(&mut self, wish: Wish, agents: &AgentFactory) -> RecordChange {
        let Wish { model, key } = wish;
        let model = model.filter(|model| Some(model) != self.model.as_ref());
        if let Some(model) = &model {
            self.model = Some(model.clone());
            self.next.model.clone_from(model);
        }
        let own_key = (key.is_some() && !self.own_key).then_some(true);
        if let Some(key) = key {
            self.own_key = true;
            self.next = agents.of_user(self.model.as_deref(), Some(key));
        }
        RecordChange { model, own_key, ..RecordChange::default() }
    }
}

impl Actor {
    /// Takes what an attaching client wants: another model, a key of its own. The last one who wants something has it.
    pub(super) async fn take_wish(&mut self, wish: Wish) -> Result<(), Lost> {
        let before = self.choice.next.model.clone();
        let record = self.choice.take(wish, &self.shared.ports.agents);
        let model = self.choice.next.model.clone();
        if model == before {
            return self.persist(Changes::default(), record).await;
        }
        let text = format!("The model is {model} from the next turn on.");
        let notice = Command::Notify { kind: NoticeKind::ModelChanged, text };
        if let Ok(reaction) = self.session.handle(notice, self.shared.now(), &self.shared.rules) {
            self.carry_out(reaction, record).await?;
        }
        self.readiness.send_if_modified(|readiness| match readiness {
            Some(Ok(ready)) => std::mem::replace(&mut ready.model, model.clone()) != model,
            _ => false,
        });
        Ok(())
    }
}
