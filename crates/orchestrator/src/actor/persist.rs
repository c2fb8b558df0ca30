use super::{Actor, request::Unhandled};
use crate::sandbox::backoff;
use lockkeeper_domain::{Changes, Code, Epoch, Event, EventBody, EventId, Failure, Seq, SessionState};
use lockkeeper_ports::{Commit, HistoryChange, RecordChange, StoreError};
use std::time::Duration;
use tokio::time::Instant;

/// By how much the stored time of a session's last use may be behind while it is in use.
const HEARTBEAT: Duration = Duration::from_secs(1);

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

impl Actor {
    /// Writes a step. Until it returns, nobody may hear of what the step says.
    pub(super) async fn persist(&mut self, changes: Changes, mut record: RecordChange) -> Result<(), Lost> {
        let now = self.shared.now();
        let history = history_change(&changes);
        let idle = changes.events.is_empty() && history.is_none() && record == RecordChange::default();
        if idle {
            return Ok(());
        }
        let mut events = self.numbered(changes.events, now);
        self.session.link(&self.id, &mut events, self.shared.ports.audit_key.as_ref());
        let end = events.last().map_or(self.last, |event| event.id.seq);
        let busy = self.session.is_busy();
        record.busy = (busy != self.stored_busy).then_some(busy);
        record.checkpoint = self.checkpoint(end);
        if !events.is_empty() {
            self.last_active_at = now;
            // The steps of a turn follow each other fast, and a record that need not change is not written anew.
            let is_due = record != RecordChange::default() || now.since(self.stored_active_at) >= HEARTBEAT;
            record.last_active_at = is_due.then_some(now);
        }
        let stored_active_at = record.last_active_at.unwrap_or(self.stored_active_at);
        let commit = Commit { epoch: self.epoch, after: self.last, events, history, record };
        self.commit(&commit).await?;
        (self.stored_busy, self.stored_active_at) = (busy, stored_active_at);
        if let Some(event) = commit.events.last() {
            (self.last, self.last_epoch) = (event.id.seq, event.id.epoch);
        }
        for event in commit.events {
            remember_question(&mut self.question, &event);
        }
        if !busy {
            self.choice.turn_is_over();
            self.trim().await?;
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
            Event { id: EventId { epoch: self.epoch, seq }, turn, at: now, body, link: None }
        };
        events.into_iter().map(number).collect()
    }

    fn checkpoint(&self, end: Seq) -> Option<(SessionState, Seq)> {
        self.session.checkpoint().map(|state| (state.clone(), end))
    }

    /// Sends the same commit until the store answers or the grace is over; the store knows a commit that it has already.
    async fn commit(&self, commit: &Commit) -> Result<(), Lost> {
        let grace = Duration::from_secs(self.shared.config.store_grace_secs);
        let started = Instant::now();
        let mut attempt = 0;
        loop {
            let error = match self.shared.ports.store.commit(&self.id, commit).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Fenced | StoreError::NotFound) => return Err(Lost::Fenced { written: attempt > 0 }),
                Err(error) => error,
            };
            let pause = backoff(attempt);
            let hopeless = !matches!(error, StoreError::Unavailable(_)) || started.elapsed() + pause > grace;
            if hopeless {
                return Err(Lost::Store(store_failure(&error)));
            }
            tracing::warn!(%error, attempt, "a step could not be written; trying again");
            attempt += 1;
            tokio::time::sleep(pause).await;
        }
    }

    pub(super) async fn renew(&mut self) -> Result<(), Lost> {
        let store = &self.shared.ports.store;
        match store.renew(&self.id, self.epoch, self.shared.now(), self.shared.config.lease()).await {
            Err(StoreError::Fenced | StoreError::NotFound) => Err(Lost::Fenced { written: false }),
            Err(error) => {
                // Safety is in the epoch: without a renewal another owner may come, and then our writes are refused.
                tracing::warn!(%error, "the lease could not be renewed");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Takes the lease anew, for a new epoch: a sandbox's name is unique to its session and epoch.
    pub(super) async fn claim_again(&mut self) -> Result<(), Lost> {
        let ports = &self.shared.ports;
        let claim =
            ports.store.claim(&self.id, ports.peers.name(), self.shared.now(), self.shared.config.lease()).await;
        match claim {
            Ok(claim) if claim.last.seq == self.last => {
                self.epoch = claim.lease.epoch;
                Ok(())
            }
            Ok(_) | Err(StoreError::Held { .. } | StoreError::NotFound | StoreError::Fenced) => {
                Err(Lost::Fenced { written: false })
            }
            Err(error) => Err(Lost::Store(store_failure(&error))),
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
    Failure::new(Code::StoreUnavailable, format!("The session's store failed: {error}"))
        .with_hint("Nothing that was acknowledged is lost. Connect again in a moment.")
}
