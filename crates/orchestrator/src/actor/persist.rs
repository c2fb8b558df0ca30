use super::{Actor, Stored, request::Unhandled};
use crate::{sandbox::backoff, storage};
use lockkeeper_domain::{Changes, Code, Epoch, Event, EventBody, EventId, Failure, Seq, Session, SessionState};
use lockkeeper_ports::{Commit, Committed, HistoryChange, RecordChange, StoreError};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// By how much the stored time of a session's last use may be behind while it is in use.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// How soon a store that is away is asked again. A renewal after an outage must come before other servers look for
/// abandoned sessions.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Why an actor must let its session go.
#[derive(Debug)]
pub(super) enum Lost {
    /// Somebody else drives it now.
    Fenced {
        /// Whether the last step may be in the log all the same.
        written: bool,
    },
    /// The store did not take a step within the grace.
    Store(Failure),
}

/// Why a commit was not taken.
enum Unsent {
    Lost(Lost),
    Away(StoreError),
}

/// Whether the lease lasts still, by this process's clock.
pub(super) fn is_current(leased_until: &Mutex<Instant>) -> bool {
    *leased_until.lock().unwrap_or_else(PoisonError::into_inner) > Instant::now()
}

impl Lost {
    pub(super) fn log(&self) {
        match self {
            Self::Fenced { .. } => tracing::info!("another owner has taken the session over"),
            Self::Store(failure) => tracing::error!(code = %failure.code, "{}", failure.message),
        }
    }

    /// The word to who gave the order that was lost.
    pub(super) fn answer<T>(&self) -> Result<Result<T, Failure>, Unhandled> {
        match self {
            Self::Fenced { written: false } => Err(Unhandled),
            Self::Fenced { written: true } => {
                Ok(Err(Failure::new(Code::OwnedElsewhere, "Another server drives this session now.")))
            }
            Self::Store(failure) => Ok(Err(failure.clone())),
        }
    }
}

/// A step that is to be written, and what holds once it is.
pub(super) struct Step {
    commit: Commit,
    stored: Stored,
}

/// Why a step was not written within the grace.
pub(super) enum Unwritten {
    Lost(Lost),
    /// The store is away. Whether the step is in the log is not known.
    Away(Box<Step>, Failure),
}

impl Actor {
    /// Writes a step. Until it returns, nobody may hear of what the step says. While the store is away it waits, and so does
    /// the session: a store that does not answer says nothing about the sandbox and the calls that run in it.
    pub(super) async fn persist(&mut self, changes: Changes, record: RecordChange) -> Result<(), Lost> {
        match self.try_persist(changes, record).await {
            Ok(()) => Ok(()),
            Err(Unwritten::Lost(lost)) => Err(lost),
            Err(Unwritten::Away(step, failure)) => self.hold_on(*step, failure).await,
        }
    }

    /// Writes a step, for somebody who waits for an answer: fails when the grace is over.
    pub(super) async fn try_persist(&mut self, changes: Changes, record: RecordChange) -> Result<(), Unwritten> {
        let Some(step) = self.step(changes, record) else { return Ok(()) };
        self.commit(step).await.map(|step| self.written(step))?;
        self.trim_at_rest().await.map_err(Unwritten::Lost)
    }

    fn step(&mut self, changes: Changes, mut record: RecordChange) -> Option<Step> {
        let now = self.shared.now();
        let history = history_change(&changes);
        let idle = changes.events.is_empty() && history.is_none() && record == RecordChange::default();
        if idle {
            return None;
        }
        let mut events = self.numbered(changes.events, now);
        // Answers to commands are the first steps that follow from them.
        if let Some(event) = events.first_mut()
            && let Some(request) = self.request.take()
        {
            event.request = Some(request.clone());
            self.session.remember(request);
        }
        self.session.link(&self.id, &mut events, self.shared.ports.audit_key.as_ref());
        let end = events.last().map_or(self.last, |event| event.id.seq);
        let busy = self.session.is_busy();
        record.busy = (busy != self.stored.busy).then_some(busy);
        record.checkpoint = self.checkpoint(end);
        if !events.is_empty() {
            self.last_active_at = now;
            // The steps of a turn follow each other fast, and a record that need not change is not written anew.
            let is_due = record != RecordChange::default() || now.since(self.stored.active_at) >= HEARTBEAT;
            record.last_active_at = is_due.then_some(now);
        }
        let active_at = record.last_active_at.unwrap_or(self.stored.active_at);
        let stored = Stored { busy, active_at, ..self.stored };
        let commit = Commit { epoch: self.epoch, after: self.last, events, history, record };
        Some(Step { commit, stored })
    }

    /// The step is in the log.
    fn written(&mut self, step: Step) {
        self.stored = step.stored;
        if let Some(event) = step.commit.events.last() {
            (self.last, self.last_epoch) = (event.id.seq, event.id.epoch);
        }
        for event in step.commit.events {
            remember_question(&mut self.question, &event);
        }
    }

    async fn trim_at_rest(&mut self) -> Result<(), Lost> {
        if self.stored.busy {
            return Ok(());
        }
        self.choice.turn_is_over();
        self.trim().await?;
        self.trim_bytes().await
    }

    /// Bounds the log in bytes, as [`Self::trim`] bounds it in events.
    async fn trim_bytes(&mut self) -> Result<(), Lost> {
        let store = &self.shared.ports.store;
        let target = storage::log_target(&self.shared.config);
        let trimmed = match store.occupied(&self.id).await {
            Ok(size) if size.log <= self.shared.config.max_log_bytes => return Ok(()),
            Ok(_) => store.trim_to(&self.id, self.epoch, target).await,
            Err(error) => Err(error),
        };
        match trimmed {
            Ok(through) => self.trimmed = self.trimmed.max(through),
            Err(StoreError::Fenced) => return Err(Lost::Fenced { written: true }),
            Err(error) => tracing::warn!(%error, "failed to trim the log by its size"),
        }
        Ok(())
    }

    fn numbered(
        &self,
        events: Vec<(Option<lockkeeper_domain::TurnId>, EventBody)>,
        now: lockkeeper_domain::Timestamp,
    ) -> Vec<Event> {
        let mut seq = self.last;
        let number = |(turn, body)| {
            seq = seq.next();
            Event { id: EventId { epoch: self.epoch, seq }, turn, at: now, body, link: None, request: None }
        };
        events.into_iter().map(number).collect()
    }

    fn checkpoint(&self, end: Seq) -> Option<(SessionState, Seq)> {
        self.session.checkpoint().map(|state| (state.clone(), end))
    }

    /// Sends the same commit until the store answers or the grace is over; the store knows a commit that it has already.
    async fn commit(&self, step: Step) -> Result<Step, Unwritten> {
        let grace = self.shared.config.store_grace();
        let started = Instant::now();
        let mut attempt = 0;
        loop {
            let error = match self.send(&step, attempt > 0).await {
                Ok(()) => return Ok(step),
                Err(Unsent::Lost(lost)) => return Err(Unwritten::Lost(lost)),
                Err(Unsent::Away(error)) => error,
            };
            let pause = backoff(attempt);
            if started.elapsed() + pause > grace {
                return Err(Unwritten::Away(Box::new(step), store_failure(&error)));
            }
            tracing::warn!(%error, attempt, "a step could not be written; trying again");
            attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }

    async fn send(&self, step: &Step, again: bool) -> Result<(), Unsent> {
        match self.shared.ports.store.commit(&self.id, &step.commit).await {
            Ok(Committed::Written | Committed::Before) => Ok(()),
            Ok(Committed::Superseded) => Err(Unsent::Lost(Lost::Fenced { written: true })),
            Err(StoreError::Fenced | StoreError::NotFound) => Err(Unsent::Lost(Lost::Fenced { written: again })),
            Err(error @ StoreError::Unavailable(_)) => Err(Unsent::Away(error)),
            Err(error) => Err(Unsent::Lost(Lost::Store(store_failure(&error)))),
        }
    }

    /// Sends the step until the store is back, or somebody else has the session.
    async fn hold_on(&mut self, step: Step, failure: Failure) -> Result<(), Lost> {
        let grace = self.shared.config.store_grace();
        tracing::error!(code = %failure.code, "{} The session waits for the store.", failure.message);
        // Since when the store takes other writes, and not this one.
        let mut refused_since = None;
        loop {
            let is_back = self.wait_for_store(&failure).await?;
            match self.send(&step, true).await {
                Ok(()) => {
                    tracing::info!("the store is back; the session goes on");
                    self.written(step);
                    return self.trim_at_rest().await;
                }
                Err(Unsent::Lost(lost)) => return Err(lost),
                Err(Unsent::Away(error)) if is_back => {
                    if refused_since.get_or_insert_with(Instant::now).elapsed() > grace {
                        return Err(Lost::Store(store_failure(&error)));
                    }
                }
                Err(Unsent::Away(_)) => refused_since = None,
            }
        }
    }

    /// Finds out what became of a step whose author was told that it failed. Returns whether it is in the log; if it is not,
    /// the session is again what it was `before`.
    pub(super) async fn settle_doubt(&mut self, step: Step, before: Session, failure: Failure) -> Result<bool, Lost> {
        let end = step.commit.events.last().map(|event| event.id);
        loop {
            if !self.wait_for_store(&failure).await? {
                continue;
            }
            match self.shared.ports.store.last(&self.id).await {
                Ok(last) if last.seq == self.last => {
                    self.session = before;
                    return Ok(false);
                }
                Ok(last) if Some(last) == end => {
                    self.written(step);
                    return self.trim_at_rest().await.map(|()| true);
                }
                Err(StoreError::Unavailable(_)) => {}
                Ok(_) => return Err(Lost::Store(failure)),
                Err(error) => return Err(Lost::Store(store_failure(&error))),
            }
        }
    }

    /// Waits for a moment, and refuses what is asked meanwhile. Returns whether the store renews the lease.
    async fn wait_for_store(&mut self, failure: &Failure) -> Result<bool, Lost> {
        while let Ok(request) = self.mailbox.try_recv() {
            request.fail(failure);
        }
        tokio::select! {
            () = self.shared.hard.cancelled() => return Err(Lost::Store(failure.clone())),
            () = tokio::time::sleep(ASK_AGAIN) => {}
        }
        self.renew().await
    }

    /// Renews the lease. Returns whether the store answered.
    pub(super) async fn renew(&mut self) -> Result<bool, Lost> {
        let (sent, lease) = (Instant::now(), self.shared.config.lease());
        match self.shared.ports.store.renew(&self.id, self.epoch, self.shared.now(), lease).await {
            Err(StoreError::Fenced | StoreError::NotFound) => Err(Lost::Fenced { written: false }),
            Err(error) => {
                // Safety is in the epoch: without a renewal another owner may come, and then our writes are refused.
                tracing::warn!(%error, "the lease could not be renewed; trying again");
                Ok(false)
            }
            Ok(()) => {
                self.leased(sent + lease);
                Ok(true)
            }
        }
    }

    fn leased(&self, until: Instant) {
        *self.leased_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// Makes sure that nobody else has the session. What acts on the world asks for it right before: the step that let it act
    /// may be older than the lease.
    pub(super) async fn sure_of_lease(&mut self) -> Result<(), Lost> {
        let failure = Failure::new(Code::StoreUnavailable, "The session's store does not answer.");
        while !is_current(&self.leased_until) {
            if self.renew().await? {
                return Ok(());
            }
            self.wait_for_store(&failure).await?;
        }
        Ok(())
    }

    /// Takes the lease anew, for a new epoch: a sandbox's name is unique to its session and epoch.
    pub(super) async fn claim_again(&mut self) -> Result<(), Lost> {
        let failure = Failure::new(Code::StoreUnavailable, "The session's store does not answer.");
        loop {
            let (ports, sent, lease) = (&self.shared.ports, Instant::now(), self.shared.config.lease());
            match ports.store.claim(&self.id, ports.peers.name(), self.shared.now(), lease).await {
                Ok(claim) if claim.last.seq == self.last => {
                    self.epoch = claim.lease.epoch;
                    self.leased(sent + lease);
                    return Ok(());
                }
                Ok(_) | Err(StoreError::Held { .. } | StoreError::NotFound | StoreError::Fenced) => {
                    return Err(Lost::Fenced { written: false });
                }
                Err(StoreError::Unavailable(_)) => drop(self.wait_for_store(&failure).await?),
                Err(error) => return Err(Lost::Store(store_failure(&error))),
            }
        }
    }

    async fn trim(&mut self) -> Result<(), Lost> {
        let keep = self.shared.config.max_log_events;
        let through = self.last.get().saturating_sub(keep);
        // In strides of a tenth, so that a long session does not trim at each of its turns.
        if through < self.trimmed.get() + keep / 10 {
            return Ok(());
        }
        let through = Seq::new(through);
        match self.shared.ports.store.trim(&self.id, self.epoch, through).await {
            Ok(()) => self.trimmed = through,
            Err(StoreError::Fenced) => return Err(Lost::Fenced { written: true }),
            Err(error) => tracing::warn!(%error, "the log could not be trimmed"),
        }
        Ok(())
    }

    pub(super) fn last_id(&self) -> EventId {
        EventId { epoch: if self.last == Seq::default() { Epoch::default() } else { self.last_epoch }, seq: self.last }
    }
}

fn history_change(changes: &Changes) -> Option<HistoryChange> {
    if changes.clear {
        return Some(HistoryChange::Clear);
    }
    (!changes.append.is_empty())
        .then(|| HistoryChange::Slide { append: changes.append.clone(), drop_front: changes.drop_front })
}

/// Keeps the question that a human is being asked, with its place in the log.
pub(crate) fn remember_question(question: &mut Option<(EventId, lockkeeper_domain::ApprovalRequired)>, event: &Event) {
    match &event.body {
        EventBody::ApprovalRequired(asked) => *question = Some((event.id, asked.clone())),
        EventBody::ApprovalResolved(resolved) => {
            question.take_if(|(_, asked)| asked.call == resolved.call);
        }
        EventBody::TurnCompleted(_) => *question = None,
        _ => {}
    }
}

pub(crate) fn store_failure(error: &StoreError) -> Failure {
    let hint = match error {
        StoreError::Unavailable(_) => "Nothing that was acknowledged is lost by this. Connect again in a moment.",
        StoreError::Corrupt { .. } => "Ask the operator: the server's log says what cannot be read.",
        // The log may be another one than this server wrote.
        _ => "Connect again in a moment, and look at what the session's history holds.",
    };
    Failure::new(Code::StoreUnavailable, format!("The session's store failed: {error}")).with_hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers: F8
    #[test]
    fn only_a_store_that_is_away_is_said_to_have_lost_nothing() {
        let promises = |error: &StoreError| store_failure(error).hint.is_some_and(|hint| hint.contains("is lost"));
        assert!(promises(&StoreError::Unavailable("away".into())));
        let conflict = StoreError::Conflict { expected: Seq::new(9), found: Seq::new(4) };
        let corrupt = StoreError::Corrupt { what: "session record", source: "odd".into() };
        for error in [conflict, corrupt, StoreError::Fenced, StoreError::NotFound] {
            assert!(!promises(&error), "{error}");
        }
    }
}
