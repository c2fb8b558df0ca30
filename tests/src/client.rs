mod packet;

use crate::{Event, EventId, contract::Contract};
use anyhow::{Context, Result, bail, ensure};
use futures::{SinkExt, StreamExt};
use packet::Packet;
use serde_json::{Value, json};
use std::{collections::VecDeque, time::Duration};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

/// How long a client waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How to connect.
#[derive(Clone, Debug)]
pub struct Connect {
    address: String,
    query: String,
    auth: serde_json::Map<String, Value>,
    is_checked: bool,
}

impl Connect {
    /// To the server at `url`, as in `http://127.0.0.1:3000`.
    pub fn to(url: &str) -> Self {
        let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let auth = serde_json::Map::from_iter([("protocol".to_owned(), 2.into())]);
        Self { address, query: String::new(), auth, is_checked: true }
    }

    /// To this session.
    #[must_use]
    pub fn session(self, id: &str) -> Self {
        self.query("sessionId", id)
    }

    /// With this field in the query; it must need no escaping.
    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        for part in ["&", name, "=", value] {
            self.query.push_str(part);
        }
        self
    }

    /// With this field in the auth payload.
    #[must_use]
    pub fn auth(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.auth.insert(name.to_owned(), value.into());
        self
    }

    /// Without a look at the contract, for benchmarks: it takes longer than the server does.
    #[must_use]
    pub fn unchecked(mut self) -> Self {
        self.is_checked = false;
        self
    }

    /// From the event after this one.
    #[must_use]
    pub fn resume_after(self, last: EventId) -> Self {
        self.auth("lastEventId", last.to_string())
    }

    /// Connects, up to `system:ready`.
    pub async fn open(&self) -> Result<Client> {
        let mut client = self.open_raw().await?;
        // What comes before it stays to be read.
        let mut before = VecDeque::new();
        loop {
            let event = client.next().await.context("the server did not get ready")?;
            match event.name.as_str() {
                "system:ready" => {
                    client.ready = event.payload;
                    client.unread = before;
                    return Ok(client);
                }
                "error" => bail!("the server refused the connection: {}", event.payload),
                _ => before.push_back(event),
            }
        }
    }

    /// Connects, up to the namespace alone.
    pub async fn open_raw(&self) -> Result<Client> {
        let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket{}", self.address, self.query);
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = timeout(PATIENCE, tokio_tungstenite::client_async(&url, stream)).await??;
        let mut client = Client::new(socket, self.is_checked);
        ensure!(matches!(client.packet().await?, Packet::Open), "Engine.IO did not open");
        client.raw(format!("40{}", Value::Object(self.auth.clone()))).await?;
        match client.packet().await? {
            Packet::Connected => Ok(client),
            other => bail!("the namespace was refused: {other:?}"),
        }
    }
}

/// A Socket.IO client over one WebSocket, which reads only when it is asked to. Each event, and each answer that it waits for,
/// must be as the contract has it.
pub struct Client {
    socket: WebSocketStream<TcpStream>,
    acks: u64,
    /// What `system:ready` said.
    pub ready: Value,
    unread: VecDeque<Event>,
    journal: Vec<Event>,
    is_checked: bool,
}

impl Client {
    fn new(socket: WebSocketStream<TcpStream>, is_checked: bool) -> Self {
        Self { socket, acks: 0, ready: Value::Null, unread: VecDeque::new(), journal: Vec::new(), is_checked }
    }

    /// The session, as the server named it.
    pub fn session(&self) -> &str {
        self.ready["sessionId"].as_str().unwrap_or_default()
    }

    /// Every event that came in so far, in order.
    pub fn journal(&self) -> &[Event] {
        &self.journal
    }

    /// The last logged event that came in.
    pub fn last_id(&self) -> Option<EventId> {
        self.journal.iter().rev().find_map(Event::id)
    }

    /// The events that came in and that nobody has looked at.
    pub fn take_unread(&mut self) -> Vec<Event> {
        self.unread.drain(..).collect()
    }

    /// The next event that nobody has looked at.
    pub async fn next(&mut self) -> Result<Event> {
        if let Some(event) = self.unread.pop_front() {
            return Ok(event);
        }
        loop {
            if let Packet::Event(event) = self.packet().await? {
                return Ok(event);
            }
        }
    }

    /// The next event that `wanted` takes; those before it are passed over.
    pub async fn until_matching(&mut self, what: &str, wanted: impl Fn(&Event) -> bool) -> Result<Event> {
        loop {
            let event = self.next().await.with_context(|| format!("while waiting for {what}"))?;
            if wanted(&event) {
                return Ok(event);
            }
        }
    }

    /// The next event of this name.
    pub async fn until(&mut self, name: &str) -> Result<Event> {
        self.until_matching(name, |event| event.name == name).await
    }

    /// Sends an event without asking for an acknowledgement.
    pub async fn emit(&mut self, name: &str, payload: impl Into<Value>) -> Result<()> {
        self.raw(format!("42{}", json!([name, payload.into()]))).await
    }

    /// Sends an event without a payload, and waits for its acknowledgement.
    pub async fn call_bare(&mut self, name: &str) -> Result<Value> {
        self.acknowledged(json!([name])).await
    }

    /// Sends an event and waits for its acknowledgement. Events that come before it stay to be read. An answer for a call gets
    /// the digest that the call was shown with; `"digest": null` sends none.
    pub async fn call(&mut self, name: &str, payload: impl Into<Value>) -> Result<Value> {
        let payload = self.bound(name, payload.into());
        self.acknowledged(json!([name, payload])).await
    }

    /// As [`Self::call`], and it must be `ok`.
    pub async fn call_ok(&mut self, name: &str, payload: impl Into<Value>) -> Result<Value> {
        let ack = self.call(name, payload).await?;
        ensure!(ack["ok"] == true, "{name} was refused: {ack}");
        Ok(ack)
    }

    /// Says something, which must be accepted.
    pub async fn say(&mut self, text: &str) -> Result<Value> {
        self.call_ok("message", text).await
    }

    /// Answers for a call, which must be accepted.
    pub async fn approve(&mut self, call: &str, approved: bool) -> Result<Value> {
        self.call_ok("tool:approval", json!({ "callId": call, "approved": approved })).await
    }

    /// Approves what comes until the turn ends; the events from now to its end.
    pub async fn approve_all(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await.context("while approving all calls of a turn")?;
            if event.name == "tool:approval_required" {
                let call = event.call().context("an approval without a call")?.to_owned();
                self.approve(&call, true).await?;
            }
            let done = event.name == "turn:completed";
            events.push(event);
            if done {
                return Ok(events);
            }
        }
    }

    /// Sends a frame as it is.
    pub async fn raw(&mut self, text: impl Into<String>) -> Result<()> {
        timeout(PATIENCE, self.socket.send(Message::text(text.into()))).await?.context("the frame was not sent")
    }

    /// Puts a frame into the buffer; [`Self::flush`] sends it.
    pub async fn feed(&mut self, text: impl Into<String>) -> Result<()> {
        timeout(PATIENCE, self.socket.feed(Message::text(text.into()))).await?.context("the frame was not sent")
    }

    /// Sends what [`Self::feed`] has put into the buffer.
    pub async fn flush(&mut self) -> Result<()> {
        timeout(PATIENCE, self.socket.flush()).await?.context("the frames were not sent")
    }

    /// Puts an event that asks for an acknowledgement into the buffer.
    pub async fn feed_call(&mut self, name: &str, payload: impl Into<Value>) -> Result<()> {
        self.acks += 1;
        let payload = self.bound(name, payload.into());
        let frame = format!("42{}{}", self.acks, json!([name, payload]));
        self.feed(frame).await
    }

    /// An answer with the digest that its call was last shown with.
    fn bound(&self, name: &str, mut payload: Value) -> Value {
        if name == "tool:approval"
            && let Some(answer) = payload.as_object_mut().filter(|answer| !answer.contains_key("digest"))
            && let Some(digest) = answer.get("callId").and_then(Value::as_str).and_then(|call| self.digest_of(call))
        {
            answer.insert("digest".to_owned(), digest.into());
        }
        payload
    }

    /// The digest that a call was last shown with.
    pub fn digest_of(&self, call: &str) -> Option<String> {
        let shown = |value: &Value| {
            let digest = value["digest"].as_str().filter(|_| value["callId"] == call);
            digest.map(str::to_owned)
        };
        let among = |list: &Value| list.as_array().into_iter().flatten().find_map(shown);
        let number = |id: &Value| id.as_str()?.split_once('-')?.1.parse::<u64>().ok();
        let ready_at = number(&self.ready["lastEventId"]);
        // What is older than `system:ready` is told again, and `system:ready` has the questions as they stand.
        let told_again = |event: &&Event| number(&event.meta["id"]) <= ready_at;
        let seen = |event: &Event| match event.name.as_str() {
            "tool:calls" => among(&event.payload),
            "tool:approval_required" => shown(&event.payload),
            "history:snapshot" => among(&event.payload["pending"]).or_else(|| among(&event.payload["calls"])),
            _ => None,
        };
        let newest_first = || self.journal.iter().rev();
        let now = newest_first().filter(|event| !told_again(event)).find_map(seen);
        now.or_else(|| among(&self.ready["pending"])).or_else(|| newest_first().find_map(seen))
    }

    /// The next acknowledgement, and the number of the event that it is for. Events before it stay to be read.
    pub async fn next_ack(&mut self) -> Result<(u64, Value)> {
        loop {
            match self.packet().await? {
                Packet::Ack(id, answer) => return Ok((id, answer)),
                Packet::Event(event) => self.unread.push_back(event),
                _ => {}
            }
        }
    }

    /// Reads until the server closes the connection.
    pub async fn until_closed(&mut self) -> Result<()> {
        loop {
            match self.packet().await {
                Ok(_) => {}
                Err(error) if error.is::<Closed>() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    async fn acknowledged(&mut self, array: Value) -> Result<Value> {
        self.acks += 1;
        let wanted = self.acks;
        self.raw(format!("42{wanted}{array}")).await?;
        loop {
            let (id, answer) = self.next_ack().await.with_context(|| format!("no acknowledgement for {}", array[0]))?;
            if id == wanted {
                Contract::committed().check_answer(array[0].as_str().unwrap_or_default(), &answer)?;
                return Ok(answer);
            }
        }
    }

    /// The next packet that is not a ping.
    async fn packet(&mut self) -> Result<Packet> {
        timeout(PATIENCE, self.read()).await.context("nothing came in time")?
    }

    async fn read(&mut self) -> Result<Packet> {
        loop {
            let text = match self.socket.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Closed.into()),
                Some(Ok(_)) => continue,
            };
            match Packet::parse(&text)? {
                Packet::Ping => self.raw("3").await?,
                Packet::Event(event) => {
                    if self.is_checked {
                        Contract::committed().check_event(&event)?;
                    }
                    self.journal.push(event.clone());
                    return Ok(Packet::Event(event));
                }
                Packet::Disconnected => return Err(Closed.into()),
                other => return Ok(other),
            }
        }
    }
}

/// The server closed the connection.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the server closed the connection")
    }
}

impl std::error::Error for Closed {}
