use super::*;
use crate::server::{Reply, read};
use serde_json::json;
use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tracing_subscriber::fmt::MakeWriter;

/// The heads of the requests, by their connection.
type Heads = Arc<Mutex<Vec<Vec<String>>>>;

#[tokio::test]
async fn a_users_own_key_takes_the_place_of_the_servers() {
    let server = Server::scripted([Reply::stream(CHAT), Reply::stream(CHAT)]).await;
    let shared = provider(config(&server, Api::Chat));
    let own = shared.with_key(SecretString::from("mine")).expect("a valid key");
    assert_eq!(ask(&own).await, Ok("Hello".to_owned()));
    assert_eq!(ask(&shared).await, Ok("Hello".to_owned()));
    let heads: Vec<String> = server.requests().into_iter().map(|request| request.head).collect();
    assert!(heads[0].contains("Bearer mine") && !heads[0].contains(KEY), "{heads:?}");
    assert!(heads[1].contains(KEY), "{heads:?}");
}

#[tokio::test]
async fn users_share_the_connections_and_each_sends_its_own_key() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let base_url = Some(format!("http://{}/v1", listener.local_addr().expect("an address")));
    let heads = Heads::default();
    let mut server = JoinSet::new();
    server.spawn(keep_answering(listener, Arc::clone(&heads)));

    let shared = provider(Config { base_url, ..Config::default() });
    for key in ["first", "second", "third"] {
        let own = shared.with_key(SecretString::from(key)).expect("a valid key");
        assert!(own.models().await.is_ok_and(|models| models.len() == 1));
    }
    assert!(shared.models().await.is_ok());

    let heads = heads.lock().unwrap_or_else(PoisonError::into_inner);
    let [connection] = &heads[..] else { panic!("one connection: {heads:?}") };
    let keys: Vec<_> = connection.iter().filter_map(|head| head.split("authorization: Bearer ").nth(1)).collect();
    let keys: Vec<_> = keys.iter().filter_map(|rest| rest.lines().next()).collect();
    assert_eq!(keys, ["first", "second", "third", KEY]);
}

/// Serves a list of models, keeps its connections, and notes the requests of each.
async fn keep_answering(listener: TcpListener, heads: Heads) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let number = {
            let mut heads = heads.lock().unwrap_or_else(PoisonError::into_inner);
            heads.push(Vec::new());
            heads.len() - 1
        };
        connections.spawn(keep_listing(socket, number, Arc::clone(&heads)));
    }
}

async fn keep_listing(mut socket: TcpStream, number: usize, heads: Heads) {
    let list = json!({"data": [{"id": "m"}]}).to_string();
    let answer =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{list}", list.len());
    while let Some(request) = read(&mut socket).await {
        heads.lock().unwrap_or_else(PoisonError::into_inner)[number].push(request.head);
        if socket.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

#[test]
fn nothing_of_a_key_or_of_a_conversation_is_logged() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tracing::subscriber::with_default(subscriber, || runtime.block_on(converse()));
    let said = log.text();
    for word in ["llm.openai.generate", "asked again", "refused a request"] {
        assert!(said.contains(word), "the log was heard, and {word:?} is in it: {said}");
    }
    for secret in [KEY, "mine-alone", "Hello?", "Hello", "Hel", "oops", "sk-very"] {
        assert!(!said.contains(secret), "{secret:?} was logged: {said}");
    }
}

/// A conversation with an answer of every kind.
async fn converse() {
    for api in [Api::Responses, Api::Chat] {
        let shown = json!({"error": {"code": "invalid_api_key", "message": format!("Incorrect API key: {KEY}")}});
        let server = Server::scripted([
            Reply::json(503, &json!({"error": {"message": format!("{KEY} has to wait")}})),
            Reply::stream(whole(api)),
            Reply::stream("data: {\"oops\"\n\n"),
            Reply::stream(whole(api)).cut(90),
            Reply::json(401, &shown),
            Reply::json(401, &shown),
        ])
        .await;
        let shared = provider(Config { max_attempts: 2, ..config(&server, api) });
        let own = shared.with_key(SecretString::from("mine-alone")).expect("a valid key");
        for _ in 0..3 {
            let _ = ask(&own).await;
        }
        let _ = ask(&shared).await;
        let _ = shared.models().await;
        assert_eq!(server.requests().len(), 6);
    }
}

/// What was logged.
#[derive(Clone, Default)]
struct Log {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_provider_shows_nothing_of_its_key() {
    let server = Server::scripted([]).await;
    let shared = provider(Config { api_key: SecretString::from("configured"), ..config(&server, Api::Chat) });
    let own = shared.with_key(SecretString::from("mine-alone")).expect("a valid key");
    let shown = format!("{shared:?} {own:?}");
    assert!(["secret", "configured", "mine-alone"].iter().all(|key| !shown.contains(key)), "{shown}");
    let refused = shared.with_key(SecretString::from("mine\nalone")).err();
    assert!(refused.is_some_and(|error| !format!("{error:?} {error}").contains("alone")));
}
