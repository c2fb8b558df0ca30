//! A gateway with a session manager behind it, and everything faked around that.

use crate::{
    client::Client,
    flaky::{Flaky, Outage},
    stalling::Stalling,
};
use futures::FutureExt;
use lockkeeper_domain::{Event, Policy, PrincipalId, Seq, ServerName, SessionId};
use lockkeeper_embedded_store::{EmbeddedStore, PeerHub};
use lockkeeper_orchestrator::{AgentFactory, OwnKeys, Ports, Provider, SessionManager};
use lockkeeper_ports::{
    Authenticator, BudgetLedger, Clock, EventLog, ExecStatus, KeyedLlm, LlmError, LlmProvider, McpServer,
    SandboxRuntime, StoreError,
};
use lockkeeper_socket_gateway::{Config, Gateway, GatewayService, OpenAuthenticator, StaticAuthenticator};
use lockkeeper_testkit::{
    clock::TokioClock,
    llm::{ScriptedProvider, Step},
    sandbox::FakeSandboxRuntime,
    tools::{FakeTool, FakeToolHost},
};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tower::ServiceExt;

pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) service: GatewayService,
    pub(crate) manager: Arc<SessionManager>,
    pub(crate) store: Arc<EmbeddedStore>,
    pub(crate) provider: ScriptedProvider,
    pub(crate) sandboxes: Arc<FakeSandboxRuntime>,
    pub(crate) host: FakeToolHost,
}

pub(crate) struct Builder {
    pub(crate) config: Config,
    pub(crate) sessions: lockkeeper_orchestrator::Config,
    steps: Vec<Step>,
    authenticator: Arc<dyn Authenticator>,
    has_key: bool,
    takes_keys: bool,
    outage: Outage,
    tools: Vec<FakeTool>,
}

impl World {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::builder(steps).build()
    }

    pub(crate) fn builder(steps: impl IntoIterator<Item = Step>) -> Builder {
        Builder {
            config: Config::default(),
            sessions: lockkeeper_orchestrator::Config::default(),
            steps: steps.into_iter().collect(),
            authenticator: Arc::new(OpenAuthenticator),
            has_key: true,
            takes_keys: false,
            outage: Outage::default(),
            tools: Vec::new(),
        }
    }

    /// A client that has connected and waits for `system:ready`.
    pub(crate) async fn connect(&self, query: &str, auth: Value) -> Client {
        Client::connect(self, query, auth, 1 << 20).await
    }

    /// A client whose session is ready.
    pub(crate) async fn ready(&self, query: &str) -> Client {
        let mut client = self.connect(query, json!({})).await;
        client.until("system:ready").await;
        client
    }

    /// The client's end of a WebSocket; a write of the server that nobody reads fails after 2 s.
    pub(crate) async fn open(&self, query: &str, buffer: usize) -> Result<tokio::io::DuplexStream, String> {
        let (ours, theirs) = tokio::io::duplex(buffer);
        let peer: SocketAddr = "127.0.0.1:5000".parse().expect("an address");
        let request = http::Request::get(format!("/socket.io/?EIO=4&transport=websocket&{query}"))
            .header("host", "localhost:3000")
            .header("user-agent", "a test/1")
            .extension(peer)
            .body(())
            .expect("a request");
        let stream = Stalling::new(ours, Duration::from_secs(2));
        self.service.clone().oneshot((stream, request)).await.map(|()| theirs)
    }

    pub(crate) async fn log(&self, session: &str) -> Vec<Event> {
        let id: SessionId = session.parse().expect("a session id");
        self.store.read(&id, Seq::default(), 100_000).await.expect("a log")
    }

    /// Whether the beginning of the log is gone.
    pub(crate) async fn store_trimmed(&self, session: &str) -> bool {
        let id: SessionId = session.parse().expect("a session id");
        matches!(self.store.read(&id, Seq::default(), 1).await, Err(StoreError::Trimmed(_)))
    }
}

impl Builder {
    pub(crate) fn config(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// Clients may be as quick as they like.
    pub(crate) fn fast(self) -> Self {
        self.config(|c| {
            c.event_burst = 100_000;
            (c.event_burst_per_principal, c.event_burst_per_address, c.event_burst_in_all) =
                (100_000, 100_000, 100_000);
        })
    }

    pub(crate) fn tokens<const N: usize>(mut self, tokens: [(&str, &str); N]) -> Self {
        let id = |name: &str| PrincipalId::parse(name).expect("an id");
        let tokens = tokens.map(|(name, token)| (id(name), token.to_owned().into()));
        self.authenticator = Arc::new(StaticAuthenticator::new(tokens));
        self
    }

    pub(crate) fn outage(mut self, outage: &Outage) -> Self {
        self.outage = outage.clone();
        self
    }

    /// With another tool.
    pub(crate) fn tool(mut self, tool: FakeTool) -> Self {
        self.tools.push(tool);
        self
    }

    pub(crate) fn without_key(mut self) -> Self {
        self.has_key = false;
        self
    }

    /// Users may bring keys of their own.
    pub(crate) fn with_own_keys(mut self) -> Self {
        self.takes_keys = true;
        self
    }

    pub(crate) fn authenticator(mut self, authenticator: impl Authenticator + 'static) -> Self {
        self.authenticator = Arc::new(authenticator);
        self
    }

    pub(crate) fn build(self) -> World {
        let [world] = self.build_servers();
        world
    }

    /// Servers over one store, which reach each other.
    pub(crate) fn build_servers<const N: usize>(self) -> [World; N] {
        assert_eq!(self.config.problems(), []);
        let provider = ScriptedProvider::new(self.steps);
        let choice = if self.has_key {
            Provider::Ready(Arc::new(provider.clone()))
        } else {
            Provider::MissingKey { name: "claude", variable: "ANTHROPIC_API_KEY" }
        };
        let own_keys =
            if self.takes_keys { OwnKeys::Taken(Arc::new(Keyed(provider.clone()))) } else { OwnKeys::Refused };
        let sandboxes = Arc::new(FakeSandboxRuntime::new(|_| std::future::ready(ExecStatus::Exited(0)).boxed()));
        let tools = [
            FakeTool::echo("box", "echo"),
            FakeTool::hangs("box", "hang"),
            FakeTool::fails("box", "fail", lockkeeper_domain::Code::ToolFailed, "no such file"),
        ];
        let host = FakeToolHost::new(tools.into_iter().chain(self.tools));
        let (store, clock) = (Arc::new(EmbeddedStore::in_memory()), Arc::new(TokioClock::start()));
        let server = McpServer {
            name: ServerName::new("box"),
            command: vec!["box".to_owned()],
            env: BTreeMap::new(),
            tools: None,
            advice: None,
        };
        let ports = Ports {
            store: Arc::new(Flaky::new(Arc::clone(&store), self.outage)),
            sandboxes: Arc::clone(&sandboxes) as Arc<dyn SandboxRuntime>,
            tools: Arc::new(host.clone()),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            agents: AgentFactory::new(choice, None).with_own_keys(own_keys),
            servers: [server].into(),
            workspace: Some(ServerName::new("box")),
            rules: Arc::new(EmbeddedStore::in_memory()),
            policy: Policy::default().into(),
            image: None,
            audit_key: None,
            secrets: [].into(),
            peers: PeerHub::new().join("nobody"),
            budgets: Arc::clone(&store) as Arc<dyn BudgetLedger>,
        };
        let hub = PeerHub::new();
        std::array::from_fn(|n| {
            let ports = Ports { peers: hub.join(format!("server-{n}")), ..ports.clone() };
            let manager = SessionManager::new(self.sessions.clone(), ports);
            let authenticator = Arc::clone(&self.authenticator);
            let (config, clock) = (self.config.clone(), Arc::clone(&clock) as Arc<dyn Clock>);
            let (gateway, service) = Gateway::new(config, Arc::clone(&manager), authenticator, clock);
            let (store, provider, host) = (Arc::clone(&store), provider.clone(), host.clone());
            World { gateway, service, manager, store, provider, sandboxes: Arc::clone(&sandboxes), host }
        })
    }
}

/// The same script, whoever pays.
struct Keyed(ScriptedProvider);

impl KeyedLlm for Keyed {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn default_model(&self) -> &str {
        self.0.default_model()
    }

    fn with_key(&self, _key: SecretString) -> Result<Arc<dyn LlmProvider>, LlmError> {
        Ok(Arc::new(self.0.clone()))
    }
}

/// Waits until `reached` holds; fails after 10 s.
pub(crate) async fn eventually(what: &str, mut reached: impl FnMut() -> bool) {
    let wait = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(10), wait).await.is_ok(), "never: {what}");
}
