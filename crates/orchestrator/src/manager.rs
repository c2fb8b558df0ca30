mod actors;
mod checks;
mod registry;

use crate::{
    Accepted, AgentFactory, Attached, Config, HistoryPage, NewMessage, Snapshot,
    actor::{ActorHandle, Request, Shared, store_failure},
    agent::Wish,
    pool::{self, Pool},
    sandbox::Starter,
};
use lockkeeper_domain::{
    Answer, CallId, Code, Failure, Policy, Scope, Seq, SessionId, SessionRecord, Timestamp, UserMessage,
};
use lockkeeper_ports::{Clock, EventStream, McpServer, Principal, SandboxRuntime, SessionStore, StoreError, ToolHost};
use registry::Registry;
pub(crate) use registry::Visit;
use secrecy::SecretString;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the use cases need from outside.
#[derive(Clone)]
pub struct Ports {
    /// Sessions, histories, logs.
    pub store: Arc<dyn SessionStore>,
    /// Sandboxes.
    pub sandboxes: Arc<dyn SandboxRuntime>,
    /// MCP servers in them.
    pub tools: Arc<dyn ToolHost>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Who answers.
    pub agents: AgentFactory,
    /// The MCP servers that each sandbox gets.
    pub servers: Arc<[McpServer]>,
    /// The rules of the gate.
    pub policy: Policy,
    /// The name of this process in leases; no two processes share one.
    pub instance: String,
}

/// A client wants a session.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// Which; none for a new one with a name of the server's choice.
    pub id: Option<SessionId>,
    /// Who wants it.
    pub principal: Principal,
    /// The model it wants instead of the configured one. Counts from the next turn on.
    pub model: Option<String>,
    /// A provider key of its own. The session's turns use the one that was brought last, from the next turn on; it is held in
    /// memory by the session's actor, and nowhere else.
    pub key: Option<SecretString>,
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Sessions that came to a rest by themselves.
    pub finished: usize,
    /// Sessions that were cut off; their turns are taken up by the next process.
    pub cut: usize,
}

/// The way into all sessions of this process.
pub struct SessionManager {
    shared: Arc<Shared>,
    registry: Registry,
}

impl SessionManager {
    /// A manager over these ports. `config` has no problems.
    pub fn new(config: Config, ports: Ports) -> Arc<Self> {
        let starter = Arc::new(Starter {
            sandboxes: Arc::clone(&ports.sandboxes),
            host: Arc::clone(&ports.tools),
            servers: Arc::clone(&ports.servers),
            pool: Pool::new(config.warm_sandboxes),
        });
        let rules = config.rules();
        let (tasks, soft, hard) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        if config.warm_sandboxes > 0 {
            let oldest = Duration::from_secs(config.warm_sandbox_secs);
            tasks.spawn(pool::keep_warm(Arc::clone(&starter), oldest, soft.clone()));
        }
        let shared = Arc::new(Shared { config, rules, ports, starter, tasks, soft, hard });
        Arc::new(Self { shared, registry: Registry::default() })
    }

    /// Attaches a view to a session, which is created where there is none by that name. Its sandbox starts if it has none;
    /// [`Attached::ready`] waits for it. Messages are taken from now on.
    pub async fn open(&self, request: OpenSession) -> Result<Attached, Failure> {
        self.refuse_when_draining()?;
        let OpenSession { id, principal, model, key } = request;
        // Before anything is created for the client.
        let wish = self.shared.ports.agents.wish(model, key)?;
        let now = self.shared.now();
        let (id, resumed) = match id {
            Some(id) => self.find_or_create(id, &principal, &wish, now).await?,
            None => (self.create(checks::new_session_id()?, &principal, &wish, now).await?, false),
        };
        // Subscribed before the actor is asked, so that no progress is missed.
        let slot = self.registry.slot(&id);
        let live = slot.live.subscribe();
        let readiness = self.ask(&id, &principal, |reply| Request::Attach(wish.clone(), reply)).await?;
        if resumed {
            self.shared.ports.store.touch(&id, now).await.map_err(|e| store_failure(&e))?;
        }
        Ok(Attached { session: id, resumed, live, readiness, _slot: slot })
    }

    /// Takes a user's message. When this returns `Ok`, the message is stored and its turn will end.
    pub async fn submit(&self, id: &SessionId, by: &Principal, message: NewMessage) -> Result<Accepted, Failure> {
        self.refuse_when_draining()?;
        checks::check(&message, &self.shared.config)?;
        let NewMessage { text, attachments, client_message_id } = message;
        let message = UserMessage { text, attachments, client_message_id, by: by.id.clone() };
        self.ask(id, by, |reply| Request::Submit(message.clone(), reply)).await
    }

    /// Takes a human's answer for a call: the first one holds. `args` are run instead of the model's.
    #[expect(clippy::too_many_arguments, reason = "they are the fields of one event of the contract")]
    pub async fn decide(
        &self,
        id: &SessionId,
        by: &Principal,
        call: CallId,
        approved: bool,
        scope: Scope,
        reason: Option<String>,
        args: Option<Value>,
    ) -> Result<(), Failure> {
        let answer = Answer { call, approved, scope, reason, args, by: by.id.clone() };
        self.ask(id, by, |reply| Request::Decide(answer.clone(), reply)).await
    }

    /// Stops the turn that runs.
    pub async fn cancel(&self, id: &SessionId, by: &Principal) -> Result<(), Failure> {
        self.ask(id, by, Request::Cancel).await
    }

    /// Empties the history. Turns that run or wait are cancelled first.
    pub async fn reset(&self, id: &SessionId, by: &Principal) -> Result<(), Failure> {
        self.ask(id, by, Request::Reset).await
    }

    /// Ends the session: its sandbox goes now, its history stays.
    pub async fn end(&self, id: &SessionId, by: &Principal) -> Result<(), Failure> {
        self.ask(id, by, Request::End).await
    }

    /// The session as it stands.
    pub async fn snapshot(&self, id: &SessionId, by: &Principal) -> Result<Snapshot, Failure> {
        self.ask(id, by, Request::Snapshot).await
    }

    /// A part of the history: at most `limit` messages, those before the place `before` or the newest.
    pub async fn history(
        &self,
        id: &SessionId,
        by: &Principal,
        before: Option<usize>,
        limit: usize,
    ) -> Result<HistoryPage, Failure> {
        self.record_of(id, by).await?;
        let all = self.shared.ports.store.history(id).await.map_err(|e| store_failure(&e))?;
        let end = before.unwrap_or(all.len()).min(all.len());
        let start = end.saturating_sub(limit.max(1));
        let messages = all.into_iter().enumerate().take(end).skip(start).collect();
        Ok(HistoryPage { messages, before: (start > 0).then_some(start) })
    }

    /// The session's events after `after`, and those to come.
    pub async fn follow(&self, id: &SessionId, by: &Principal, after: Seq) -> Result<EventStream, Failure> {
        self.record_of(id, by).await?;
        self.shared.ports.store.follow(id, after).await.map_err(|e| store_failure(&e))
    }

    /// The principal's sessions, the last used first.
    pub async fn list(&self, by: &Principal, limit: usize) -> Result<Vec<SessionRecord>, Failure> {
        self.shared.ports.store.owned_by(&by.id, limit).await.map_err(|e| store_failure(&e))
    }

    /// Takes over sessions whose turns another process left open. Returns how many.
    pub async fn resume_abandoned(&self) -> Result<usize, StoreError> {
        const AT_ONCE: usize = 64;
        let abandoned = self.shared.ports.store.abandoned(self.shared.now(), AT_ONCE).await?;
        let mut resumed = 0;
        for id in abandoned {
            // An actor that is late with its renewal is not a dead one.
            if self.live_actor(&id).await.is_some() {
                continue;
            }
            let Some(record) = self.shared.ports.store.get(&id).await? else { continue };
            match self.actor(&id, &Principal { id: record.owner }).await {
                Ok(_) => resumed += 1,
                Err(failure) => {
                    tracing::warn!(session.id = %id, code = %failure.code, "an open turn could not be taken over: {}", failure.message);
                }
            }
        }
        Ok(resumed)
    }

    /// Whether sessions can be served now.
    pub async fn readiness(&self) -> Result<(), Failure> {
        self.refuse_when_draining()?;
        self.shared.ports.store.check().await.map_err(|e| store_failure(&e))
    }

    /// How many sessions have an actor in this process.
    pub fn live_sessions(&self) -> usize {
        self.registry.live()
    }

    /// Ends all actors: those that work get `within` to come to a rest. Nothing that was acknowledged is lost; what is open is
    /// taken up by the next process.
    pub async fn drain(&self, within: Duration) -> Drained {
        let before = self.registry.live();
        self.shared.soft.cancel();
        self.shared.tasks.close();
        let rested = tokio::time::timeout(within, self.shared.tasks.wait()).await.is_ok();
        let cut = if rested { 0 } else { self.registry.live() };
        self.shared.hard.cancel();
        self.shared.tasks.wait().await;
        Drained { finished: before.saturating_sub(cut), cut }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The session's actor, if it has one in this process.
    pub(crate) async fn live_actor(&self, id: &SessionId) -> Option<ActorHandle> {
        self.registry.get(id).await
    }

    async fn find_or_create(
        &self,
        id: SessionId,
        by: &Principal,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<(SessionId, bool), Failure> {
        let found = self.shared.ports.store.get(&id).await.map_err(|e| store_failure(&e))?;
        if let Some(record) = found {
            checks::owns(&record, by)?;
            // Who has lost the key of a session may look at it all the same.
            if !record.own_key {
                self.shared.ports.agents.can_answer(wish)?;
            }
            return Ok((id, true));
        }
        Ok((self.create(id, by, wish, now).await?, false))
    }

    async fn create(&self, id: SessionId, by: &Principal, wish: &Wish, now: Timestamp) -> Result<SessionId, Failure> {
        self.shared.ports.agents.can_answer(wish)?;
        let mut record = SessionRecord::opened(id.clone(), by.id.clone(), wish.model.clone(), now);
        record.own_key = wish.key.is_some();
        match self.shared.ports.store.create(&record).await {
            Ok(()) => Ok(id),
            // Two tabs of one client may ask for the same new session at once.
            Err(StoreError::AlreadyExists) => self.record_of(&id, by).await.map(|_| id),
            Err(error) => Err(store_failure(&error)),
        }
    }

    async fn record_of(&self, id: &SessionId, by: &Principal) -> Result<SessionRecord, Failure> {
        let record = self.shared.ports.store.get(id).await.map_err(|e| store_failure(&e))?;
        let record = record.ok_or_else(checks::not_yours)?;
        checks::owns(&record, by).map(|()| record)
    }

    fn refuse_when_draining(&self) -> Result<(), Failure> {
        if !self.shared.soft.is_cancelled() {
            return Ok(());
        }
        Err(Failure::new(Code::Draining, "The server is shutting down.").with_hint("Connect again in a moment."))
    }
}

fn gone() -> Failure {
    Failure::new(Code::StoreUnavailable, "The session was lost on its way to the store.")
        .with_hint("Send it again; what was acknowledged is kept, and a message sent twice is taken once.")
}
