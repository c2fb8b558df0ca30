//! A session manager with everything faked around it.

use futures::StreamExt;
use lockkeeper_domain::{
    Answer, ApprovalRequired, AuditKey, CallId, ClientMessageId, Event, EventBody, Failure, Policy, PrincipalId, Rule,
    Scope, Seq, ServerName, SessionId, StopReason, ToolSettled,
};
use lockkeeper_embedded_store::{EmbeddedStore, PeerHub};
use lockkeeper_orchestrator::{
    Accepted, AgentFactory, Attached, Config, Decided, NewMessage, OpenSession, OwnKeys, Ports, Provider, Rulebook,
    SessionManager,
};
use lockkeeper_ports::{
    Availability, BudgetLedger, Clock, EventStream, McpServer, Peers, Principal, RuleRepository, SandboxId,
    SandboxSummary, SessionStore, mocks::MockSandboxRuntime,
};
use lockkeeper_testkit::{
    clock::TokioClock,
    faulty_store::FaultyStore,
    llm::{ScriptedProvider, Step},
    tools::{FakeTool, FakeToolHost},
};
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Managers have names of their own.
static NEXT: AtomicUsize = AtomicUsize::new(0);

/// What is around a manager. It outlives managers, as the world outlives a server.
#[derive(Clone)]
pub(crate) struct Desk {
    pub(crate) store: FaultyStore,
    pub(crate) host: FakeToolHost,
    pub(crate) provider: ScriptedProvider,
    pub(crate) clock: TokioClock,
    pub(crate) stopped: Arc<Mutex<Vec<SandboxId>>>,
    pub(crate) listed: Arc<Mutex<Vec<SandboxSummary>>>,
    pub(crate) config: Config,
    pub(crate) rules: Vec<Rule>,
    /// The rules that approvals have stored.
    pub(crate) stored: Arc<EmbeddedStore>,
    /// The way to them, where it has faults.
    pub(crate) stored_rules: Option<Arc<dyn RuleRepository>>,
    /// The rules, where they change.
    pub(crate) rulebook: Option<Rulebook>,
    pub(crate) hub: PeerHub,
    /// How this server sees the others, if not over the hub as it is.
    pub(crate) peers: Option<Arc<dyn Peers>>,
    pub(crate) own_keys: OwnKeys,
    pub(crate) workspace: Option<ServerName>,
    pub(crate) budgets: Arc<dyn BudgetLedger>,
}

impl Desk {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let tools = [
            FakeTool::echo("box", "echo"),
            FakeTool::hangs("box", "hang"),
            FakeTool::with_progress("box", "slow", 3),
            FakeTool::fails("box", "fail", lockkeeper_domain::Code::ToolFailed, "no such file"),
        ];
        Self {
            store: FaultyStore::over(Arc::new(EmbeddedStore::in_memory())),
            host: FakeToolHost::new(tools),
            provider: ScriptedProvider::new(steps),
            clock: TokioClock::start(),
            stopped: Arc::default(),
            listed: Arc::default(),
            config: Config::default(),
            rules: Vec::new(),
            stored: Arc::new(EmbeddedStore::in_memory()),
            stored_rules: None,
            rulebook: None,
            hub: PeerHub::new(),
            peers: None,
            own_keys: OwnKeys::Refused,
            workspace: Some(ServerName::new("box")),
            budgets: Arc::new(EmbeddedStore::in_memory()),
        }
    }

    /// The same world as another server sees it: its way to the store has faults of its own.
    pub(crate) fn another(&self) -> Self {
        Self { store: self.store.seen_by_another(), ..self.clone() }
    }

    /// A server on the hub, under a name of its own.
    pub(crate) fn join(&self) -> Arc<dyn Peers> {
        self.hub.join(format!("desk-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    pub(crate) fn manager(&self) -> Arc<SessionManager> {
        self.manager_with(Provider::Ready(Arc::new(self.provider.clone())), self.sandboxes())
    }

    pub(crate) fn manager_with(&self, provider: Provider, sandboxes: MockSandboxRuntime) -> Arc<SessionManager> {
        let server = McpServer {
            name: ServerName::new("box"),
            command: vec!["box".to_owned()],
            env: BTreeMap::new(),
            tools: None,
            advice: None,
        };
        let ports = Ports {
            store: Arc::new(self.store.clone()) as Arc<dyn SessionStore>,
            sandboxes: Arc::new(sandboxes),
            tools: Arc::new(self.host.clone()),
            clock: Arc::new(self.clock) as Arc<dyn Clock>,
            agents: AgentFactory::new(provider, None).with_own_keys(self.own_keys.clone()),
            servers: [server].into(),
            workspace: self.workspace.clone(),
            rules: self.stored_rules.clone().unwrap_or_else(|| Arc::clone(&self.stored) as _),
            policy: self.rulebook.clone().unwrap_or_else(|| Policy::new(self.rules.clone()).into()),
            image: Some("sha256:desk".into()),
            audit_key: AuditKey::new([7; 32]),
            secrets: [].into(),
            peers: self.peers.clone().unwrap_or_else(|| self.join()),
            budgets: Arc::clone(&self.budgets),
        };
        SessionManager::new(self.config.clone(), ports)
    }

    /// A runtime whose sandboxes always start.
    pub(crate) fn sandboxes(&self) -> MockSandboxRuntime {
        let mut sandboxes = MockSandboxRuntime::new();
        sandboxes.expect_start().returning(|spec, _| Ok(SandboxId::new(format!("{}.{}", spec.session, spec.epoch))));
        self.with_stop_and_list(sandboxes)
    }

    /// Without any in reserve, and never away, unless that was expected before.
    pub(crate) fn with_stop_and_list(&self, mut sandboxes: MockSandboxRuntime) -> MockSandboxRuntime {
        sandboxes.expect_reserve().returning(|| Ok(None));
        sandboxes.expect_availability().returning(Availability::always);
        let stopped = Arc::clone(&self.stopped);
        sandboxes.expect_stop().returning(move |id| {
            stopped.lock().expect("no panic").push(id.clone());
            Ok(())
        });
        let listed = Arc::clone(&self.listed);
        sandboxes.expect_list().returning(move || Ok(listed.lock().expect("no panic").clone()));
        sandboxes
    }

    pub(crate) fn stopped(&self) -> Vec<String> {
        self.stopped.lock().expect("no panic").iter().map(ToString::to_string).collect()
    }
}

/// A user with one session.
pub(crate) struct User {
    pub(crate) manager: Arc<SessionManager>,
    pub(crate) me: Principal,
    pub(crate) session: SessionId,
    pub(crate) attached: Attached,
    events: EventStream,
}

pub(crate) fn principal(name: &str) -> Principal {
    Principal::known(PrincipalId::parse(name).expect("an id"))
}

pub(crate) fn wish(session: Option<&str>, name: &str) -> OpenSession {
    let id = session.map(|id| SessionId::parse(id).expect("an id"));
    OpenSession { id, principal: principal(name), model: None, key: None }
}

/// A plain answer for a call.
pub(crate) fn answer(call: &CallId, approved: bool) -> Answer {
    Answer {
        grant: None,
        call: call.clone(),
        approved,
        scope: Scope::Once,
        reason: None,
        args: None,
        digest: None,
        constraints: BTreeMap::new(),
        by: principal("nobody").id,
        via: lockkeeper_domain::Via::default(),
        rule: None,
    }
}

impl User {
    /// Opens session `s` and waits until it is ready.
    pub(crate) async fn ready(manager: &Arc<SessionManager>) -> Self {
        let user = Self::opens(manager, Seq::default()).await;
        user.attached.ready().await.expect("ready");
        user
    }

    /// The session's sandbox.
    pub(crate) async fn sandbox(&self) -> String {
        self.attached.ready().await.expect("ready").sandbox
    }

    pub(crate) async fn opens(manager: &Arc<SessionManager>, after: Seq) -> Self {
        let attached = manager.open(wish(Some("s"), "ann")).await.expect("opened");
        Self::of(manager, attached, after).await
    }

    /// Ann, with a view that she has.
    pub(crate) async fn of(manager: &Arc<SessionManager>, attached: Attached, after: Seq) -> Self {
        let (me, session) = (principal("ann"), attached.session().clone());
        let events = manager.follow(&session, &me, after).await.expect("followed");
        Self { manager: Arc::clone(manager), me, session, attached, events }
    }

    pub(crate) async fn says(&self, text: &str) -> Result<Accepted, Failure> {
        self.says_as(None, text).await
    }

    pub(crate) async fn says_as(&self, name: Option<&str>, text: &str) -> Result<Accepted, Failure> {
        let client_message_id = name.map(|name| ClientMessageId::parse(name).expect("an id"));
        let message = NewMessage { text: text.to_owned(), attachments: Vec::new(), client_message_id };
        self.manager.submit(&self.session, &self.me, message).await
    }

    pub(crate) async fn answers(&self, call: &CallId, approved: bool) -> Result<Decided, Failure> {
        self.decides(answer(call, approved)).await
    }

    pub(crate) async fn decides(&self, answer: Answer) -> Result<Decided, Failure> {
        self.manager.decide(&self.session, &self.me, answer).await
    }

    /// The next event that `pick` picks; those before it are passed over.
    pub(crate) async fn sees<T>(&mut self, mut pick: impl FnMut(&EventBody) -> Option<T>) -> T {
        loop {
            let event = self.next().await;
            if let Some(found) = pick(&event.body) {
                return found;
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Event {
        self.events.next().await.expect("the stream goes on").expect("the log can be read")
    }

    pub(crate) async fn is_asked(&mut self) -> CallId {
        self.is_asked_about().await.call
    }

    pub(crate) async fn is_asked_about(&mut self) -> ApprovalRequired {
        self.sees(|body| match body {
            EventBody::ApprovalRequired(asked) => Some(asked.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn sees_result(&mut self) -> ToolSettled {
        self.sees(|body| match body {
            EventBody::ToolSettled(settled) => Some(settled.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn sees_answer(&mut self) -> String {
        self.sees(|body| match body {
            EventBody::Response { message, .. } => Some(message.text.clone()),
            _ => None,
        })
        .await
    }

    pub(crate) async fn sees_end(&mut self) -> StopReason {
        self.sees(|body| match body {
            EventBody::TurnCompleted(completed) => Some(completed.stop_reason),
            _ => None,
        })
        .await
    }

    pub(crate) async fn sees_notice(&mut self) -> lockkeeper_domain::NoticeKind {
        self.sees(|body| match body {
            EventBody::Notice { kind, .. } => Some(*kind),
            _ => None,
        })
        .await
    }
}
