mod actors;
mod attach;
mod audit;
mod checks;
mod files;
mod health;
mod look;
mod outage;
mod peers;
mod reach;
mod records;
mod registry;
mod sessions;
mod setbacks;
mod takeover;

pub use self::audit::{trail, whole_log};
use self::checks::Wanted;
pub(crate) use self::checks::{new_question_id, new_workspace_id};
use crate::{
    Accepted, AgentFactory, Attached, Config, Decided, HistoryPage, NewMessage, Rulebook,
    actor::{ActorHandle, Shared, store_failure},
    agent::Wish,
    checks::Checks,
    guard::CleanHost,
    live::Elsewhere,
    order::{Order, Outcome},
    output::Output,
    pool::{self, Pool},
    purse::{Purse, Usage},
    roster::Roster,
    sandbox::Starter,
    storage::Storage,
};
use attach::Waiting;
pub use health::McpHealth;
use lockkeeper_domain::{
    Answer, AuditKey, BudgetAnswer, Code, Failure, Power, QuestionId, Seq, ServerName, SessionId, ToolTrusted,
    UserMessage,
};
use lockkeeper_ports::{
    BudgetLedger, Clock, EventStream, McpServer, Peers, Principal, RuleRepository, SandboxRuntime, SessionStore,
    ToolHost,
};
pub(crate) use outage::Outage;
use registry::Registry;
pub(crate) use registry::Visit;
use secrecy::SecretString;
pub(crate) use setbacks::Setbacks;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;
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
    /// The MCP servers that each sandbox gets, until others are [offered](SessionManager::offer_servers).
    pub servers: Arc<[McpServer]>,
    /// Which of them is the built-in one, by which the owner of a session looks at its files; `None` where it is left out.
    pub workspace: Option<ServerName>,
    /// The rules that approvals have stored.
    pub rules: Arc<dyn RuleRepository>,
    /// The rules of the gate.
    pub policy: Rulebook,
    /// What sandboxes are started from, in the words of their runtime: approvals are bound to it. None where it has no name.
    pub image: Option<Arc<str>>,
    /// What marks the records of the audit as this deployment's.
    pub audit_key: Option<AuditKey>,
    /// Secrets of the server that no tool's output may carry to a model or a browser.
    pub secrets: Arc<[SecretString]>,
    /// The servers that share the store.
    pub peers: Arc<dyn Peers>,
    /// What was spent, and by whom.
    pub budgets: Arc<dyn BudgetLedger>,
}

/// How many live news wait for the way to other servers. Those beyond are lost.
const LIVE_NEWS: usize = 1_024;

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
    /// Sessions whose takeover or expiry failed.
    setbacks: Setbacks,
    /// Live news of the sessions here, for the views on other servers.
    elsewhere: Elsewhere,
    /// What goes on until the manager is drained or dropped.
    background: TaskTracker,
    closed: CancellationToken,
}

impl SessionManager {
    /// A manager over these ports. `config` has no problems.
    pub fn new(config: Config, ports: Ports) -> Arc<Self> {
        let output = Arc::new(Output::new(&config.output, &ports.secrets, &ports.servers));
        let starter = Arc::new(Starter {
            sandboxes: Arc::clone(&ports.sandboxes),
            host: Arc::new(CleanHost::new(Arc::clone(&ports.tools), Arc::clone(&output))),
            roster: Roster::new(Arc::clone(&ports.servers)),
            pool: Pool::new(config.warm_sandboxes),
        });
        let rules = config.rules();
        let (tasks, soft, hard) = (TaskTracker::new(), CancellationToken::new(), CancellationToken::new());
        if config.warm_sandboxes > 0 {
            let oldest = Duration::from_secs(config.warm_sandbox_secs);
            tasks.spawn(pool::keep_warm(Arc::clone(&starter), oldest, soft.clone()));
        }
        let (ledger, clock) = (Arc::clone(&ports.budgets), Arc::clone(&ports.clock));
        let budgets = (config.budgets.clone(), config.store_grace());
        let purse = Purse::new(ledger, budgets, clock, tasks.clone(), hard.clone());
        let outage = Outage::new(config.lease());
        let checks = Arc::new(Checks::new(config.argument_checks.clone()));
        let storage = Storage::new();
        let shared = Arc::new(Shared {
            config,
            rules,
            ports,
            starter,
            output,
            purse,
            outage,
            checks,
            storage,
            tasks,
            soft,
            hard,
        });
        let peers = Arc::clone(&shared.ports.peers);
        let (elsewhere, news) = mpsc::channel(LIVE_NEWS);
        let (registry, setbacks) = (Registry::default(), Setbacks::default());
        let (background, closed) = (TaskTracker::new(), CancellationToken::new());
        let telling = peers::tell_live(Arc::clone(&peers), news);
        background.spawn(closed.clone().run_until_cancelled_owned(telling));
        let manager = Arc::new(Self { shared, registry, setbacks, elsewhere, background, closed });
        let serving = peers::serve(Arc::downgrade(&manager), peers, manager.background.clone());
        manager.background.spawn(manager.closed.clone().run_until_cancelled_owned(serving));
        manager
    }

    pub(crate) fn setbacks(&self) -> &Setbacks {
        &self.setbacks
    }

    /// Attaches a view to a session, which is created where there is none by that name. Its sandbox starts if it has none;
    /// [`Attached::ready`] waits for it. Messages are taken from now on.
    pub async fn open(self: &Arc<Self>, request: OpenSession) -> Result<Attached, Failure> {
        let named = request.id.clone();
        match self.try_open(request.clone()).await {
            // A session that nobody used may have been given up between two steps of this; then it is a new one.
            Err(failure) if failure.code == Code::Forbidden => match named {
                Some(id) if !self.exists(&id).await? => self.try_open(request).await,
                _ => Err(failure),
            },
            opened => opened,
        }
    }

    async fn try_open(self: &Arc<Self>, request: OpenSession) -> Result<Attached, Failure> {
        self.refuse_when_draining()?;
        let OpenSession { id, principal, model, key } = request;
        // Before anything is created for the client.
        let wish = self.shared.ports.agents.wish(model, key)?;
        let now = self.shared.now();
        let (id, found) = if let Some(id) = id {
            self.find_or_create(id, &principal, &wish, now).await?
        } else {
            checks::has(&principal, Power::Drive, "open sessions")?;
            (self.create(checks::new_session_id()?, &principal, &wish, now).await?, None)
        };
        let resumed = found.is_some();
        // Whoever only looks at somebody else's session changes neither its model nor its key.
        let (principal, wish) = match found {
            Some(owner) if owner.id != principal.id => (owner, Wish::default()),
            _ => (principal, wish),
        };
        // Subscribed before the owner is asked, so that no progress is missed.
        let slot = self.registry.slot(&id);
        self.hear(&id, &slot).await;
        let live = slot.live.subscribe();
        let Waiting { readiness, asking } = self.attach(&id, &principal, wish).await?;
        if resumed {
            self.shared.ports.store.touch(&id, now).await.map_err(|e| store_failure(&e))?;
        }
        Ok(Attached { session: id, resumed, live, readiness, _asking: asking, _slot: slot })
    }

    /// Takes a user's message. When this returns `Ok`, the message is stored and its turn will end.
    pub async fn submit(&self, id: &SessionId, by: &Principal, message: NewMessage) -> Result<Accepted, Failure> {
        self.refuse_when_draining()?;
        checks::has(by, Power::Drive, "send messages")?;
        let shared = &self.shared;
        checks::check(&message, &shared.config)?;
        shared.storage.admit_message(&by.id, message.bytes(), shared.ports.store.as_ref(), &shared.config).await?;
        let NewMessage { text, attachments, client_message_id } = message;
        let message = UserMessage { text, attachments, client_message_id, by: by.id.clone() };
        match self.order(id, by, Order::Submit(message)).await? {
            Outcome::Accepted(accepted) => Ok(accepted),
            _ => Err(Failure::new(Code::Internal, "The message was not accepted.")),
        }
    }

    /// Takes a human's answer for a call: the first one holds. The rule of one for always is stored before the call runs.
    pub async fn decide(&self, id: &SessionId, by: &Principal, answer: Answer) -> Result<Decided, Failure> {
        let owner = self.decides_for(id, by).await?;
        let answer = Answer { by: by.id.clone(), via: by.via.clone(), ..answer };
        match self.order(id, &owner, Order::Decide(Box::new(answer))).await? {
            Outcome::Decided(decided) => Ok(decided),
            _ => Ok(Decided::default()),
        }
    }

    /// Whether answers must give a digest, and one that gives none is taken as one to the only question that its sender was
    /// shown.
    pub fn takes_shown_digest(&self) -> bool {
        self.shared.config.require_digest.is_none() && self.shared.config.serving
    }

    /// Takes a tool that is held back as it is now: what `fingerprint` says that the human was shown.
    pub async fn trust(
        &self,
        id: &SessionId,
        by: &Principal,
        server: ServerName,
        tool: String,
        fingerprint: String,
    ) -> Result<(), Failure> {
        let owner = self.decides_for(id, by).await?;
        let trusted = ToolTrusted { server, tool, fingerprint, by: by.id.clone() };
        self.order(id, &owner, Order::Trust(trusted)).await.map(drop)
    }

    /// Whose session it is in which `by` decides.
    async fn decides_for(&self, id: &SessionId, by: &Principal) -> Result<Principal, Failure> {
        // Its owner drives it here, most of the time; then there is nothing to look up.
        let is_own = self.live_actor(id).await.is_some_and(|actor| actor.owner == by.id);
        if is_own && by.powers.may(Power::Decide) {
            return Ok(by.clone());
        }
        self.record_for(Wanted::Decide, id, by).await.map(|record| Principal::known(record.owner))
    }

    /// Takes a human's word on a turn that would cost more than there is, as the answer to this question and to no other.
    pub async fn answer_budget(
        &self,
        id: &SessionId,
        by: &Principal,
        go_on: bool,
        question: Option<QuestionId>,
    ) -> Result<(), Failure> {
        let owner = self.decides_for(id, by).await?;
        let answer = BudgetAnswer { question, go_on, by: by.id.clone(), via: by.via.clone() };
        self.order(id, &owner, Order::AnswerBudget(answer)).await.map(drop)
    }

    /// What the session and its owner have spent, and may. For its owner alone.
    pub async fn usage(&self, id: &SessionId, by: &Principal) -> Result<Usage, Failure> {
        let record = self.owned(id, by).await?;
        self.shared.purse.usage(id, &record.owner).await
    }

    /// Stops the turn that runs.
    pub async fn cancel(&self, id: &SessionId, by: &Principal) -> Result<(), Failure> {
        checks::has(by, Power::Drive, "cancel turns")?;
        self.order(id, by, Order::Cancel).await.map(drop)
    }

    /// Empties the history. Turns that run or wait are cancelled first.
    pub async fn reset(&self, id: &SessionId, by: &Principal) -> Result<(), Failure> {
        checks::has(by, Power::Drive, "reset histories")?;
        self.order(id, by, Order::Reset).await.map(drop)
    }

    /// Ends the session: its sandbox goes now, its history stays.
    pub async fn end(&self, id: &SessionId, by: &Principal) -> Result<(), Failure> {
        checks::has(by, Power::Drive, "end sessions")?;
        let record = self.owned(id, by).await?;
        if record.sandbox.is_none() && !record.busy && self.live_actor(id).await.is_none() {
            // Nothing runs. To drive it only to end it would start a sandbox, and take another session's place.
            return Ok(());
        }
        self.order(id, by, Order::End).await.map(drop)
    }

    /// A part of the history: at most `limit` messages, those before the place `before` or the newest.
    pub async fn history(
        &self,
        id: &SessionId,
        by: &Principal,
        before: Option<usize>,
        limit: usize,
    ) -> Result<HistoryPage, Failure> {
        self.record_for(Wanted::Look, id, by).await?;
        let all = self.shared.ports.store.history(id).await.map_err(|e| store_failure(&e))?;
        let end = before.unwrap_or(all.len()).min(all.len());
        let start = end.saturating_sub(limit.max(1));
        let messages = all.into_iter().enumerate().take(end).skip(start).collect();
        Ok(HistoryPage { messages, before: (start > 0).then_some(start) })
    }

    /// Whether there is such a session, for who was let in to it.
    pub async fn exists(&self, id: &SessionId) -> Result<bool, Failure> {
        Ok(self.shared.ports.store.get(id).await.map_err(|e| store_failure(&e))?.is_some())
    }

    /// Whether `by` may see the session now.
    pub async fn may_look(&self, id: &SessionId, by: &Principal) -> Result<(), Failure> {
        self.record_for(Wanted::Look, id, by).await.map(drop)
    }

    /// The session's events after `after`, and those to come.
    pub async fn follow(&self, id: &SessionId, by: &Principal, after: Seq) -> Result<EventStream, Failure> {
        self.record_for(Wanted::Look, id, by).await?;
        self.shared.ports.store.follow(id, after).await.map_err(|e| store_failure(&e))
    }

    /// Whether sessions can be served now.
    pub async fn readiness(&self) -> Result<(), Failure> {
        self.refuse_when_draining()?;
        self.shared.ports.store.check().await.map_err(|e| store_failure(&e))
    }

    /// What an operator should know, though sessions can be served.
    pub fn warnings(&self) -> Vec<Failure> {
        self.shared.ports.policy.warning().into_iter().collect()
    }

    /// How many sessions have an actor in this process.
    pub fn live_sessions(&self) -> usize {
        self.registry.live()
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The session's actor, if it has one in this process.
    pub(crate) async fn live_actor(&self, id: &SessionId) -> Option<ActorHandle> {
        self.registry.get(id).await
    }

    fn refuse_when_draining(&self) -> Result<(), Failure> {
        if !self.shared.soft.is_cancelled() {
            return Ok(());
        }
        Err(Failure::new(Code::Draining, "The server is shutting down.").with_hint("Connect again in a moment."))
    }
}

impl Drop for SessionManager {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}
