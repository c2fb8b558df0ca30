use super::{
    Actor, Bench, Flow, Reply, Request,
    persist::{Lost, Unwritten},
    request::{Name, Unhandled},
    send,
};
use crate::{
    checks::Checked,
    janitor::IDLE_TOO_LONG,
    opened::{Accepted, Decided, Snapshot},
    tools::Catalog,
};
use lockkeeper_domain::{
    Answer, Code, Command, Failure, Refusal, Reply as Followed, Scope, Session, SessionTitle, Timestamp, ToolName,
    UserMessage,
};
use lockkeeper_ports::RecordChange;
use serde_json::Value;
use std::sync::Arc;

impl Actor {
    pub(super) async fn answer(&mut self, request: Request) -> Result<Flow, Lost> {
        if let Err(lost) = self.refuse_what_may_not_wait().await {
            request.refuse();
            return Err(lost);
        }
        match request {
            Request::Attach(wish, reply) => {
                self.use_now();
                self.is_watched();
                if let Err(lost) = self.take_wish(wish).await {
                    drop(reply.send(lost.answer()));
                    return Err(lost);
                }
                self.want_bench();
                send(reply, Ok(self.readiness.subscribe()));
            }
            Request::Submit(message, reply) => self.submit(message, reply).await?,
            Request::Decide(answer, reply) => self.decide(*answer, reply).await?,
            Request::AnswerBudget(answer, name, reply) => {
                self.obey(Command::AnswerBudget(answer), name, reply).await?;
            }
            Request::Trust(trusted, name, reply) => self.trust(trusted, name, reply).await?,
            Request::Cancel(name, reply) => self.obey(Command::Cancel, name, reply).await?,
            Request::Reset(name, reply) => self.obey(Command::Reset, name, reply).await?,
            Request::End(name, reply) => return self.end(name, reply).await,
            Request::Snapshot(reply) => send(reply, Ok(self.snapshot())),
            Request::Look(look, reply) => self.look(look, reply),
            Request::ExpireIfIdle(before, reply) => return self.expire(before, reply).await,
            Request::Rest(reply) => send(reply, Ok(self.rest())),
            Request::GiveWay(rest, reply) => return self.give_way(rest, reply).await,
        }
        Ok(Flow::Continue)
    }

    /// A question whose time is over, or that the rules would not let be asked any more, is refused before anything else is
    /// decided: doubt never executes.
    async fn refuse_what_may_not_wait(&mut self) -> Result<(), Lost> {
        let now = self.shared.now();
        if self.session.next_deadline(&self.shared.rules).is_some_and(|at| at <= now) {
            self.follow(Command::Tick).await?;
        }
        self.heed_rules().await
    }

    async fn submit(&mut self, message: UserMessage, reply: Reply<Accepted>) -> Result<(), Lost> {
        if self.shared.soft.is_cancelled() {
            let failure = Failure::new(Code::Draining, "The server is shutting down.")
                .with_hint("Connect again in a moment and send the message again.");
            send(reply, Err(failure));
            return Ok(());
        }
        // Before it is stored: its turn could only fail.
        if let Err(failure) = self.choice.possible() {
            send(reply, Err(failure));
            return Ok(());
        }
        let title = if self.stored.titled { None } else { SessionTitle::of_message(&message.text) };
        let before = self.session.clone();
        let reaction = match self.session.handle(Command::Submit(message), self.shared.now(), &self.shared.rules) {
            Ok(reaction) => reaction,
            Err(refusal) => {
                send(reply, Err(refused(refusal)));
                return Ok(());
            }
        };
        let accepted = match reaction.reply {
            Followed::Accepted { turn, duplicate } => Ok(Accepted { turn, duplicate }),
            Followed::Done => Err(Failure::new(Code::Internal, "The message was not accepted.")),
        };
        let titles = title.is_some();
        let record = RecordChange { title, ..RecordChange::default() };
        self.stored.titled |= self.acknowledge(before, reaction, record, accepted, reply).await? && titles;
        Ok(())
    }

    async fn decide(&mut self, answer: Answer, reply: Reply<Decided>) -> Result<(), Lost> {
        if let Some(failure) = self.beyond_approver(&answer) {
            send(reply, Err(failure));
            return Ok(());
        }
        match self.edited_call(&answer) {
            Ok(None) => self.decide_checked(answer, reply).await?,
            Ok(Some((catalog, tool, args))) => {
                let checks = Arc::clone(&self.shared.checks);
                self.edits.spawn(async move {
                    let checked = checks.of_call(catalog.schemas(), &tool, &args).await;
                    Edited { answer, catalog, checked, reply }
                });
            }
            Err(problem) => refuse_edit(Code::InvalidArguments, problem, reply),
        }
        Ok(())
    }

    /// Goes on with an answer whose edited arguments were checked meanwhile.
    pub(super) async fn decide_edited(&mut self, edited: Edited) -> Result<(), Lost> {
        let Edited { answer, catalog, checked, reply } = edited;
        if let Err(lost) = self.refuse_what_may_not_wait().await {
            drop(reply.send(Err(Unhandled)));
            return Err(lost);
        }
        if let Err(problem) = checked {
            refuse_edit(Code::InvalidArguments, problem, reply);
            return Ok(());
        }
        if let Some(denied) = self.edit_denied(&answer, &catalog) {
            refuse_edit(Code::Denied, denied, reply);
            return Ok(());
        }
        self.decide_checked(answer, reply).await
    }

    async fn decide_checked(&mut self, mut answer: Answer, reply: Reply<Decided>) -> Result<(), Lost> {
        // What is no answer to the question stores no rule.
        if answer.scope == Scope::Always
            && let Err(refusal) = self.session.check_answer(&answer, &self.shared.rules)
        {
            return self.ask_anew(refusal, reply).await;
        }
        if answer.approved
            && answer.scope == Scope::Session
            && let Some(why) = self.hindrance(&answer)
        {
            send(reply, Err(Failure::new(Code::ScopeUnavailable, why).with_hint("Approve the call once.")));
            return Ok(());
        }
        answer.rule = match self.intend_rule(&answer).await {
            Ok(rule) => rule,
            Err(failure) => {
                send(reply, Err(failure));
                return Ok(());
            }
        };
        let decided = Decided { rule: answer.rule.clone() };
        let before = self.session.clone();
        match self.session.handle(Command::Decide(answer), self.shared.now(), &self.shared.rules) {
            Ok(reaction) => {
                self.acknowledge(before, reaction, RecordChange::default(), Ok(decided), reply).await.map(drop)
            }
            Err(refusal) => {
                self.settle_rule(false).await;
                self.ask_anew(refusal, reply).await
            }
        }
    }

    /// Why somebody who is not the session's owner may not give this answer: an approver decides over calls as they are. What
    /// else runs in a session, and what is not asked about any more, is for its owner to say.
    fn beyond_approver(&self, answer: &Answer) -> Option<Failure> {
        if answer.by == self.owner || !answer.approved {
            return None;
        }
        let said = if answer.args.is_some() {
            "Only the session's owner may edit the arguments of its calls."
        } else if answer.scope == Scope::Session {
            "Only the session's owner may approve calls for the whole session."
        } else {
            return None;
        };
        Some(Failure::new(Code::Forbidden, said).with_hint("Approve the call once as it is, or deny it with a reason."))
    }

    /// Refuses an answer. That changes nothing; but people have to see what they would be answering, if it is not what they saw.
    async fn ask_anew(&mut self, refusal: Refusal, reply: Reply<Decided>) -> Result<(), Lost> {
        let stale = self.session.has_stale_question();
        send(reply, Err(refused(refusal)));
        if stale { self.follow(Command::Tick).await } else { Ok(()) }
    }

    /// The arguments that a human put in the place of the model's, with the tool that they are for.
    fn edited_call(&self, answer: &Answer) -> Result<Option<(Arc<Catalog>, ToolName, Value)>, String> {
        let Some(args) = answer.args.as_ref().filter(|_| answer.approved) else { return Ok(None) };
        let calls = self.session.open_calls();
        let Some(open) = calls.iter().find(|open| open.call.id == answer.call) else { return Ok(None) };
        let none = || "The tools are not there at the moment, so edited arguments cannot be checked.".to_owned();
        let catalog = self.catalog().ok_or_else(none)?;
        Ok(Some((catalog, open.call.name.clone(), args.clone())))
    }

    /// The rule that denies the call with its edited arguments, for people.
    fn edit_denied(&self, answer: &Answer, catalog: &Catalog) -> Option<String> {
        let calls = self.session.open_calls();
        let call = calls.iter().find(|open| open.call.id == answer.call)?.call;
        let policy = self.shared.ports.policy.now();
        catalog.denial(call, answer.args.as_ref()?, self.gate(&policy))
    }

    async fn obey(&mut self, command: Command, name: Name, reply: Reply<()>) -> Result<(), Lost> {
        let Some(reply) = self.begin(name, reply) else { return Ok(()) };
        let before = self.session.clone();
        match self.session.handle(command, self.shared.now(), &self.shared.rules) {
            Ok(reaction) => self.acknowledge(before, reaction, RecordChange::default(), Ok(()), reply).await.map(drop),
            Err(refusal) => {
                self.refuse(refused(refusal), reply);
                Ok(())
            }
        }
    }

    /// Begins to follow a command that must not be followed twice. One that was followed or refused before is answered as it
    /// was then: its first answer was lost, and what it was meant for may be over.
    pub(super) fn begin(&mut self, name: Name, reply: Reply<()>) -> Option<Reply<()>> {
        self.request = name;
        let Some(name) = &self.request else { return Some(reply) };
        if let Some((_, failure)) = self.refused.iter().find(|(refused, _)| refused == name) {
            send(reply, Err(failure.clone()));
        } else if self.session.has_followed(name) {
            send(reply, Ok(()));
        } else {
            return Some(reply);
        }
        None
    }

    /// Refuses the command that is being followed, now and when it comes again.
    pub(super) fn refuse(&mut self, failure: Failure, reply: Reply<()>) {
        const REMEMBERED: usize = 64;
        if let Some(name) = self.request.take() {
            self.refused.push_back((name, failure.clone()));
            self.refused.drain(..self.refused.len().saturating_sub(REMEMBERED));
        }
        send(reply, Err(failure));
    }

    /// Answers once the step is stored, and not before. A step that was not stored within the grace is told as failed; then
    /// nothing that acts on the world follows from it, also if it turns out to be in the log. Returns whether it is there.
    pub(super) async fn acknowledge<T>(
        &mut self,
        before: Session,
        reaction: lockkeeper_domain::Reaction,
        record: RecordChange,
        answer: Result<T, Failure>,
        reply: Reply<T>,
    ) -> Result<bool, Lost> {
        let written = self.try_persist(reaction.changes, record).await;
        // A step without events leaves nothing that a second one could repeat.
        self.request = None;
        match written {
            Ok(()) => {
                self.settle_rule(true).await;
                send(reply, answer);
                self.act(reaction.effects).await.map(|()| true)
            }
            Err(Unwritten::Lost(lost)) => {
                drop(reply.send(lost.answer()));
                Err(lost)
            }
            Err(Unwritten::Away(step, failure)) => {
                send(reply, Err(failure.clone()));
                let is_written = self.settle_doubt(*step, before, failure).await?;
                self.settle_rule(is_written).await;
                if is_written {
                    self.withdraw(reaction.effects);
                }
                Ok(is_written)
            }
        }
    }

    async fn end(&mut self, name: Name, reply: Reply<()>) -> Result<Flow, Lost> {
        let Some(reply) = self.begin(name, reply) else { return Ok(Flow::Continue) };
        let before = self.session.clone();
        match self.session.handle(Command::End, self.shared.now(), &self.shared.rules) {
            Ok(reaction) => {
                let record = RecordChange { sandbox: Some(None), ..RecordChange::default() };
                if !self.acknowledge(before, reaction, record, Ok(()), reply).await? {
                    return Ok(Flow::Continue);
                }
                // Whoever comes from now on gets a successor.
                self.mailbox.close();
                Ok(Flow::Exit)
            }
            Err(refusal) => {
                self.refuse(refused(refusal), reply);
                Ok(Flow::Continue)
            }
        }
    }

    async fn expire(&mut self, before: Timestamp, reply: Reply<bool>) -> Result<Flow, Lost> {
        let in_use =
            self.session.is_busy() || self.last_active_at >= before || matches!(self.bench, Bench::Starting(_));
        if in_use {
            send(reply, Ok(false));
            return Ok(Flow::Continue);
        }
        self.suspend(IDLE_TOO_LONG).await?;
        send(reply, Ok(true));
        Ok(Flow::Exit)
    }

    /// Writes that the session's sandbox goes, for this reason. Whoever comes from now on gets a successor.
    pub(super) async fn suspend(&mut self, reason: &str) -> Result<(), Lost> {
        let expire = Command::Expire { reason: reason.to_owned() };
        if let Ok(reaction) = self.session.handle(expire, self.shared.now(), &self.shared.rules) {
            let record = RecordChange { sandbox: Some(None), ..RecordChange::default() };
            self.carry_out(reaction, record).await?;
        }
        self.mailbox.close();
        Ok(())
    }

    fn snapshot(&self) -> Snapshot {
        let thinking = self.model.is_some() || self.model_wanted.is_some();
        Snapshot::of(&self.session, &self.shared.rules, self.last_id(), thinking, self.question.clone())
    }
}

/// An answer with edited arguments, and what their check said.
pub(super) struct Edited {
    answer: Answer,
    /// What they were checked by.
    catalog: Arc<Catalog>,
    checked: Checked,
    reply: Reply<Decided>,
}

impl Edited {
    /// The actor ends: whoever asked may ask its successor.
    pub(super) fn refuse(self) {
        drop(self.reply.send(Err(Unhandled)));
    }
}

fn refuse_edit(code: Code, problem: String, reply: Reply<Decided>) {
    send(reply, Err(Failure::new(code, problem).with_hint("Change the arguments, or deny the call.")));
}

pub(super) fn refused(refusal: Refusal) -> Failure {
    Failure::new(refusal.code, refusal.message)
}
