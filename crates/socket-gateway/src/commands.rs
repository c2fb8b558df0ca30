use crate::{
    Config,
    handshake::Since,
    intake::Taken,
    wire::{Answer, ApprovalCommand, Arguments, HistoryCommand, Malformed, MessageCommand, Role, is_shallow, page},
};
use lockkeeper_domain::{Code, Failure, SessionId};
use lockkeeper_orchestrator::{NewMessage, SessionManager};
use lockkeeper_ports::Principal;
use serde_json::Value;
use std::sync::Arc;

/// Who is connected, to what, and what it may do.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) manager: Arc<SessionManager>,
    pub(crate) config: Arc<Config>,
    pub(crate) session: SessionId,
    pub(crate) principal: Principal,
    pub(crate) role: Role,
    pub(crate) since: Since,
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::new(Code::InvalidPayload, malformed.to_string())
    }
}

impl Desk {
    /// Does what an event asks for.
    pub(crate) async fn handle(&self, taken: &Taken) -> Result<Answer, Failure> {
        let Arguments { event, payload } = self.read(&taken.arguments)?;
        match &*event {
            "history:get" => return self.history(payload).await,
            "message" | "tool:approval" | "turn:cancel" | "history:reset" | "session:end" => {}
            _ => return Err(Malformed("There is no such event.").into()),
        }
        if self.role == Role::Observer {
            return Err(Failure::new(
                Code::Forbidden,
                "You are an observer of this session: you see all and change nothing.",
            ));
        }
        let (manager, session, by) = (&self.manager, &self.session, &self.principal);
        match &*event {
            "message" => return self.message(payload).await,
            "tool:approval" => self.approval(payload).await,
            "turn:cancel" => manager.cancel(session, by).await,
            "history:reset" => manager.reset(session, by).await,
            _ => manager.end(session, by).await,
        }?;
        Ok(Answer::Done)
    }

    fn read(&self, arguments: &str) -> Result<Arguments, Failure> {
        if !is_shallow(arguments, self.config.max_json_depth) {
            return Err(Malformed("The payload is nested too deeply.").into());
        }
        serde_json::from_str(arguments).map_err(|_| Malformed("The payload cannot be read as JSON.").into())
    }

    async fn message(&self, payload: Option<Value>) -> Result<Answer, Failure> {
        let MessageCommand { text, attachments, client_message_id } = MessageCommand::parse(payload)?;
        fits("The message", text.len(), self.config.max_message_bytes)?;
        let message = NewMessage { text, attachments, client_message_id };
        let accepted = self.manager.submit(&self.session, &self.principal, message).await?;
        Ok(Answer::Accepted { turn: accepted.turn, duplicate: accepted.duplicate })
    }

    async fn approval(&self, payload: Option<Value>) -> Result<(), Failure> {
        let ApprovalCommand { call_id, approved, args, scope, reason } = ApprovalCommand::parse(payload)?;
        fits("The reason", reason.as_ref().map_or(0, String::len), self.config.max_reason_bytes)?;
        self.manager.decide(&self.session, &self.principal, call_id, approved, scope, reason, args).await
    }

    async fn history(&self, payload: Option<Value>) -> Result<Answer, Failure> {
        let HistoryCommand { before, limit } = HistoryCommand::parse(payload)?;
        let most = self.config.max_history_page;
        let limit = limit.unwrap_or(most).clamp(1, most);
        let (messages, before) = page(self.manager.history(&self.session, &self.principal, before, limit).await?);
        Ok(Answer::History { messages, before })
    }
}

fn fits(what: &str, size: usize, most: usize) -> Result<(), Failure> {
    if size <= most {
        return Ok(());
    }
    Err(Failure::new(Code::TooLarge, format!("{what} has {size} bytes and may have at most {most}.")))
}
