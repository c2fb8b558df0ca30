//! A principal's sessions: listed, renamed, deleted.

use super::{SessionManager, checks, reach::LAST_PAUSE};
use crate::{actor::store_failure, order::Order};
use lockkeeper_domain::{Code, Failure, Power, SessionId, SessionRecord, SessionTitle};
use lockkeeper_ports::{Principal, SandboxId, StoreError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long a session that was ended may take to be let go before its owner is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(5);

impl SessionManager {
    /// The principal's sessions, the last used first.
    pub async fn list(&self, by: &Principal, limit: usize) -> Result<Vec<SessionRecord>, Failure> {
        self.shared.ports.store.owned_by(&by.id, limit).await.map_err(|e| store_failure(&e))
    }

    /// The model that answers in a session: the one that its client chose, else the configured one.
    pub fn model_of(&self, record: &SessionRecord) -> String {
        self.shared.ports.agents.of_server(record.model.as_deref()).model
    }

    /// Calls the session so in lists.
    pub async fn rename(&self, id: &SessionId, by: &Principal, title: &str) -> Result<(), Failure> {
        let title = SessionTitle::parse(title)
            .map_err(|error| Failure::new(Code::InvalidPayload, format!("The title is not taken: {error}.")))?;
        self.may_change(id, by).await?;
        match self.shared.ports.store.rename(id, &title).await {
            Err(StoreError::NotFound) => Err(checks::not_yours()),
            renamed => renamed.map_err(|e| store_failure(&e)),
        }
    }

    /// Deletes the session with its log and its history. Whoever drives it, here or on another server, ends it first: open turns
    /// are cancelled, and the sandbox goes. Views of it end.
    pub async fn delete(&self, id: &SessionId, by: &Principal) -> Result<(), Failure> {
        let record = self.may_change(id, by).await?;
        let store = &self.shared.ports.store;
        let deadline = Instant::now() + self.shared.config.forward();
        let (mut asked, mut pause) = (None::<Instant>, FIRST_PAUSE);
        loop {
            match store.delete(id, self.shared.now()).await {
                Ok(()) => break,
                Err(StoreError::Held { .. }) if Instant::now() + pause > deadline => return Err(still_driven()),
                Err(StoreError::Held { .. }) => {}
                Err(error) => return Err(store_failure(&error)),
            }
            // Its owner lets the lease go a moment after it has answered.
            if asked.is_some_and(|at| at.elapsed() < PATIENCE) {
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
                continue;
            }
            if let Err(failure) = self.order(id, by, Order::End).await {
                // Somebody else may have deleted it meanwhile.
                let gone = store.get(id).await.map_err(|e| store_failure(&e))?.is_none();
                return if gone { Ok(()) } else { Err(failure) };
            }
            asked = Some(Instant::now());
        }
        // Of a session that nobody drove, a server that died may have left one.
        if let Some(sandbox) = record.sandbox.filter(|_| asked.is_none()) {
            self.shared.starter.remove(&SandboxId::new(sandbox.id)).await;
        }
        Ok(())
    }

    /// The session's record, where it is one's own and one may do things with it.
    async fn may_change(&self, id: &SessionId, by: &Principal) -> Result<SessionRecord, Failure> {
        checks::has(by, Power::Drive, "change sessions")?;
        self.owned(id, by).await
    }
}

fn still_driven() -> Failure {
    Failure::new(Code::OwnedElsewhere, "The session is still being driven; it was ended and not deleted.")
        .with_hint("Send it again in a moment.")
}
