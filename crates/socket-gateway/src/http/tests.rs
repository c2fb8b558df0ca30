use super::*;
use crate::Config;
use http_body_util::BodyExt;
use std::convert::Infallible;
use tower::service_fn;

type Answer = Response<Either<Full<Bytes>, Full<Bytes>>>;

/// Asks the service; what it lets through is answered with whether a place came along.
async fn ask(doorman: &Arc<Doorman>, request: http::request::Builder) -> (Answer, Option<Arc<Place>>) {
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
    let inner = service_fn(move |request: Request<Metered<()>>| {
        let place = request.extensions().get::<Arc<Place>>().cloned();
        sender.try_send(place).expect("one request");
        std::future::ready(Ok::<_, Infallible>(Response::new(Full::from("engine"))))
    });
    let request = request.body(()).expect("a request");
    let response = SocketService::new(inner, Arc::clone(doorman), None).oneshot(request).await.expect("infallible");
    (response, receiver.try_recv().ok().flatten())
}

fn doorman(config: &Config) -> Arc<Doorman> {
    let connections = Connections::new(config.clone());
    Arc::new(Doorman::new(config, connections))
}

fn get(query: &str) -> http::request::Builder {
    let peer: SocketAddr = "127.0.0.1:999".parse().expect("an address");
    Request::get(format!("/socket.io/?EIO=4&{query}")).header("host", "localhost:3000").extension(peer)
}

async fn body(response: Answer) -> serde_json::Value {
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    serde_json::from_slice(&bytes).expect("JSON")
}

#[tokio::test]
async fn a_foreign_page_is_refused_over_either_transport() {
    let doorman = doorman(&Config::default());
    for transport in ["polling", "websocket", "websocket&sid=AAAAAAAAAAAAAAHs", "polling&sid=AAAAAAAAAAAAAAHs"] {
        let request = get(&format!("transport={transport}")).header("origin", "https://evil.example");
        let (response, _) = ask(&doorman, request).await;
        assert_eq!(response.status(), StatusCode::FORBIDDEN, "{transport}");
        assert!(response.headers().get("access-control-allow-origin").is_none());
        assert_eq!(body(response).await["code"], "forbidden");
    }
    assert_eq!(doorman.connections.open(), (0, 0));
}

#[tokio::test]
async fn a_page_that_may_connect_may_read_the_answers() {
    let request = get("transport=polling").header("origin", "http://localhost:3000");
    let (response, place) = ask(&doorman(&Config::default()), request).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["access-control-allow-origin"], "http://localhost:3000");
    assert!(place.is_some());
    let preflight =
        Request::options("/socket.io/?EIO=4").header("host", "localhost").header("origin", "http://localhost");
    let (response, _) = ask(&doorman(&Config::default()), preflight).await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(response.headers()["access-control-allow-methods"], "GET, POST");
}

#[tokio::test]
async fn a_session_has_one_place_and_gives_it_back() {
    let doorman = doorman(&Config { max_connections_per_address: 1, ..Config::default() });
    let (_, place) = ask(&doorman, get("transport=polling")).await;
    assert!(place.is_some());
    let (response, second) = ask(&doorman, get("transport=websocket")).await;
    assert_eq!((response.status(), second.is_none()), (StatusCode::TOO_MANY_REQUESTS, true));
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(body(response).await["code"], "rate_limited");
    let (response, none) = ask(&doorman, get("transport=websocket&sid=AAAAAAAAAAAAAAHs")).await;
    assert_eq!((response.status(), none.is_none()), (StatusCode::OK, true));
    drop(place);
    assert!(ask(&doorman, get("transport=websocket")).await.1.is_some());
}

#[tokio::test]
async fn nothing_new_is_let_in_while_the_gateway_closes() {
    let doorman = doorman(&Config::default());
    doorman.close();
    let (response, _) = ask(&doorman, get("transport=polling")).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(body(response).await["code"], "server_draining");
    let (response, _) = ask(&doorman, get("transport=polling&sid=AAAAAAAAAAAAAAHs")).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn older_protocol_is_refused_with_both_versions() {
    let peer: SocketAddr = "127.0.0.1:999".parse().expect("an address");
    let request =
        |query: &str| Request::get(format!("/socket.io/?{query}")).header("host", "localhost:3000").extension(peer);
    let doorman = doorman(&Config::default());
    for transport in ["polling", "websocket"] {
        let old = request(&format!("EIO=3&transport={transport}")).header("origin", "http://localhost:3000");
        let (response, place) = ask(&doorman, old).await;
        assert_eq!((response.status(), place.is_none()), (StatusCode::BAD_REQUEST, true));
        assert_eq!(response.headers()["access-control-allow-origin"], "http://localhost:3000");
        let body = body(response).await;
        let message = body["message"].as_str().expect("text");
        for part in ["Engine.IO 3", "Socket.IO 4", "socket.io-client 3 or 4", "python-socketio 5"] {
            assert!(message.contains(part), "{message}");
        }
    }
    assert_eq!(ask(&doorman, request("EIO=5&transport=polling")).await.0.status(), StatusCode::BAD_REQUEST);
    assert_eq!(ask(&doorman, request("transport=polling")).await.0.status(), StatusCode::OK, "the engine says more");
    assert_eq!(doorman.connections.open(), (0, 0));
}
