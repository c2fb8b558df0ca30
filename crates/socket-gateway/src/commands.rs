use crate::{
    Config,
    handshake::Since,
    intake::Taken,
    pass::Pass,
    wire::{
        Answer, ApprovalCommand, Arguments, DeleteCommand, HistoryCommand, ListCommand, Malformed, MessageCommand,
        ReadCommand, RefreshCommand, RenameCommand, Role, SessionEntry, SessionsCommand, Time, is_shallow, page,
    },
};
use lockkeeper_domain::{Code, Failure, SessionId};
use lockkeeper_orchestrator::{NewMessage, SessionManager};
use lockkeeper_ports::Principal;
use serde_json::Value;
use std::sync::Arc;

/// Linux takes no longer path.
const MAX_PATH_BYTES: usize = 4_096;

/// Who is connected, to what, and what it may do.
pub(crate) struct Desk {
    pub(crate) manager: Arc<SessionManager>,
    pub(crate) config: Arc<Config>,
    pub(crate) session: SessionId,
    pub(crate) pass: Pass,
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
        if event == "auth:refresh" {
            let expires_at = self.pass.refresh(RefreshCommand::parse(payload)?.token).await?;
            return Ok(Answer::Refreshed { expires_at: expires_at.map(Time) });
        }
        let by = &self.pass.check()?;
        match (&*event, self.role) {
            ("history:get", _) => return self.history(payload, by).await,
            ("session:list", _) => return self.sessions(payload, by).await,
            ("workspace:list", _) => return self.list_files(payload, by).await,
            ("workspace:read", _) => return self.read_file(payload, by).await,
            (
                "message" | "turn:cancel" | "history:reset" | "session:end" | "session:rename" | "session:delete",
                Role::Driver,
            )
            | ("tool:approval", Role::Driver | Role::Approver) => {}
            (
                "message" | "turn:cancel" | "history:reset" | "session:end" | "session:rename" | "session:delete"
                | "tool:approval",
                role,
            ) => {
                return Err(Failure::new(Code::Forbidden, beyond(role)));
            }
            _ => return Err(Malformed("There is no such event.").into()),
        }
        let (manager, session) = (&self.manager, &self.session);
        match &*event {
            "message" => return self.message(payload, by).await,
            "tool:approval" => self.approval(payload, by).await,
            "turn:cancel" => manager.cancel(session, by).await,
            "history:reset" => manager.reset(session, by).await,
            "session:rename" => {
                let RenameCommand { session_id, title } = RenameCommand::parse(payload)?;
                manager.rename(&session_id, by, &title).await
            }
            "session:delete" => manager.delete(&DeleteCommand::parse(payload)?.session_id, by).await,
            _ => manager.end(session, by).await,
        }?;
        Ok(Answer::Done)
    }

    async fn sessions(&self, payload: Option<Value>, by: &Principal) -> Result<Answer, Failure> {
        let most = self.config.max_listed_sessions;
        let limit = SessionsCommand::parse(payload)?.limit.unwrap_or(most).clamp(1, most);
        let records = self.manager.list(by, limit).await?;
        let entry = |record| {
            let model = self.manager.model_of(&record);
            SessionEntry::new(record, model)
        };
        Ok(Answer::Sessions { sessions: records.into_iter().map(entry).collect() })
    }

    fn read(&self, arguments: &str) -> Result<Arguments, Failure> {
        if !is_shallow(arguments, self.config.max_json_depth) {
            return Err(Malformed("The payload is nested too deeply.").into());
        }
        serde_json::from_str(arguments).map_err(|_| Malformed("The payload cannot be read as JSON.").into())
    }

    async fn message(&self, payload: Option<Value>, by: &Principal) -> Result<Answer, Failure> {
        let MessageCommand { text, attachments, client_message_id } = MessageCommand::parse(payload)?;
        fits("The message", text.len(), self.config.max_message_bytes)?;
        let message = NewMessage { text, attachments, client_message_id };
        let accepted = self.manager.submit(&self.session, by, message).await?;
        Ok(Answer::Accepted { turn: accepted.turn, duplicate: accepted.duplicate })
    }

    async fn approval(&self, payload: Option<Value>, by: &Principal) -> Result<(), Failure> {
        let ApprovalCommand { call_id, approved, args, scope, reason } = ApprovalCommand::parse(payload)?;
        fits("The reason", reason.as_ref().map_or(0, String::len), self.config.max_reason_bytes)?;
        self.manager.decide(&self.session, by, call_id, approved, scope, reason, args).await
    }

    async fn history(&self, payload: Option<Value>, by: &Principal) -> Result<Answer, Failure> {
        let HistoryCommand { before, limit } = HistoryCommand::parse(payload)?;
        let most = self.config.max_history_page;
        let limit = limit.unwrap_or(most).clamp(1, most);
        let (messages, before) = page(self.manager.history(&self.session, by, before, limit).await?);
        Ok(Answer::History { messages, before })
    }

    async fn list_files(&self, payload: Option<Value>, by: &Principal) -> Result<Answer, Failure> {
        let ListCommand { path } = ListCommand::parse(payload)?;
        fits("The path", path.len(), MAX_PATH_BYTES)?;
        self.manager.list_files(&self.session, by, path).await.map(Answer::Directory)
    }

    async fn read_file(&self, payload: Option<Value>, by: &Principal) -> Result<Answer, Failure> {
        let ReadCommand { path, offset, limit } = ReadCommand::parse(payload)?;
        fits("The path", path.len(), MAX_PATH_BYTES)?;
        self.manager.read_file(&self.session, by, path, offset, limit).await.map(Answer::File)
    }
}

/// Why a role does not do more.
fn beyond(role: Role) -> &'static str {
    match role {
        Role::Approver => "You connected as an approver: you see all, decide calls, and change nothing else.",
        Role::Observer | Role::Driver => "You are an observer of this session: you see all and change nothing.",
    }
}

fn fits(what: &str, size: usize, most: usize) -> Result<(), Failure> {
    if size <= most {
        return Ok(());
    }
    Err(Failure::new(Code::TooLarge, format!("{what} has {size} bytes and may have at most {most}.")))
}
