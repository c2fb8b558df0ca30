use crate::{OpenCall, SessionManager, Snapshot, actor::store_failure, order::Order};
use futures::{StreamExt, stream};
use lockkeeper_domain::{
    Answer, AuditLog, CallId, Code, Digest, Failure, PrincipalId, Scope, SessionId, SessionRecord, Via,
};
use lockkeeper_ports::Principal;
use std::{collections::BTreeMap, sync::Arc};

/// What an operator may do with the sessions of everybody: see them, end them, and answer for their calls. What is done so stands
/// in the log as the operator's.
///
/// It does not ask who is there: whoever holds one has found that out.
#[derive(Clone)]
pub struct Oversight {
    manager: Arc<SessionManager>,
    operator: PrincipalId,
}

/// A call that waits for a human, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingCall {
    /// Its session.
    pub session: SessionRecord,
    /// The call.
    pub call: OpenCall,
}

/// How many sessions are looked at at once.
const SIDE_BY_SIDE: usize = 8;

impl Oversight {
    /// An operator's, by the name under which its decisions are recorded.
    pub fn new(manager: Arc<SessionManager>, operator: PrincipalId) -> Self {
        Self { manager, operator }
    }

    /// The sessions of one principal, or of all, the last used first.
    pub async fn sessions(&self, owner: Option<&PrincipalId>, limit: usize) -> Result<Vec<SessionRecord>, Failure> {
        let store = &self.manager.shared().ports.store;
        let found = match owner {
            Some(owner) => store.owned_by(owner, limit).await,
            None => store.latest(limit).await,
        };
        found.map_err(|e| store_failure(&e))
    }

    /// The model that answers in a session.
    pub fn model_of(&self, record: &SessionRecord) -> String {
        self.manager.model_of(record)
    }

    /// A session as it stands. `None`: there is no such session.
    pub async fn session(&self, id: &SessionId) -> Result<Option<(SessionRecord, Snapshot)>, Failure> {
        let Some(record) = self.record(id).await? else { return Ok(None) };
        let snapshot = self.manager.snapshot(id, &owner_of(&record)).await?;
        Ok(Some((record, snapshot)))
    }

    /// The audit of a session. `None`: there is no such session.
    pub async fn audit(&self, id: &SessionId) -> Result<Option<AuditLog>, Failure> {
        let Some(record) = self.record(id).await? else { return Ok(None) };
        self.manager.audit_of(record).await.map(Some)
    }

    /// Ends a session, wherever it is driven: open turns are cancelled, its sandbox goes, its history stays. `None`: there is no
    /// such session.
    pub async fn end(&self, id: &SessionId) -> Result<Option<()>, Failure> {
        let Some(record) = self.record(id).await? else { return Ok(None) };
        self.manager.order(id, &owner_of(&record), Order::End).await.map(|_| Some(()))
    }

    /// All calls that wait for a human, of at most so many sessions.
    pub async fn waiting(&self, sessions: usize) -> Result<Vec<WaitingCall>, Failure> {
        let busy = self.manager.shared().ports.store.busy(sessions).await.map_err(|e| store_failure(&e))?;
        let look = async |id: SessionId| {
            // One that has gone meanwhile, or that cannot be read, hides no other.
            let found = self.session(&id).await;
            found.unwrap_or_else(|failure| {
                if failure.code != Code::Forbidden {
                    let (code, error) = (failure.code, failure.message);
                    tracing::warn!(session.id = %id, %code, error, "the waiting calls of a session could not be read");
                }
                None
            })
        };
        let looked: Vec<_> = stream::iter(busy).map(look).buffered(SIDE_BY_SIDE).collect().await;
        let waiting = |(session, snapshot): (SessionRecord, Snapshot)| {
            let calls = snapshot.calls.into_iter().filter(|open| open.waiting);
            calls.map(move |call| WaitingCall { session: session.clone(), call })
        };
        Ok(looked.into_iter().flatten().flat_map(waiting).collect())
    }

    /// Answers for a call as it is: the first answer holds. `digest` says which question the answer is to, and `via` how the
    /// operator came. `None`: there is no such session.
    pub async fn decide(
        &self,
        id: &SessionId,
        call: CallId,
        approved: bool,
        reason: Option<String>,
        digest: Option<Digest>,
        via: Via,
    ) -> Result<Option<()>, Failure> {
        let Some(record) = self.record(id).await? else { return Ok(None) };
        let digest = match digest {
            None if self.manager.takes_shown_digest() => self.only_waiting(id, &record, &call).await?,
            given => given,
        };
        let by = self.operator.clone();
        let answer = Answer {
            call,
            approved,
            scope: Scope::Once,
            reason,
            args: None,
            digest,
            grant: None,
            constraints: BTreeMap::new(),
            by,
            via,
            rule: None,
        };
        self.manager.order(id, &owner_of(&record), Order::Decide(Box::new(answer))).await.map(|_| Some(()))
    }

    /// The digest of this call, if it is the only one of its session that waits: then an operator who gives none can mean no
    /// other question.
    async fn only_waiting(
        &self,
        id: &SessionId,
        record: &SessionRecord,
        call: &CallId,
    ) -> Result<Option<Digest>, Failure> {
        let snapshot = self.manager.snapshot(id, &owner_of(record)).await?;
        let mut waiting = snapshot.calls.into_iter().filter(|open| open.waiting);
        let only = waiting.next().filter(|open| open.id() == call && waiting.next().is_none());
        Ok(only.and_then(|open| open.digest))
    }

    async fn record(&self, id: &SessionId) -> Result<Option<SessionRecord>, Failure> {
        self.manager.shared().ports.store.get(id).await.map_err(|e| store_failure(&e))
    }
}

/// Who may do everything with the session.
fn owner_of(record: &SessionRecord) -> Principal {
    Principal::known(record.owner.clone())
}
