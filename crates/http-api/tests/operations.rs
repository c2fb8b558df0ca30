//! The metrics and the health of MCP servers, as those who operate the server see them.

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use http_body_util::BodyExt as _;
use lockkeeper_domain::{Code, Policy, PrincipalId, ServerName};
use lockkeeper_embedded_store::{EmbeddedStore, PeerHub};
use lockkeeper_http_api::{Config, HttpApi, ModelsApi};
use lockkeeper_orchestrator::{AgentFactory, ModelCatalog, ModelsConfig, Ports, Provider, SessionManager};
use lockkeeper_ports::{
    AuthError, Authenticator, Credentials, McpServer, Principal, ServerHealth, ServerState, mocks::MockSandboxRuntime,
};
use lockkeeper_testkit::{clock::TokioClock, llm::ScriptedProvider, tools::FakeToolHost};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tower::{ServiceExt as _, service_fn};

/// Knows one token.
struct Door;

#[async_trait]
impl Authenticator for Door {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthError> {
        match credentials.token.as_ref().map(SecretString::expose_secret) {
            Some("open") => Ok(Principal::known(PrincipalId::parse("ann").expect("an id"))),
            _ => Err(AuthError::Refused("The token is not known.".to_owned())),
        }
    }
}

fn router(config: Config, host: &FakeToolHost) -> Router {
    let agents = AgentFactory::new(Provider::Ready(Arc::new(ScriptedProvider::new([]))), None);
    let catalog = ModelCatalog::new(ModelsConfig::default(), agents.clone(), Arc::new(TokioClock::start()));
    let server = McpServer {
        name: ServerName::new("notes"),
        command: vec!["notes".to_owned()],
        env: BTreeMap::new(),
        tools: None,
        advice: None,
    };
    let ports = Ports {
        store: Arc::new(EmbeddedStore::in_memory()),
        sandboxes: Arc::new(MockSandboxRuntime::new()),
        tools: Arc::new(host.clone()),
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
        budgets: Arc::new(EmbeddedStore::in_memory()),
    };
    // Its pool would ask the runtime.
    let sessions = lockkeeper_orchestrator::Config { warm_sandboxes: 0, ..Default::default() };
    let pages = |headers: &HeaderMap, _: &_, _| match headers.get("origin") {
        Some(origin) if origin != "http://good.example" => Err("Pages of this origin may not."),
        _ => Ok(()),
    };
    assert_eq!(config.problems(), []);
    let models = ModelsApi { catalog, authenticator: Arc::new(Door), pages: Arc::new(pages) };
    let api = HttpApi::new(config, SessionManager::new(sessions, ports), "1.2.3").with_models(models);
    api.with_metrics(Arc::new(|| "lockkeeper_turns_total 1\n".to_owned())).router(service_fn(
        |_: axum::extract::Request| async {
            Ok::<_, std::convert::Infallible>(axum::response::Response::new(Body::empty()))
        },
    ))
}

async fn ask(router: &Router, peer: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, String) {
    let peer: SocketAddr = peer.parse().expect("an address");
    let mut request = Request::builder().method(Method::GET).uri(path).extension(peer);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (parts.status, String::from_utf8(body.to_vec()).expect("text"))
}

const HERE: &str = "127.0.0.1:5000";
const ELSEWHERE: &str = "192.0.2.7:5000";

/// Covers: S2-7. A proxy on this machine that adds no header looks like a client of this machine.
#[tokio::test]
async fn metrics_without_a_token_are_for_nobody_by_default() {
    let router = router(Config::default(), &FakeToolHost::default());
    for peer in [HERE, ELSEWHERE] {
        let (status, body) = ask(&router, peer, "/metrics", &[]).await;
        assert!(status == StatusCode::FORBIDDEN && body.contains("http.metrics_token"), "{status} {body}");
    }
}

#[tokio::test]
async fn metrics_of_this_machine_are_local_where_set_so() {
    let config = Config { metrics_local: true, ..Config::default() };
    let router = router(config, &FakeToolHost::default());
    assert_eq!(ask(&router, HERE, "/metrics", &[]).await, (StatusCode::OK, "lockkeeper_turns_total 1\n".to_owned()));
    assert_eq!(ask(&router, "[::ffff:127.0.0.1]:5000", "/metrics", &[]).await.0, StatusCode::OK);
    for (peer, headers) in
        [(ELSEWHERE, &[][..]), (HERE, &[("x-forwarded-for", "192.0.2.7")]), (HERE, &[("forwarded", "for=192.0.2.7")])]
    {
        let (status, body) = ask(&router, peer, "/metrics", headers).await;
        assert!(status == StatusCode::FORBIDDEN && body.contains("http.metrics_token"), "{status} {body}");
    }
}

#[tokio::test]
async fn with_a_token_the_metrics_are_for_whoever_shows_it() {
    let config = Config { metrics_token: Some("a-token-for-prometheus".into()), ..Config::default() };
    let router = router(config, &FakeToolHost::default());
    let shown = [("authorization", "Bearer a-token-for-prometheus")];
    assert_eq!(ask(&router, ELSEWHERE, "/metrics", &shown).await.0, StatusCode::OK);
    for (peer, wrong) in [(HERE, ""), (HERE, "Bearer another"), (ELSEWHERE, "Basic a-token-for-prometheus")] {
        let (status, body) = ask(&router, peer, "/metrics", &[("authorization", wrong)]).await;
        assert!(status == StatusCode::UNAUTHORIZED && !body.contains("turns"), "{status} {body}");
    }
}

#[tokio::test]
async fn the_health_of_mcp_servers_is_for_whoever_may_connect() {
    let host = FakeToolHost::default();
    let router = router(Config::default(), &host);
    assert_eq!(ask(&router, HERE, "/api/mcp/health", &[]).await.0, StatusCode::UNAUTHORIZED);
    let token = ("authorization", "Bearer open");
    let evil = [token, ("origin", "http://evil.example")];
    assert_eq!(ask(&router, HERE, "/api/mcp/health", &evil).await.0, StatusCode::FORBIDDEN);
    let (status, body) = ask(&router, HERE, "/api/mcp/health", &[token]).await;
    let idle = json!({"name": "notes", "state": "idle", "configured": true, "processes": {}, "restarts": 0});
    let said: Value = serde_json::from_str(&body).expect("JSON");
    let summary = json!({"total": 1, "healthy": 1, "unhealthy": 0, "reconnecting": 0, "disconnected": 0});
    let before =
        json!({"name": "notes", "status": "healthy", "lastCheck": 0, "lastSuccess": 0, "consecutiveFailures": 0});
    let expected = json!({"status": "ok", "servers": [idle], "summary": summary, "mcps": [before]});
    assert_eq!((status, said), (StatusCode::OK, expected));
    host.set_health(vec![ServerHealth {
        server: ServerName::new("notes"),
        processes: BTreeMap::from([(ServerState::Restarting, 2)]),
        tools: Some(3),
        restarts: 4,
        problem: Some((Code::ToolCrashed, "ended with exit status 1".to_owned())),
        since: Duration::from_secs(5),
        held_back: Some(Duration::from_millis(2_500)),
    }]);
    let (_, body) = ask(&router, HERE, "/api/mcp/health", &[token, ("origin", "http://good.example")]).await;
    let mut said: Value = serde_json::from_str(&body).expect("JSON");
    let since = said["servers"][0].as_object_mut().and_then(|server| server.remove("since"));
    assert!(since.is_some_and(|since| since.as_str().is_some_and(|since| since.ends_with('Z'))));
    let troubled = json!({
        "name": "notes", "state": "held_back", "configured": true, "processes": {"restarting": 2}, "restarts": 4,
        "tools": 3, "retryAfterSecs": 2,
        "lastError": {"code": "tool_crashed", "message": "ended with exit status 1"},
    });
    assert_eq!((&said["status"], &said["servers"]), (&json!("degraded"), &json!([troubled])));
    assert_eq!((&said["summary"]["disconnected"], &said["mcps"][0]["status"]), (&json!(1), &json!("disconnected")));
    assert_eq!(said["mcps"][0]["error"], "ended with exit status 1");
}
