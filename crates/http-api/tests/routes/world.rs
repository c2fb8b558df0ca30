//! The whole HTTP interface over a session manager with everything faked around it.

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode, header},
    response::Response,
};
use futures::{FutureExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use lockkeeper_domain::{EventBody, Policy, PrincipalId, Seq, ServerName, SessionId};
use lockkeeper_embedded_store::{EmbeddedStore, PeerHub};
use lockkeeper_http_api::{AdminApi, Config, HttpApi, ModelsApi};
use lockkeeper_orchestrator::{
    AgentFactory, ModelCatalog, ModelsConfig, NewMessage, OpenSession, Oversight, Ports, Provider, SessionManager,
};
use lockkeeper_ports::{AuthError, Authenticator, Credentials, EventLog as _, ExecStatus, McpServer, Principal};
use lockkeeper_testkit::{
    clock::TokioClock,
    llm::{ScriptedProvider, Step},
    sandbox::FakeSandboxRuntime,
    tools::{FakeTool, FakeToolHost},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, convert::Infallible, net::SocketAddr, sync::Arc};
use tower::{ServiceExt as _, service_fn};

pub(crate) const TOKEN: &str = "the-token-of-operators";
pub(crate) const OPERATOR: &str = "an operator";

pub(crate) struct World {
    pub(crate) router: Router,
    pub(crate) manager: Arc<SessionManager>,
    store: Arc<EmbeddedStore>,
}

/// Everybody is ann.
struct Open;

#[async_trait::async_trait]
impl Authenticator for Open {
    async fn authenticate(&self, _credentials: &Credentials) -> Result<Principal, AuthError> {
        Ok(principal("ann"))
    }
}

pub(crate) fn principal(name: &str) -> Principal {
    Principal::known(PrincipalId::parse(name).expect("an id"))
}

impl World {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self::with_token(steps, Some(TOKEN))
    }

    pub(crate) fn with_token(steps: impl IntoIterator<Item = Step>, token: Option<&str>) -> Self {
        let agents = AgentFactory::new(Provider::Ready(Arc::new(ScriptedProvider::new(steps))), None);
        let catalog = ModelCatalog::new(ModelsConfig::default(), agents.clone(), Arc::new(TokioClock::start()));
        let store = Arc::new(EmbeddedStore::in_memory());
        let server = McpServer {
            name: ServerName::new("box"),
            command: vec!["box".to_owned()],
            env: BTreeMap::new(),
            tools: None,
            advice: None,
        };
        let ports = Ports {
            store: Arc::clone(&store) as _,
            sandboxes: Arc::new(FakeSandboxRuntime::new(|_| std::future::ready(ExecStatus::Exited(0)).boxed())),
            tools: Arc::new(FakeToolHost::new([FakeTool::echo("box", "echo")])),
            clock: Arc::new(TokioClock::start()),
            agents,
            servers: [server].into(),
            workspace: None,
            rules: Arc::new(EmbeddedStore::in_memory()),
            policy: Policy::default().into(),
            image: None,
            audit_key: None,
            secrets: [].into(),
            peers: PeerHub::new().join("test"),
            budgets: Arc::clone(&store) as _,
        };
        let manager = SessionManager::new(lockkeeper_orchestrator::Config::default(), ports);
        let models = ModelsApi { catalog, authenticator: Arc::new(Open), pages: Arc::new(|_, _, _| Ok(())) };
        let config = Config { console: false, ..Config::default() };
        let mut api = HttpApi::new(config, Arc::clone(&manager), "1.2.3").with_models(models);
        api = api.with_metrics(Arc::new(|| "figures 1\n".to_owned()));
        if let Some(token) = token {
            let oversight = Oversight::new(Arc::clone(&manager), principal(OPERATOR).id);
            api = api.with_admin(AdminApi::new(oversight, &token.into()));
        }
        let socket =
            service_fn(|_: Request<Body>| std::future::ready(Ok::<_, Infallible>(Response::new(Body::empty()))));
        Self { router: api.router(socket), manager, store }
    }

    /// A session of `owner`'s that has said something, and waits for a human in case that the model wants to call a tool.
    pub(crate) async fn session(&self, id: &str, owner: &str, text: &str) -> SessionId {
        let id = SessionId::parse(id).expect("an id");
        let by = principal(owner);
        let request = OpenSession { id: Some(id.clone()), principal: by.clone(), model: None, key: None };
        self.manager.open(request).await.expect("opened").ready().await.expect("ready");
        let message = NewMessage { text: text.to_owned(), attachments: Vec::new(), client_message_id: None };
        self.manager.submit(&id, &by, message).await.expect("accepted");
        self.until(&id, |body| matches!(body, EventBody::ApprovalRequired(_) | EventBody::TurnCompleted(_))).await;
        id
    }

    /// The first event of the session that `is` means.
    pub(crate) async fn until(&self, id: &SessionId, is: impl Fn(&EventBody) -> bool) -> EventBody {
        let mut events = self.store.follow(id, Seq::default()).await.expect("followed");
        loop {
            let event = events.next().await.expect("the stream goes on").expect("the log can be read");
            if is(&event.body) {
                return event.body;
            }
        }
    }

    /// Asks with these headers, from an address of one's own: the status, the headers and the JSON of the answer.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        authorization: Option<&str>,
        body: &str,
    ) -> (StatusCode, HeaderMap, Value) {
        let peer: SocketAddr = "192.0.2.1:5000".parse().expect("an address");
        let mut request = Request::builder().method(method).uri(path).extension(peer);
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Body::from(body.to_owned())).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        (head.status, head.headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Asks as an operator.
    pub(crate) async fn operator(&self, method: Method, path: &str, body: &str) -> (u16, Value) {
        let (status, headers, answer) = self.ask(method, path, Some(&format!("Bearer {TOKEN}")), body).await;
        assert!(!answer.to_string().contains(TOKEN));
        if path.starts_with("/api/admin") && status != StatusCode::METHOD_NOT_ALLOWED {
            assert_eq!(headers[header::CACHE_CONTROL], "no-store");
        }
        (status.as_u16(), answer)
    }
}

/// Two calls that wait for a human.
pub(crate) fn asking() -> Step {
    Step::calls([("box__echo", json!({"text": "a"})), ("box__echo", json!({"text": "b"}))])
}
