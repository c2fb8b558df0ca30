//! The HTTP interface over real connections.

use futures::future::BoxFuture;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, Response, StatusCode};
use lockkeeper_domain::Policy;
use lockkeeper_embedded_store::{EmbeddedStore, PeerHub};
use lockkeeper_http_api::{Config, HttpApi, Proxies, Served};
use lockkeeper_orchestrator::{AgentFactory, Ports, Provider, SessionManager};
use lockkeeper_ports::mocks::MockSandboxRuntime;
use lockkeeper_testkit::{clock::TokioClock, llm::ScriptedProvider, tools::FakeToolHost};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::service_fn;

struct Server {
    address: SocketAddr,
    manager: Arc<SessionManager>,
    shutdown: CancellationToken,
    served: JoinHandle<Served>,
}

/// How many requests hang, for the test that waits for them.
static HANGING: Semaphore = Semaphore::const_new(0);

type Answer = Response<Full<bytes::Bytes>>;

/// Stands in for Socket.IO: says who asked for what, or as many bytes as it is asked for.
fn socket(request: Request<axum::body::Body>) -> BoxFuture<'static, Result<Answer, Infallible>> {
    let size = request.uri().query().and_then(|query| query.strip_prefix("bytes=")?.parse::<usize>().ok());
    let hang = request.uri().query() == Some("hang");
    let peer = request.extensions().get::<SocketAddr>().copied();
    let said = format!("{} {} {}", request.method(), request.uri(), peer.is_some_and(|peer| peer.ip().is_loopback()));
    let (wants_body, wants_who) = (request.uri().query() == Some("body"), request.uri().query() == Some("who"));
    Box::pin(async move {
        if hang {
            HANGING.add_permits(1);
            std::future::pending::<()>().await;
        }
        if wants_body {
            let said = if request.into_body().collect().await.is_ok() { "whole" } else { "cut" };
            return Ok(Response::new(Full::new(said.into())));
        }
        if wants_who {
            return Ok(Response::new(Full::new(peer.map(|peer| peer.ip().to_string()).unwrap_or_default().into())));
        }
        let body = size.map_or(said.into(), |size| vec![b'x'; size].into());
        Ok(Response::new(Full::new(body)))
    })
}

impl Server {
    async fn start(config: Config) -> Self {
        Self::start_behind(config, Proxies::default()).await
    }

    async fn start_behind(config: Config, proxies: Proxies) -> Self {
        let ports = Ports {
            store: Arc::new(EmbeddedStore::in_memory()),
            sandboxes: Arc::new(MockSandboxRuntime::new()),
            tools: Arc::new(FakeToolHost::default()),
            clock: Arc::new(TokioClock::start()),
            agents: AgentFactory::new(Provider::Ready(Arc::new(ScriptedProvider::new([]))), None),
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
        assert_eq!(config.problems(), []);
        let manager = SessionManager::new(lockkeeper_orchestrator::Config::default(), ports);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (api, shutdown) =
            (HttpApi::new(config, Arc::clone(&manager), "1.2.3").with_proxies(proxies), CancellationToken::new());
        let until = shutdown.clone();
        let service = service_fn(socket);
        #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
        let served = tokio::spawn(async move { api.serve(listener, service, until).await });
        Self { address, manager, shutdown, served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("a connection")
    }

    /// Asks, and gives the status, the head and the body of the answer.
    async fn ask(&self, method: &str, path: &str) -> (StatusCode, String, String) {
        let mut stream = self.connect().await;
        let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        (status, head.to_ascii_lowercase(), body.to_owned())
    }

    async fn stop(self) -> Served {
        self.shutdown.cancel();
        timeout(Duration::from_secs(10), self.served).await.expect("it stops").expect("no panic")
    }
}

#[tokio::test]
async fn health_readiness_and_version_are_json() {
    let server = Server::start(Config::default()).await;
    let (status, head, body) = server.ask("GET", "/healthz").await;
    assert_eq!((status, &*body), (StatusCode::OK, r#"{"ok":true}"#));
    assert!(head.contains("content-type: application/json") && head.contains("cache-control: no-store"), "{head}");
    let (status, _, body) = server.ask("GET", "/version").await;
    assert_eq!((status, &*body), (StatusCode::OK, r#"{"name":"lockkeeper","version":"1.2.3","protocol":2}"#));
    let (status, _, body) = server.ask("GET", "/readyz").await;
    assert_eq!((status, &*body), (StatusCode::OK, r#"{"ready":true,"reasons":[],"warnings":[]}"#));
    server.manager.drain(Duration::ZERO).await;
    let (status, _, body) = server.ask("GET", "/readyz").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains(r#""ready":false"#) && body.contains(r#""code":"server_draining""#), "{body}");
    assert_eq!(server.ask("GET", "/healthz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn what_is_not_there_is_json_too() {
    let server = Server::start(Config::default()).await;
    for path in ["/nothing", "/socket.io/more", "/healthz/", "/../etc/passwd", "/socket.iox"] {
        let (status, _, body) = server.ask("GET", path).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        assert!(body.contains(r#""code":"not_found""#), "{body}");
    }
    let (status, _, body) = server.ask("POST", "/readyz").await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(body.contains(r#""code":"method_not_allowed""#), "{body}");
}

#[tokio::test]
async fn the_page_says_how_to_connect_and_runs_nothing() {
    let server = Server::start(Config { console: false, ..Config::default() }).await;
    let (status, head, body) = server.ask("GET", "/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(head.contains("content-type: text/html"), "{head}");
    assert!(body.contains("socket.io-client") && body.contains("tool:approval_required") && body.contains("1.2.3"));
    assert!(!body.contains("<script") && !body.contains("onclick") && !body.contains("src="), "{body}");
    let policy = head.lines().find(|line| line.starts_with("content-security-policy:")).expect("a policy");
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(policy.contains("style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn the_front_page_is_the_console_where_that_was_built() {
    let built = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../apps/console/dist/index.html"));
    let page = std::fs::read_to_string(built).ok();
    let server = Server::start(Config::default()).await;
    let (status, _, body) = server.ask("GET", "/").await;
    assert_eq!(status, StatusCode::OK);
    let Some(page) = page else { return assert!(body.contains("socket.io-client"), "{body}") };
    assert_eq!(body, page);
    // All that the page names is there, and it names nothing elsewhere.
    let names = page.split(['"']).filter(|part| part.starts_with('/') || part.contains("://"));
    for name in names {
        let (status, head, _) = server.ask("GET", name).await;
        assert_eq!(status, StatusCode::OK, "{name}");
        assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    }
}

#[tokio::test]
async fn every_answer_has_the_headers_that_browsers_need() {
    let server = Server::start(Config::default()).await;
    for path in ["/", "/healthz", "/readyz", "/version", "/nothing", "/socket.io/?EIO=4"] {
        let (_, head, _) = server.ask("GET", path).await;
        for header in
            ["content-security-policy:", "x-content-type-options: nosniff", "x-frame-options: deny", "referrer-policy:"]
        {
            assert!(head.contains(header), "{path} lacks {header}");
        }
    }
}

#[tokio::test]
async fn socket_io_gets_its_requests_whole_and_knows_who_asks() {
    let server = Server::start(Config::default()).await;
    let (status, _, body) = server.ask("GET", "/socket.io/?EIO=4&sessionId=a%20b").await;
    assert_eq!((status, &*body), (StatusCode::OK, "GET /socket.io/?EIO=4&sessionId=a%20b true"));
    assert_eq!(server.ask("POST", "/socket.io?EIO=4").await.2, "POST /socket.io?EIO=4 true");
    assert_eq!(server.ask("OPTIONS", "/socket.io/").await.2, "OPTIONS /socket.io/ true");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off() {
    // Trap 1.
    let server = Server::start(Config { write_stall_secs: 1, drain_secs: 30, ..Config::default() }).await;
    let mut stream = server.connect().await;
    let huge = "GET /socket.io/?bytes=50000000 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(huge.as_bytes()).await.expect("sent");
    let mut first = [0; 1024];
    stream.read_exact(&mut first).await.expect("it begins");
    let started = Instant::now();
    // It ends because the write fails, long before the thirty seconds that a request may take to end.
    assert_eq!(server.stop().await, Served { cut: 0 });
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off() {
    let server = Server::start(Config { header_read_secs: 1, ..Config::default() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").await.expect("sent");
    let mut rest = Vec::new();
    timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.expect("cut off").expect("read");
}

#[tokio::test]
async fn stopping_lets_requests_end_and_cuts_those_that_do_not() {
    let server = Server::start(Config { drain_secs: 1, ..Config::default() }).await;
    let _idle = server.connect().await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /socket.io/?hang HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    // Its answer says that the server has taken the one before it as well.
    server.ask("GET", "/healthz").await;
    let address = server.address;
    assert_eq!(server.stop().await, Served { cut: 1 });
    assert!(TcpStream::connect(address).await.is_err());
    let mut rest = Vec::new();
    assert_eq!(stream.read_to_end(&mut rest).await.ok(), Some(0));
}

/// Covers: S1-4
#[tokio::test]
async fn half_heads_beyond_the_limit_make_room_for_others() {
    let config = Config { max_connections: 20, max_connections_per_address: 10, ..Config::default() };
    let server = Server::start(config).await;
    let mut holders = Vec::new();
    for _ in 0..100 {
        let mut holder = server.connect().await;
        holder.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").await.expect("sent");
        holders.push(holder);
        assert_eq!(server.ask("GET", "/version").await.0, StatusCode::OK);
    }
}

/// Covers: S1-4
#[tokio::test]
async fn health_is_answered_while_all_connections_are_busy() {
    let config = Config { max_connections: 3, max_connections_per_address: 3, ..Config::default() };
    let server = Server::start(config).await;
    let mut busy = Vec::new();
    for _ in 0..3 {
        let mut stream = server.connect().await;
        stream.write_all(b"GET /socket.io/?hang HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
        HANGING.acquire().await.expect("never closed").forget();
        busy.push(stream);
    }
    assert_eq!(server.ask("GET", "/version").await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(server.ask("GET", "/healthz").await.0, StatusCode::OK);
    assert_eq!(server.ask("GET", "/readyz").await.0, StatusCode::OK);
    let (status, head, _) = server.ask("GET", "/").await;
    assert!(status == StatusCode::SERVICE_UNAVAILABLE && head.contains("retry-after: 1"), "{head}");
}

/// Covers: S1-4
#[tokio::test]
async fn body_that_never_ends_is_cut_off() {
    let server = Server::start(Config { body_read_secs: 1, ..Config::default() }).await;
    let mut stream = server.connect().await;
    let head = "POST /socket.io/?body HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\nx";
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut rest = String::new();
    timeout(Duration::from_secs(10), stream.read_to_string(&mut rest)).await.expect("cut off").expect("read");
    assert!(rest.contains("cut"), "{rest}");
}

/// Covers: S1-3
#[tokio::test]
async fn trusted_proxy_names_the_client_and_others_do_not() {
    let trusted = |trusted: &str| Proxies { trusted: vec![trusted.parse().expect("a network")], ..Proxies::default() };
    let header = "X-Forwarded-For: 198.51.100.9, 192.0.2.7\r\n";
    let of = async |proxies, before: &str, header: &str| {
        let server = Server::start_behind(Config::default(), proxies).await;
        let mut stream = server.connect().await;
        let request =
            format!("{before}GET /socket.io/?who HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
    };
    assert_eq!(of(trusted("127.0.0.0/8"), "", header).await, "192.0.2.7");
    assert_eq!(of(trusted("192.0.2.0/24"), "", header).await, "127.0.0.1");
    let preface = "PROXY TCP4 203.0.113.5 198.51.100.1 4711 443\r\n";
    assert_eq!(of(trusted("127.0.0.1"), preface, "").await, "203.0.113.5");
    assert_eq!(of(trusted("127.0.0.1"), preface, header).await, "203.0.113.5");
    assert_eq!(of(trusted("192.0.2.1"), preface, "").await, "");
    assert_eq!(of(trusted("127.0.0.1"), "PROXY TCP4 evil\r\n", "").await, "");
}
