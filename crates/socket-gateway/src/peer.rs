use crate::{
    pass::{Pass, Version},
    transports::Transports,
    wire::{AgentError, Answer, Meta, Protocol, Refused, Sent, ServerEvent},
};
use lockkeeper_domain::{Failure, Via};
use lockkeeper_ports::Clock;
use serde::Serialize;
use socketioxide::{
    SendError, SocketError,
    adapter::LocalAdapter,
    extract::AckSender,
    handler::{FromConnectParts, FromMessageParts},
    socket::Socket,
};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The client's side of a connection: what can be sent there.
///
/// Its id is the secret of the polling transport: it is never shown, sent or logged.
#[derive(Clone)]
pub(crate) struct Peer {
    socket: Arc<Socket<LocalAdapter>>,
    protocol: Protocol,
    clock: Arc<dyn Clock>,
    patience: Duration,
}

/// Why nothing can be sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// The connection is closed.
    Closed,
    /// The client has read nothing for too long.
    Slow,
}

/// A socket as a handler gets it.
pub(crate) struct Raw(pub(crate) Arc<Socket<LocalAdapter>>);

impl FromConnectParts<LocalAdapter> for Raw {
    type Error = Infallible;

    fn from_connect_parts(
        socket: &Arc<Socket<LocalAdapter>>,
        _auth: &Option<socketioxide_core::Value>,
    ) -> Result<Self, Infallible> {
        Ok(Self(Arc::clone(socket)))
    }
}

impl Peer {
    pub(crate) fn new(
        socket: Arc<Socket<LocalAdapter>>,
        protocol: Protocol,
        clock: Arc<dyn Clock>,
        patience: Duration,
    ) -> Self {
        Self { socket, protocol, clock, patience }
    }

    /// The form in which the client gets events.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The query of the request that opened the connection.
    pub(crate) fn query(&self) -> &str {
        self.socket.req_parts().uri.query().unwrap_or_default()
    }

    /// The headers of that request.
    pub(crate) fn headers(&self) -> &http::HeaderMap {
        &self.socket.req_parts().headers
    }

    /// Where the client connects from, if the server knows.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.socket.req_parts().extensions.get::<SocketAddr>().copied()
    }

    /// What the client's program calls itself.
    pub(crate) fn agent(&self) -> Option<String> {
        let agent = self.socket.req_parts().headers.get(http::header::USER_AGENT)?;
        Via::named(&String::from_utf8_lossy(agent.as_bytes()))
    }

    /// The meta of an event that is not logged and happens now.
    pub(crate) fn now(&self) -> Meta {
        Meta::unlogged(self.clock.now())
    }

    /// Sends an event. A full buffer refuses it; then this waits for room, so that nothing is lost and the buffer is all that
    /// a slow client costs.
    pub(crate) async fn emit(&self, event: &ServerEvent, meta: &Meta) -> Result<(), Lost> {
        self.patiently(|| Some(send(&self.socket, self.protocol, event, meta))).await.map(drop)
    }

    /// Sends an event if `pass` still is at `version` at the moment of sending. Returns whether it is.
    pub(crate) async fn emit_at(
        &self,
        event: &ServerEvent,
        meta: &Meta,
        pass: &Pass,
        version: Version,
    ) -> Result<bool, Lost> {
        self.patiently(|| pass.while_stands(version, || send(&self.socket, self.protocol, event, meta))).await
    }

    /// Acknowledges a command.
    pub(crate) async fn acknowledge(&self, ack: i64, outcome: &Result<Answer, Failure>) -> Result<(), Lost> {
        match outcome {
            Ok(answer) => self.patiently(|| Some(send_ack(&self.socket, ack, answer))).await.map(drop),
            Err(failure) => {
                let refused = Refused::from(failure.clone());
                self.patiently(|| Some(send_ack(&self.socket, ack, &refused))).await.map(drop)
            }
        }
    }

    /// Acknowledges a command with an answer, if `pass` still is at `version` at the moment of sending. Returns whether
    /// it is.
    pub(crate) async fn answer_at(
        &self,
        ack: i64,
        answer: &Answer,
        pass: &Pass,
        version: Version,
    ) -> Result<bool, Lost> {
        self.patiently(|| pass.while_stands(version, || send_ack(&self.socket, ack, answer))).await
    }

    /// Tells of a failure where there is no acknowledgement to tell it in.
    pub(crate) async fn report(&self, failure: Failure) -> Result<(), Lost> {
        self.emit(&ServerEvent::AgentError(failure.into()), &self.now()).await
    }

    /// Says why the connection ends.
    pub(crate) async fn refuse(&self, failure: Failure) -> Result<(), Lost> {
        let meta = Meta { code: Some(failure.code), ..self.now() };
        let reason = AgentError::from(failure).sentence();
        self.emit(&ServerEvent::Error(reason), &meta).await
    }

    /// Disconnects the client; what was sent before still reaches it. While its buffer is full even that is refused, so this
    /// tries until there is room, or the transport has failed and its buffer with it.
    pub(crate) async fn disconnect(&self) {
        const PAUSE: Duration = Duration::from_millis(100);
        while let Err(SocketError::InternalChannelFull) = Arc::clone(&self.socket).disconnect() {
            sleep(PAUSE).await;
        }
    }

    /// Disconnects the client when it is dropped, whatever happened, unless it has `gone` or cannot be told at once, and closes
    /// its transport: a client could keep that, and its place, by answering pings.
    pub(crate) fn hang_up_on_drop(&self, gone: CancellationToken, transports: Arc<Transports>) -> HangUp {
        HangUp { socket: Arc::clone(&self.socket), gone, transports }
    }

    /// Tries to send until there is room. `None` of `send` gives up: then this returns `false`.
    async fn patiently(&self, send: impl Fn() -> Option<Result<(), SendError>>) -> Result<bool, Lost> {
        const SHORTEST: Duration = Duration::from_millis(2);
        const LONGEST: Duration = Duration::from_millis(100);
        let (mut pause, started) = (SHORTEST, Instant::now());
        loop {
            let Some(outcome) = send() else { return Ok(false) };
            match outcome {
                Ok(()) => return Ok(true),
                Err(SendError::Socket(SocketError::InternalChannelFull)) if started.elapsed() < self.patience => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST);
                }
                Err(SendError::Socket(SocketError::InternalChannelFull)) => return Err(Lost::Slow),
                Err(SendError::Socket(SocketError::Closed)) => return Err(Lost::Closed),
                Err(SendError::Serialize(error)) => {
                    tracing::error!(%error, "an event cannot be written as JSON");
                    return Err(Lost::Closed);
                }
            }
        }
    }
}

/// See [`Peer::hang_up_on_drop`].
pub(crate) struct HangUp {
    socket: Arc<Socket<LocalAdapter>>,
    gone: CancellationToken,
    transports: Arc<Transports>,
}

impl Drop for HangUp {
    fn drop(&mut self) {
        if !self.gone.is_cancelled() {
            // An error says that its transport is about to fail.
            let _ = Arc::clone(&self.socket).disconnect();
        }
        self.transports.close(&self.socket);
    }
}

/// Answers a command in the reader's task, where nothing may wait. Whether it was possible.
pub(crate) fn refuse_now(
    socket: &Arc<Socket<LocalAdapter>>,
    protocol: Protocol,
    ack: Option<i64>,
    failure: Failure,
    clock: &dyn Clock,
) -> bool {
    let sent = if let Some(ack) = ack {
        send_ack(socket, ack, &Refused::from(failure))
    } else {
        let (event, meta) = (ServerEvent::AgentError(failure.into()), Meta::unlogged(clock.now()));
        send(socket, protocol, &event, &meta)
    };
    sent.is_ok()
}

/// Sends an event in the form that the client asked for.
fn send(socket: &Socket<LocalAdapter>, protocol: Protocol, event: &ServerEvent, meta: &Meta) -> Result<(), SendError> {
    match protocol.arguments(event, meta) {
        Sent::Nothing(arguments) => socket.emit(event.name(), &arguments),
        Sent::Text(arguments) => socket.emit(event.name(), &arguments),
        Sent::Payload(arguments) => socket.emit(event.name(), &arguments),
        Sent::WithMeta(arguments) => socket.emit(event.name(), &arguments),
    }
}

fn send_ack(socket: &Arc<Socket<LocalAdapter>>, ack: i64, answer: &impl Serialize) -> Result<(), SendError> {
    let mut unused = socketioxide_core::Value::Str(socketioxide_core::Str::from(""), None);
    let Ok(sender) = AckSender::from_message_parts(socket, &mut unused, &Some(ack));
    sender.send(answer)
}
