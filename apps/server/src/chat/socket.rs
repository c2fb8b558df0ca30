//! A Socket.IO connection over WebSocket that comes back by itself and goes on where it was.

use super::{
    address::Address,
    packet::{self, Packet},
};
use futures::{SinkExt as _, StreamExt as _};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use std::{collections::HashMap, time::Duration};
use tokio::{
    net::TcpStream,
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a lost connection is sought again.
const GIVE_UP_AFTER: Duration = Duration::from_mins(1);
/// The first and the longest pause between attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// The largest message that is taken from a server.
const MAX_MESSAGE_BYTES: usize = 8 << 20;

/// Whom to connect to, and as whom.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: Address,
    pub(crate) token: Option<SecretString>,
    pub(crate) session: Option<String>,
}

/// What the server says, or what became of the connection.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum News {
    /// An event.
    Event(Event),
    /// The connection is lost and being sought again.
    Lost(String),
    /// The connection is back.
    Back,
    /// The server does not want this client. Nothing follows.
    Refused(String),
    /// The server cannot be reached. Nothing follows.
    Unreachable(String),
}

/// An event of the contract.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) name: String,
    pub(super) payload: Value,
    pub(super) meta: Value,
}

/// An acknowledgement that never came: the connection was lost before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lost;

struct Ask {
    event: &'static str,
    payload: Option<Value>,
    reply: oneshot::Sender<Value>,
}

/// The connection. Dropping it ends it.
pub(super) struct Socket {
    asks: mpsc::Sender<Ask>,
    news: mpsc::Receiver<News>,
    _task: JoinSet<()>,
}

/// Sends events.
#[derive(Clone)]
pub(super) struct Asker(mpsc::Sender<Ask>);

impl Asker {
    /// Sends an event and waits for its acknowledgement.
    pub(super) async fn ask(self, event: &'static str, payload: Option<Value>) -> Result<Value, Lost> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Ask { event, payload, reply }).await.map_err(|_| Lost)?;
        answer.await.map_err(|_| Lost)
    }
}

impl Socket {
    /// Starts to connect.
    pub(super) fn connect(target: Target) -> Self {
        let (asks, queue) = mpsc::channel(16);
        let (teller, news) = mpsc::channel(256);
        let mut task = JoinSet::new();
        let session = target.session.clone();
        let link = Link { target, session, last_event: None, queue, teller, ready: false };
        task.spawn(link.run());
        Self { asks, news, _task: task }
    }

    /// What comes next; none when nothing follows.
    pub(super) async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// A sender of events.
    pub(super) fn asker(&self) -> Asker {
        Asker(self.asks.clone())
    }
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why a connection ended.
enum End {
    Lost(String),
    Refused(String),
    /// Nobody listens any more.
    Unheard,
}

struct Link {
    target: Target,
    session: Option<String>,
    last_event: Option<String>,
    queue: mpsc::Receiver<Ask>,
    teller: mpsc::Sender<News>,
    /// Whether a connection was there once.
    ready: bool,
}

impl Link {
    async fn run(mut self) {
        let mut lost_at: Option<Instant> = None;
        let mut pause = PAUSES.0;
        loop {
            let end = match self.open().await {
                Ok((stream, silence)) => {
                    pause = PAUSES.0;
                    if lost_at.take().is_some() && self.teller.send(News::Back).await.is_err() {
                        return;
                    }
                    self.ready = true;
                    self.talk(stream, silence).await
                }
                Err(end) => end,
            };
            let news = match end {
                End::Unheard => return,
                End::Refused(reason) => Some(News::Refused(reason)),
                End::Lost(reason) if !self.ready => Some(News::Unreachable(reason)),
                End::Lost(reason) => {
                    let is_known = lost_at.is_some();
                    if lost_at.get_or_insert_with(Instant::now).elapsed() > GIVE_UP_AFTER {
                        Some(News::Unreachable(reason))
                    } else {
                        (!is_known).then_some(News::Lost(reason))
                    }
                }
            };
            if let Some(news) = news {
                let is_final = !matches!(news, News::Lost(_));
                if self.teller.send(news).await.is_err() || is_final {
                    return;
                }
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
    }

    async fn open(&self) -> Result<(Stream, Duration), End> {
        let url = self.target.address.websocket(self.session.as_deref());
        let lost =
            |error: &dyn std::fmt::Display| End::Lost(format!("{} cannot be reached: {error}", self.target.address));
        let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE_BYTES));
        let connecting = async {
            let connected = connect_async_with_config(&url, Some(config), true).await;
            let (mut stream, _) = connected.map_err(|error| lost(&error))?;
            let mut silence = None;
            loop {
                match receive(&mut stream).await? {
                    Packet::Open { silence: longest } => {
                        silence = Some(longest);
                        send(&mut stream, packet::connect(&self.auth())).await?;
                    }
                    Packet::Connected => {
                        let silence = silence.ok_or_else(|| End::Lost("the server sent no handshake".to_owned()))?;
                        return Ok((stream, silence));
                    }
                    Packet::Refused(reason) => return Err(End::Refused(reason)),
                    Packet::Event { name, args } if name == "error" => return Err(End::Refused(reason_of(&args))),
                    Packet::Closed => return Err(End::Lost("the server closed the connection".to_owned())),
                    _ => {}
                }
            }
        };
        timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(lost(&"it does not answer")))
    }

    fn auth(&self) -> Value {
        let mut auth = Map::new();
        if let Some(token) = &self.target.token {
            auth.insert("token".to_owned(), token.expose_secret().into());
        }
        auth.insert("protocol".to_owned(), lockkeeper_socket_gateway::wire::PROTOCOL.into());
        if let Some(id) = &self.last_event {
            auth.insert("lastEventId".to_owned(), id.as_str().into());
        }
        Value::Object(auth)
    }

    async fn talk(&mut self, mut stream: Stream, silence: Duration) -> End {
        let mut waiting: HashMap<u64, oneshot::Sender<Value>> = HashMap::new();
        let mut ids = 0..;
        loop {
            tokio::select! {
                packet = timeout(silence, receive(&mut stream)) => {
                    let packet = match packet {
                        Ok(Ok(packet)) => packet,
                        Ok(Err(end)) => return end,
                        Err(_) => return End::Lost("the server fell silent".to_owned()),
                    };
                    match packet {
                        Packet::Ping => if let Err(end) = send(&mut stream, packet::PONG.to_owned()).await { return end },
                        Packet::Closed => return End::Lost("the server closed the connection".to_owned()),
                        Packet::Refused(reason) => return End::Refused(reason),
                        Packet::Ack { id, args } => if let Some(reply) = waiting.remove(&id) {
                            let _ = reply.send(args.into_iter().next().unwrap_or_default());
                        },
                        Packet::Event { name, args } if name == "error" => return End::Refused(reason_of(&args)),
                        Packet::Event { name, args } => if !self.tell(name, args).await { return End::Unheard },
                        Packet::Open { .. } | Packet::Connected | Packet::Ignored => {}
                    }
                }
                ask = self.queue.recv() => {
                    let Some(Ask { event, payload, reply }) = ask else { return End::Unheard };
                    let id = ids.next().unwrap_or_default();
                    waiting.insert(id, reply);
                    if let Err(end) = send(&mut stream, packet::event(id, event, payload.as_ref())).await { return end }
                }
            }
        }
    }

    async fn tell(&mut self, name: String, args: Vec<Value>) -> bool {
        let mut args = args.into_iter();
        let (payload, meta) = (args.next().unwrap_or_default(), args.next().unwrap_or_default());
        if name == "system:ready"
            && let Some(session) = payload.get("sessionId").and_then(Value::as_str)
        {
            self.session = Some(session.to_owned());
        }
        if let Some(id) = meta.get("id").and_then(Value::as_str) {
            self.last_event = Some(id.to_owned());
        }
        self.teller.send(News::Event(Event { name, payload, meta })).await.is_ok()
    }
}

fn reason_of(args: &[Value]) -> String {
    match args.first() {
        Some(Value::String(reason)) => reason.clone(),
        Some(other) => other.get("message").and_then(Value::as_str).map_or_else(|| other.to_string(), str::to_owned),
        None => "no reason given".to_owned(),
    }
}

async fn receive(stream: &mut Stream) -> Result<Packet, End> {
    loop {
        match stream.next().await {
            Some(Ok(Message::Text(text))) => {
                return packet::decode(&text).map_err(|error| End::Lost(error.to_string()));
            }
            Some(Ok(Message::Close(_))) | None => return Err(End::Lost("the server closed the connection".to_owned())),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(End::Lost(error.to_string())),
        }
    }
}

async fn send(stream: &mut Stream, text: String) -> Result<(), End> {
    stream.send(Message::text(text)).await.map_err(|error| End::Lost(error.to_string()))
}
