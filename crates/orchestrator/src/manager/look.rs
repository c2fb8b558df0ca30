//! A session as it stands, out of its owner's memory or out of the store.

use super::{SessionManager, checks::Wanted};
use crate::{
    Snapshot,
    actor::{Request, remember_question, store_failure},
    opened::OpenCall,
    order::Missed,
};
use lockkeeper_domain::{
    ApprovalRequired, Code, Event, EventBody, EventId, Failure, HistoryLimits, Rules, Seq, Session, SessionId, Turn,
};
use lockkeeper_ports::{Principal, StoreError};
use std::time::Duration;

/// How often a session that changes while it is read is read again, and after which pause.
const READINGS: usize = 20;
const PAUSE: Duration = Duration::from_millis(25);

impl SessionManager {
    /// The session as it stands. Where another server drives it, as the store has it.
    pub async fn snapshot(&self, id: &SessionId, by: &Principal) -> Result<Snapshot, Failure> {
        if let Some(actor) = self.live_actor(id).await.filter(|actor| actor.owner == by.id) {
            match actor.put(Request::Snapshot).await {
                Ok(snapshot) => return Ok(snapshot),
                Err(Missed::Refused(failure)) => return Err(failure),
                Err(Missed::Ended) => {}
            }
        }
        for _ in 0..READINGS {
            if let Some(snapshot) = self.read_snapshot(id, by).await? {
                return Ok(snapshot);
            }
            tokio::time::sleep(PAUSE).await;
        }
        let message = "The session changes faster than it can be read.";
        Err(Failure::new(Code::StoreUnavailable, message).with_hint("Connect again in a moment."))
    }

    /// `None` when the session moved on between the readings, so that they do not belong together.
    async fn read_snapshot(&self, id: &SessionId, by: &Principal) -> Result<Option<Snapshot>, Failure> {
        let store = &self.shared.ports.store;
        let record = self.record_for(Wanted::Look, id, by).await?;
        let Some(mut events) = self.events_after(id, record.checkpoint).await? else { return Ok(None) };
        let read_to = events.last().map_or(record.checkpoint, |event| event.id.seq);
        let history = store.history(id).await.map_err(|e| store_failure(&e))?;
        let Some(since) = self.events_after(id, read_to).await? else { return Ok(None) };
        // Text that streams in leaves the history as it is; of anything else it is not known on which side of it it fell.
        let streams = |event: &Event| matches!(event.body, EventBody::Delta { .. } | EventBody::Reasoning { .. });
        if !since.iter().all(streams) {
            return Ok(None);
        }
        events.extend(since);
        let last = match events.last() {
            Some(event) => event.id,
            None => store.last(id).await.map_err(|e| store_failure(&e))?,
        };
        if events.is_empty() && last.seq != record.checkpoint {
            return Ok(None);
        }
        let mut question = None;
        for event in &events {
            remember_question(&mut question, event);
        }
        let session = Session::fold(record.state, history, &events).as_driven();
        let thinking = session.turn().is_some_and(|turn| !turn.is_acting() && turn.budget_question().is_none());
        Ok(Some(Snapshot::of(&session, &self.shared.rules, last, thinking, question)))
    }

    /// All events after `after`. `None` when some are not kept any more.
    async fn events_after(&self, id: &SessionId, after: Seq) -> Result<Option<Vec<Event>>, Failure> {
        const BATCH: usize = 512;
        let (mut events, mut after) = (Vec::new(), after);
        loop {
            let batch = match self.shared.ports.store.read(id, after, BATCH).await {
                Ok(batch) => batch,
                Err(StoreError::Trimmed(_)) => return Ok(None),
                Err(error) => return Err(store_failure(&error)),
            };
            let Some(last) = batch.last() else { return Ok(Some(events)) };
            after = last.id.seq;
            events.extend(batch);
        }
    }
}

impl Snapshot {
    pub(crate) fn of(
        session: &Session,
        rules: &Rules,
        last: EventId,
        thinking: bool,
        question: Option<(EventId, ApprovalRequired)>,
    ) -> Self {
        let everything = HistoryLimits { max_tokens: usize::MAX, ..rules.history };
        let calls = session.open_calls();
        Self {
            last,
            messages: session.conversation(everything),
            turn: session.turn().map(Turn::id),
            partial: session.turn().map(|t| t.partial().to_owned()).unwrap_or_default(),
            partial_of: session.turn().filter(|t| !t.partial().is_empty()).map(|t| (t.step(), t.attempt())),
            thinking,
            calls: calls.iter().map(OpenCall::of).collect(),
            pending: question.into_iter().collect(),
            budget: session.turn().and_then(Turn::budget_question).cloned(),
        }
    }
}
