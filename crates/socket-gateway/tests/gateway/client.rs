//! A Socket.IO client that shows what came, frame by frame.

use crate::world::World;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) payload: Value,
    pub(crate) meta: Value,
}

/// What a client receives.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    Event(Event),
    Ack(i64, Value),
    /// The handshake was refused, with this reason.
    Refused(String),
    /// The server disconnected the client.
    Disconnect,
    /// The connection is closed.
    Closed,
}

pub(crate) struct Client {
    ws: WebSocketStream<DuplexStream>,
    /// All events so far.
    pub(crate) seen: Vec<Event>,
    /// How many of them a test has passed with `until`.
    passed: usize,
    /// All frames so far, as they came.
    pub(crate) raw: Vec<String>,
    /// The id of the connection, which is a secret.
    pub(crate) sid: String,
    acks: i64,
}

impl Client {
    /// Connects with `meta` as the second argument of each event, unless `auth` names another protocol.
    pub(crate) async fn connect(world: &World, query: &str, mut auth: Value, buffer: usize) -> Self {
        if let Value::Object(auth) = &mut auth {
            auth.entry("protocol").or_insert(json!(2));
        }
        let stream = world.open(query, buffer).await.expect("let in");
        let ws = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        let mut client = Self { ws, seen: Vec::new(), passed: 0, raw: Vec::new(), sid: String::new(), acks: 0 };
        let open = client.read().await.expect("an open packet");
        let open: Value = serde_json::from_str(open.strip_prefix('0').expect("an open packet")).expect("JSON");
        client.sid = open["sid"].as_str().expect("a sid").to_owned();
        client.send(&format!("40{auth}")).await;
        let connected = client.read().await.expect("a connect packet");
        assert!(connected.starts_with("40"), "{connected}");
        client.raw.clear();
        client
    }

    pub(crate) async fn send(&mut self, packet: &str) {
        self.ws.send(Message::text(packet.to_owned())).await.expect("the connection is open");
    }

    /// Sends without waiting for the connection to take it.
    pub(crate) async fn feed(&mut self, packet: String) -> bool {
        self.ws.feed(Message::text(packet)).await.is_ok()
    }

    pub(crate) async fn flush(&mut self) -> bool {
        self.ws.flush().await.is_ok()
    }

    pub(crate) async fn binary(&mut self, bytes: Vec<u8>) {
        let _ = self.ws.send(Message::binary(bytes)).await;
    }

    /// Sends an event and wants no acknowledgement.
    pub(crate) async fn emit(&mut self, name: &str, payload: Value) {
        self.send(&format!("42{}", json!([name, payload]))).await;
    }

    /// Sends an event and waits for its acknowledgement.
    pub(crate) async fn call(&mut self, name: &str, payload: Value) -> Value {
        self.call_raw(&json!([name, payload]).to_string()).await
    }

    pub(crate) async fn call_raw(&mut self, arguments: &str) -> Value {
        self.acks += 1;
        let id = self.acks;
        self.send(&format!("42{id}{arguments}")).await;
        self.until_ack(id).await
    }

    /// The acknowledgement with this id; others are passed over.
    pub(crate) async fn until_ack(&mut self, id: i64) -> Value {
        loop {
            match self.next().await {
                Frame::Ack(ack, answer) if ack == id => return answer,
                Frame::Event(_) | Frame::Ack(..) => {}
                end => panic!("{end:?} instead of the acknowledgement {id}"),
            }
        }
    }

    /// The next frame that is no ping. Fails after 10 s.
    pub(crate) async fn next(&mut self) -> Frame {
        let Some(packet) = self.read().await else { return Frame::Closed };
        if packet == "41" {
            return Frame::Disconnect;
        }
        if let Some(reason) = packet.strip_prefix("44") {
            return Frame::Refused(reason.to_owned());
        }
        if let Some(rest) = packet.strip_prefix("43") {
            let digits = rest.find('[').expect("an array");
            let answer: Vec<Value> = serde_json::from_str(&rest[digits..]).expect("JSON");
            assert_eq!(answer.len(), 1, "{packet}");
            return Frame::Ack(rest[..digits].parse().expect("an id"), answer[0].clone());
        }
        let arguments = packet.strip_prefix("42").unwrap_or_else(|| panic!("an event, not {packet}"));
        let arguments: Vec<Value> = serde_json::from_str(arguments).expect("a name and arguments");
        let argument = |index: usize| arguments.get(index).cloned().unwrap_or_default();
        let name = argument(0).as_str().expect("a name").to_owned();
        let event = Event { name, payload: argument(1), meta: argument(2) };
        self.seen.push(event.clone());
        Frame::Event(event)
    }

    /// The next event with this name after the one that was asked for last, whether it has come already or not.
    pub(crate) async fn until(&mut self, name: &str) -> Event {
        loop {
            if let Some(index) = self.seen[self.passed..].iter().position(|event| event.name == name) {
                self.passed += index + 1;
                return self.seen[self.passed - 1].clone();
            }
            self.passed = self.seen.len();
            match self.next().await {
                Frame::Event(_) | Frame::Ack(..) => {}
                end => panic!("{end:?} instead of {name}; came: {:?}", self.names()),
            }
        }
    }

    /// Reads until the server has disconnected the client, or closed the connection.
    pub(crate) async fn until_end(&mut self) -> Frame {
        loop {
            match self.next().await {
                Frame::Event(_) | Frame::Ack(..) => {}
                end => return end,
            }
        }
    }

    /// How the connection ended, if it does within a moment.
    pub(crate) async fn until_end_or_silence(&mut self) -> Option<Frame> {
        tokio::time::timeout(Duration::from_millis(300), self.until_end()).await.ok()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.seen.iter().map(|event| event.name.as_str()).collect()
    }

    /// The events that are logged: their places, names and payloads.
    pub(crate) fn logged(&self) -> Vec<(u64, String, Value)> {
        let logged = self.seen.iter().filter(|event| event.name != "history:snapshot");
        let place = |event: &Event| {
            let (_, seq) = event.meta["id"].as_str()?.split_once('-')?;
            Some((seq.parse().ok()?, event.name.clone(), event.payload.clone()))
        };
        logged.filter_map(place).collect()
    }

    pub(crate) fn last_id(&self) -> String {
        let ids = self.seen.iter().rev().filter_map(|event| event.meta["id"].as_str());
        ids.map(str::to_owned).next().expect("a logged event")
    }

    async fn read(&mut self) -> Option<String> {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(10), self.ws.next());
            let message = message.await.unwrap_or_else(|_| panic!("nothing came; before: {:?}", self.names()));
            match message {
                Some(Ok(Message::Text(text))) if text.as_str() == "2" => {
                    // The server may have gone meanwhile.
                    let _ = self.ws.send(Message::text("3")).await;
                }
                Some(Ok(Message::Text(text))) if text.as_str() == "1" => {}
                Some(Ok(Message::Text(text))) => {
                    self.raw.push(text.to_string());
                    return Some(text.to_string());
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }
}
