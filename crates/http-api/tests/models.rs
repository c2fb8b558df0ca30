//! The routes under `/api/models`, as clients and browsers see them.

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Method, Request, StatusCode},
};
use http_body_util::BodyExt as _;
use lockkeeper_domain::{Policy, PrincipalId};
use lockkeeper_embedded_store::{EmbeddedStore, PeerHub};
use lockkeeper_http_api::{Config, HttpApi, ModelsApi};
use lockkeeper_orchestrator::{AgentFactory, ModelCatalog, ModelsConfig, OwnKeys, Ports, Provider, SessionManager};
use lockkeeper_ports::{
    AuthError, Authenticator, Credentials, GenerateRequest, KeyedLlm, LlmError, LlmProvider, ModelInfo, ModelStream,
    Principal, mocks::MockSandboxRuntime,
};
use lockkeeper_testkit::{clock::TokioClock, tools::FakeToolHost};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tower::{ServiceExt as _, service_fn};

/// A vendor that gives this answer whoever pays, and remembers the keys. `None` is no answer at all.
#[derive(Clone)]
struct Vendor {
    answer: Option<Result<(), LlmError>>,
    keys: Arc<Mutex<Vec<String>>>,
    key: String,
}

impl Vendor {
    fn new(answer: Option<Result<(), LlmError>>) -> Self {
        Self { answer, keys: Arc::default(), key: "the server's".to_owned() }
    }

    fn keys(&self) -> Vec<String> {
        self.keys.lock().expect("no panic").clone()
    }
}

#[async_trait]
impl LlmProvider for Vendor {
    fn name(&self) -> &'static str {
        "vendor"
    }

    fn default_model(&self) -> &'static str {
        "best"
    }

    async fn generate(&self, _request: GenerateRequest) -> Result<ModelStream, LlmError> {
        Err(LlmError::BadRequest("nobody asks for answers here".to_owned()))
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, LlmError> {
        self.keys.lock().expect("no panic").push(self.key.clone());
        match &self.answer {
            Some(answer) => answer
                .clone()
                .map(|()| vec![ModelInfo { id: "vendor/best:1".to_owned(), display_name: "The best".to_owned() }]),
            None => std::future::pending().await,
        }
    }
}

impl KeyedLlm for Vendor {
    fn name(&self) -> &'static str {
        "vendor"
    }

    fn default_model(&self) -> &'static str {
        "best"
    }

    fn with_key(&self, key: SecretString) -> Result<Arc<dyn LlmProvider>, LlmError> {
        Ok(Arc::new(Self { key: key.expose_secret().to_owned(), ..self.clone() }))
    }
}

/// Knows one token, where there is one.
struct Door(Option<&'static str>);

#[async_trait]
impl Authenticator for Door {
    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthError> {
        let shown = credentials.token.as_ref().map(SecretString::expose_secret);
        match self.0 {
            Some(token) if shown != Some(token) => Err(AuthError::Refused("The token is not known.".to_owned())),
            _ => Ok(Principal::known(PrincipalId::parse("ann").expect("an id"))),
        }
    }
}

fn router_of(vendor: &Vendor, token: Option<&'static str>, own_keys: OwnKeys) -> Router {
    let agents = AgentFactory::new(Provider::Ready(Arc::new(vendor.clone())), None).with_own_keys(own_keys);
    let catalog = ModelCatalog::new(ModelsConfig::default(), agents.clone(), Arc::new(TokioClock::start()));
    let ports = Ports {
        store: Arc::new(EmbeddedStore::in_memory()),
        sandboxes: Arc::new(MockSandboxRuntime::new()),
        tools: Arc::new(FakeToolHost::default()),
        clock: Arc::new(TokioClock::start()),
        agents,
        servers: [].into(),
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
    let config = lockkeeper_orchestrator::Config { warm_sandboxes: 0, ..Default::default() };
    let pages = |headers: &HeaderMap, _: &_, _| match headers.get("origin") {
        Some(origin) if origin != "http://good.example" => Err("Pages of this origin may not."),
        _ => Ok(()),
    };
    let models = ModelsApi { catalog, authenticator: Arc::new(Door(token)), pages: Arc::new(pages) };
    let api = HttpApi::new(Config::default(), SessionManager::new(config, ports), "1.2.3").with_models(models);
    api.router(service_fn(|_: axum::extract::Request| async {
        Ok::<_, std::convert::Infallible>(axum::response::Response::new(Body::empty()))
    }))
}

fn router(vendor: &Vendor) -> Router {
    router_of(vendor, None, OwnKeys::Taken(Arc::new(vendor.clone())))
}

async fn ask(router: &Router, method: Method, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Value) {
    let peer: SocketAddr = "127.0.0.1:5000".parse().expect("an address");
    let mut request = Request::builder().method(method).uri(path).extension(peer);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("infallible");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (parts.status, parts.headers, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn get(router: &Router, path: &str, headers: &[(&str, &str)]) -> (StatusCode, Value) {
    let (status, _, body) = ask(router, Method::GET, path, headers).await;
    (status, body)
}

#[tokio::test(start_paused = true)]
async fn the_list_names_provider_default_and_models_and_how_old_it_is() {
    let vendor = Vendor::new(Some(Ok(())));
    let router = router(&vendor);
    let (status, headers, mut body) = ask(&router, Method::GET, "/api/models", &[]).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(headers["cache-control"], "private, no-store");
    let at = body.as_object_mut().expect("an object").remove("cachedAt").expect("a time");
    assert!(at.as_str().is_some_and(|at| at.ends_with('Z')), "{at}");
    let models = json!([{"id": "vendor/best:1", "displayName": "The best"}]);
    assert_eq!(body, json!({"provider": "vendor", "default": "best", "models": models, "age": 0}));
    tokio::time::advance(std::time::Duration::from_secs(7)).await;
    assert_eq!(get(&router, "/api/models", &[]).await.1["age"], 7);
    assert_eq!(vendor.keys().len(), 1);
}

#[tokio::test]
async fn older_frontends_get_the_shapes_that_they_know_without_a_model_being_asked() {
    let router = router(&Vendor::new(Some(Ok(()))));
    let available = get(&router, "/api/models/available", &[]).await;
    let models = json!([{"id": "vendor/best:1", "name": "The best"}]);
    assert_eq!(available, (StatusCode::OK, json!({"provider": "vendor", "models": models})));
    let check = get(&router, "/api/models/check", &[]).await;
    let models = json!({"vendor/best:1": "available"});
    assert_eq!(check, (StatusCode::OK, json!({"provider": "vendor", "models": models})));
    let down = self::router(&Vendor::new(Some(Err(LlmError::Network("down".to_owned())))));
    for path in ["/api/models/available", "/api/models/check"] {
        let (status, body) = get(&down, path, &[]).await;
        assert_eq!(
            (status, &body["models"], &body["code"]),
            (StatusCode::BAD_GATEWAY, &json!([]), &json!("provider_network"))
        );
        assert!(body["error"].as_str().is_some_and(|error| error.contains("down")), "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_vendor_does_has_a_status_and_a_code() {
    let text = || "x".to_owned();
    let key: &[(&str, &str)] = &[("x-provider-key", "sk-of-ann")];
    let refused = || Some(Err(LlmError::Authentication(text())));
    let cases = [
        (None, &[][..], 504, "provider_timeout"),
        (Some(Err(LlmError::Network(text()))), &[], 502, "provider_network"),
        (Some(Err(LlmError::BadResponse(text()))), &[], 502, "provider_bad_response"),
        (Some(Err(LlmError::Overloaded(text()))), &[], 503, "provider_overloaded"),
        (refused(), &[], 502, "provider_authentication"),
        (refused(), key, 401, "provider_authentication"),
        (None, key, 504, "provider_timeout"),
    ];
    for (answer, headers, expected, code) in cases {
        let (status, _, body) = ask(&router(&Vendor::new(answer)), Method::GET, "/api/models", headers).await;
        assert_eq!((status.as_u16(), body["code"].as_str()), (expected, Some(code)), "{body}");
        assert!(body["message"].is_string() && body["hint"].is_string() || expected == 502, "{body}");
    }
}

#[tokio::test]
async fn a_users_key_is_asked_for_each_time_and_its_list_is_nobody_elses() {
    let vendor = Vendor::new(Some(Ok(())));
    let router = router(&vendor);
    for key in ["sk-of-ann", " sk-of-bob "] {
        assert_eq!(get(&router, "/api/models", &[("x-provider-key", key)]).await.0, StatusCode::OK);
    }
    assert_eq!(get(&router, "/api/models", &[]).await.0, StatusCode::OK);
    assert_eq!(vendor.keys(), ["sk-of-ann", "sk-of-bob", "the server's"]);
}

#[tokio::test]
async fn guessing_keys_is_bounded() {
    let vendor = Vendor::new(Some(Err(LlmError::Authentication("no".to_owned()))));
    let router = router(&vendor);
    let mut statuses = Vec::new();
    for guess in 0..12 {
        let (status, headers, body) =
            ask(&router, Method::GET, "/api/models", &[("x-provider-key", &format!("guess-{guess}"))]).await;
        if status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(body["code"], "rate_limited");
            assert!(headers.contains_key("retry-after"));
        }
        statuses.push(status.as_u16());
    }
    assert_eq!(statuses[..10], [401; 10]);
    assert_eq!(statuses[10..], [429; 2]);
    assert_eq!(vendor.keys().len(), 10);
}

#[tokio::test]
async fn a_key_where_none_are_taken_is_refused() {
    let vendor = Vendor::new(Some(Ok(())));
    let router = router_of(&vendor, None, OwnKeys::Refused);
    let (status, body) = get(&router, "/api/models", &[("x-provider-key", "k")]).await;
    assert_eq!((status, &body["code"]), (StatusCode::FORBIDDEN, &json!("forbidden")));
    assert!(vendor.keys().is_empty());
}

#[tokio::test]
async fn whoever_may_not_connect_may_not_ask() {
    let vendor = Vendor::new(Some(Ok(())));
    let router = router_of(&vendor, Some("token-of-ann"), OwnKeys::Refused);
    for path in ["/api/models", "/api/models/available", "/api/models/check"] {
        for bad in [None, Some("Bearer no"), Some("Bearer "), Some("Bearer token-of-ann2")] {
            let header = bad.map(|bad| ("authorization", bad));
            let (status, headers, body) = ask(&router, Method::GET, path, header.as_slice()).await;
            assert_eq!(
                (status, &body["code"]),
                (StatusCode::UNAUTHORIZED, &json!("unauthenticated")),
                "{path} {bad:?}"
            );
            assert_eq!(headers["www-authenticate"], "Bearer");
        }
        assert!(vendor.keys().is_empty());
    }
    for good in ["Bearer token-of-ann", "bearer token-of-ann"] {
        assert_eq!(get(&router, "/api/models", &[("authorization", good)]).await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn what_is_malformed_is_said_without_repeating_it() {
    let router = router(&Vendor::new(Some(Ok(()))));
    let long = "k".repeat(4097);
    for header in [
        ("x-provider-key", "two canaries"),
        ("x-provider-key", &*long),
        ("authorization", "canary"),
        ("authorization", "Basic canary"),
    ] {
        let (status, body) = get(&router, "/api/models", &[header]).await;
        assert_eq!((status, &body["code"]), (StatusCode::BAD_REQUEST, &json!("invalid_payload")), "{body}");
        assert!(!body.to_string().contains("canar") && !body.to_string().contains("kkkk"), "{body}");
    }
    assert_eq!(ask(&router, Method::POST, "/api/models", &[]).await.0, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn pages_of_other_origins_are_refused_and_good_ones_may_read() {
    let vendor = Vendor::new(Some(Ok(())));
    let router = router(&vendor);
    let (status, headers, _) = ask(&router, Method::GET, "/api/models", &[("origin", "http://evil.example")]).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(!headers.contains_key("access-control-allow-origin"));
    assert!(vendor.keys().is_empty());
    let good = ("origin", "http://good.example");
    let (status, headers, _) = ask(&router, Method::GET, "/api/models", &[good]).await;
    assert_eq!(
        (status, &headers["access-control-allow-origin"]),
        (StatusCode::OK, &"http://good.example".parse().expect("a value"))
    );
    assert_eq!(headers["vary"], "Origin");
    let (status, headers, _) = ask(&router, Method::OPTIONS, "/api/models", &[good]).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(headers["access-control-allow-headers"], "authorization, x-provider-key");
}
