use crate::{
    Config,
    handshake::Since,
    intake::Taken,
    pass::{Pass, Version},
    shown::{Ambiguous, Shown},
    wire::{
        Accepted, Answer, ApprovalCommand, Arguments, BudgetCommand, By, Command, Decided, DeleteCommand,
        HistoryCommand, ListCommand, Malformed, MessageCommand, Page, ReadCommand, RefreshCommand, Refreshed,
        RenameCommand, RevokeCommand, Role, SessionEntry, Sessions, SessionsCommand, Time, TrustCommand, is_shallow,
        page, rules,
    },
};
use lockkeeper_domain::{self as domain, Code, Digest, Failure, QuestionId, SessionId, inexact_number};
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
    /// The questions that the client was shown.
    pub(crate) shown: Arc<Shown>,
}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::new(Code::InvalidPayload, malformed.to_string())
    }
}

impl Desk {
    /// Does what an event asks for. The answer may be sent while the pass is at the version beside it; at any version
    /// where there is none.
    pub(crate) async fn handle(&self, taken: &Taken) -> Result<(Answer, Option<Version>), Failure> {
        let Arguments { event, payload } = self.read(&taken.arguments)?;
        let Some(command) = Command::named(&event) else {
            return Err(Malformed("There is no such event.").into());
        };
        if command == Command::AuthRefresh {
            // An expired or revoked token is no reason to refuse a fresh one.
            return Ok((self.refresh(payload).await?, None));
        }
        let (by, version) = self.pass.check().await?;
        Ok((self.command(command, (&taken.arguments, payload), &by).await?, Some(version)))
    }

    /// The version of the permissions that let the client see the session now, or why they do not.
    pub(crate) async fn may_look(&self) -> Result<Version, Failure> {
        let (by, version) = self.pass.current().await?;
        self.manager.may_look(&self.session, &by).await.map(|()| version)
    }

    /// Does what a command asks for. Beside its payload is the text that the payload was read from.
    async fn command(
        &self,
        command: Command,
        (text, payload): (&str, Option<Value>),
        by: &Principal,
    ) -> Result<Answer, Failure> {
        match (command.by(), self.role) {
            (By::Anyone, _) | (By::Approver, Role::Approver) | (_, Role::Driver) => {}
            (By::Approver | By::Driver, role) => return Err(Failure::new(Code::Forbidden, beyond(role))),
        }
        let (manager, session) = (&self.manager, &self.session);
        match command {
            Command::Message => self.message(payload, by).await,
            Command::ToolApproval => {
                // What a double cannot hold would run as another number than was written.
                if let Some(number) = inexact_number(text) {
                    return Err(inexact(number));
                }
                self.approval(payload, by).await
            }
            Command::ToolTrust => {
                let TrustCommand { server, name, fingerprint } = TrustCommand::parse(payload)?;
                manager.trust(session, by, server, name, fingerprint).await.map(done)
            }
            Command::TurnCancel => manager.cancel(session, by).await.map(done),
            Command::HistoryGet => self.history(payload, by).await,
            Command::HistoryReset => manager.reset(session, by).await.map(done),
            Command::SessionEnd => manager.end(session, by).await.map(done),
            Command::SessionList => self.sessions(payload, by).await,
            Command::SessionRename => {
                let RenameCommand { session_id, title } = RenameCommand::parse(payload)?;
                manager.rename(&session_id, by, &title).await.map(done)
            }
            Command::SessionDelete => manager.delete(&DeleteCommand::parse(payload)?.session_id, by).await.map(done),
            Command::WorkspaceList => self.list_files(payload, by).await,
            Command::WorkspaceRead => self.read_file(payload, by).await,
            Command::UsageGet => self.usage(by).await,
            Command::BudgetAnswer => self.budget(payload, by).await,
            Command::AuthRefresh => self.refresh(payload).await,
            Command::PolicyList => Ok(Answer::Rules(rules(manager.rules(by).await?))),
            Command::PolicyRevoke => manager.revoke(by, &RevokeCommand::parse(payload)?.id).await.map(done),
        }
    }

    async fn sessions(&self, payload: Option<Value>, by: &Principal) -> Result<Answer, Failure> {
        let most = self.config.max_listed_sessions;
        let limit = SessionsCommand::parse(payload)?.limit.unwrap_or(most).clamp(1, most);
        let records = self.manager.list(by, limit).await?;
        let entry = |record| {
            let model = self.manager.model_of(&record);
            SessionEntry::new(record, model)
        };
        Ok(Answer::Sessions(Sessions { sessions: records.into_iter().map(entry).collect() }))
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
        Ok(Answer::Accepted(Accepted { turn: accepted.turn, duplicate: accepted.duplicate }))
    }

    async fn refresh(&self, payload: Option<Value>) -> Result<Answer, Failure> {
        let expires_at = self.pass.refresh(RefreshCommand::parse(payload)?.token).await?;
        Ok(Answer::Refreshed(Refreshed { expires_at: expires_at.map(Time) }))
    }

    async fn approval(&self, payload: Option<Value>, by: &Principal) -> Result<Answer, Failure> {
        let ApprovalCommand { call_id, approved, args, args_text, scope, grant, constraints, reason, digest } =
            ApprovalCommand::parse(payload)?;
        let args = match (args, args_text) {
            (Some(_), Some(_)) => return Err(Malformed("Give `args` or `argsText`, and not both.").into()),
            (args, None) => args,
            (None, Some(text)) => Some(self.exact_args(&text)?),
        };
        fits("The reason", reason.as_ref().map_or(0, String::len), self.config.max_reason_bytes)?;
        // What is no digest at all is not that of the question either.
        let digest = digest.map(|digest| digest.parse::<Digest>()).transpose();
        let digest = digest.map_err(|error| Failure::new(Code::ApprovalMismatch, format!("{error}.")))?;
        // A client that knows no digests can mean only the question that it was shown, if it was shown one alone.
        let digest = digest.or_else(|| self.shown.only(&call_id).filter(|_| self.manager.takes_shown_digest()));
        let answer = domain::Answer {
            call: call_id,
            approved,
            scope,
            reason,
            args,
            constraints,
            grant,
            digest,
            by: by.id.clone(),
            via: by.via.clone(),
            rule: None,
        };
        let decided = self.manager.decide(&self.session, by, answer).await?;
        Ok(Answer::Decided(Decided { rule_id: decided.rule }))
    }

    async fn budget(&self, payload: Option<Value>, by: &Principal) -> Result<Answer, Failure> {
        let BudgetCommand { go_on, question } = BudgetCommand::parse(payload)?;
        let question = match question {
            // What is no name at all is not that of the question either.
            Some(name) => {
                let unknown = |_| Failure::new(Code::AlreadyResolved, "No open question about a budget has this name.");
                Some(QuestionId::parse(name).map_err(unknown)?)
            }
            // A client that knows no names can mean only the question that it was shown, if it was shown one alone.
            None => self.shown.budget().map_err(|Ambiguous| unnamed())?,
        };
        let answered = self.manager.answer_budget(&self.session, by, go_on, question.clone()).await;
        if answered.as_ref().err().is_none_or(|failure| failure.code == Code::AlreadyResolved) {
            self.shown.budget_answered(question.as_ref());
        }
        answered.map(done)
    }

    /// The arguments that a human wrote, with all numbers as they were written.
    fn exact_args(&self, text: &str) -> Result<Value, Failure> {
        let malformed = || Failure::new(Code::InvalidArguments, "The edited arguments are not a JSON object.");
        if !is_shallow(text, self.config.max_json_depth) {
            return Err(Malformed("The edited arguments are nested too deeply.").into());
        }
        if let Some(number) = inexact_number(text) {
            return Err(inexact(number));
        }
        serde_json::from_str::<Value>(text).ok().filter(Value::is_object).ok_or_else(malformed)
    }

    async fn usage(&self, by: &Principal) -> Result<Answer, Failure> {
        let usage = self.manager.usage(&self.session, by).await?;
        Ok(Answer::Budgets(Box::new(usage.into())))
    }

    async fn history(&self, payload: Option<Value>, by: &Principal) -> Result<Answer, Failure> {
        let HistoryCommand { before, limit } = HistoryCommand::parse(payload)?;
        let most = self.config.max_history_page;
        let limit = limit.unwrap_or(most).clamp(1, most);
        let (messages, before) = page(self.manager.history(&self.session, by, before, limit).await?);
        Ok(Answer::History(Page { messages, before }))
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

fn done((): ()) -> Answer {
    Answer::Done
}

/// Refuses an answer that could be to another question.
fn unnamed() -> Failure {
    let message = "The answer does not name its question, and more than one was asked.";
    Failure::new(Code::ApprovalMismatch, message).with_hint("Send the question's name as question, or connect again.")
}

/// Refuses a number that cannot be held as it is written.
fn inexact(number: &str) -> Failure {
    let shown: String = number.chars().take(40).collect();
    Failure::new(Code::InvalidArguments, format!("The number {shown} cannot be kept exactly."))
        .with_hint("Write it with fewer digits, or as a string if the tool takes one.")
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
