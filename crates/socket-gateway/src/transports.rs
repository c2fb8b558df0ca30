//! The transports under the connections: the streams of `WebSocket`s and the bodies of polling requests, and their ends.
//!
//! The library keeps the transport of a client that was disconnected open for as long as the client answers pings. So the
//! gateway wraps each stream, and closes it itself.

use crate::{
    Config,
    packets::{Frames, PacketMeter, Payload},
    places::Place,
};
use bytes::{Buf, Bytes};
use engineioxide::service::NotFoundService;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::rt::TokioIo;
use socketioxide::{TransportType, adapter::LocalAdapter, service::SocketIoService, socket::Socket};
use std::{
    collections::HashMap,
    error::Error,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::sleep,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFutureOwned},
    task::TaskTracker,
};
use tower::ServiceExt as _;

type Engine = SocketIoService<NotFoundService>;

/// All transports.
pub(crate) struct Transports {
    engine: Engine,
    burst: u32,
    per_sec: u32,
    farewell: Duration,
    tasks: TaskTracker,
    /// The streams of the connections that began as polling, by their ids.
    upgraded: Mutex<HashMap<String, Vec<CancellationToken>>>,
}

/// Closes the stream that a request became.
#[derive(Clone, Debug)]
struct Hook(CancellationToken);

impl Transports {
    pub(crate) fn new(engine: Engine, config: &Config) -> Arc<Self> {
        Arc::new(Self {
            engine,
            burst: config.packet_burst,
            per_sec: config.packets_per_sec,
            farewell: Duration::from_secs(config.farewell_secs),
            tasks: TaskTracker::new(),
            upgraded: Mutex::default(),
        })
    }

    pub(crate) fn meter(&self) -> PacketMeter {
        PacketMeter::new(self.burst, self.per_sec)
    }

    /// Wraps the stream that `request` became, so that it can be closed.
    pub(crate) fn guard<S>(self: &Arc<Self>, stream: S, request: &mut Request<()>) -> Guarded<S> {
        let closed = CancellationToken::new();
        request.extensions_mut().insert(Hook(closed.clone()));
        let id = sid(request.uri().query().unwrap_or_default()).map(str::to_owned);
        let registered = id.map(|id| Registered::new(self, id, closed.clone()));
        let wait = Box::pin(closed.clone().cancelled_owned());
        // Only a connection that opens with this stream has its place here, and ends with it.
        let place = request.extensions().get::<Arc<Place>>().cloned();
        Guarded { inner: stream, frames: Frames::new(self.meter()), closed, wait, place, _registered: registered }
    }

    /// Answers a request for a WebSocket, and serves it once it has become one. `None`: it is not such a request, or the engine
    /// refuses it.
    pub(crate) fn upgrade<B, R>(self: &Arc<Self>, request: &mut Request<B>) -> Option<Response<R>>
    where
        R: Default,
    {
        let key = request.headers().get(header::SEC_WEBSOCKET_KEY)?;
        let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()?;
        let query = request.uri().query().unwrap_or_default();
        let id = sid(query);
        let is_wanted = request.method() == http::Method::GET
            && first(query, "transport=") == Some("websocket")
            && first(query, "EIO=") == Some("4")
            && id.is_none_or(|id| id.parse::<socketioxide::socket::Sid>().is_ok());
        if !is_wanted {
            return None;
        }
        let on_upgrade = request.extensions_mut().remove::<hyper::upgrade::OnUpgrade>()?;
        let mut opened = Request::new(());
        *opened.method_mut() = request.method().clone();
        *opened.uri_mut() = request.uri().clone();
        *opened.headers_mut() = request.headers().clone();
        *opened.extensions_mut() = std::mem::take(request.extensions_mut());
        let transports = Arc::clone(self);
        self.tasks.spawn(async move {
            match on_upgrade.await {
                Ok(stream) => {
                    let stream = transports.guard(TokioIo::new(stream), &mut opened);
                    if let Err(error) = transports.engine.clone().oneshot((stream, opened)).await {
                        tracing::debug!(%error, "a WebSocket was refused");
                    }
                }
                Err(error) => tracing::debug!(%error, "a request did not become a WebSocket"),
            }
        });
        let mut response = Response::new(R::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
        Some(response)
    }

    /// Closes the transport of a connection that has ended a moment later, and frees its place at once. In that time what was
    /// sent before reaches the client. A stream cannot be closed earlier: once its reader has ended, the library writes no more.
    pub(crate) fn close(self: &Arc<Self>, socket: &Arc<Socket<LocalAdapter>>) {
        if let Some(place) = socket.req_parts().extensions.get::<Arc<Place>>() {
            place.release();
        }
        let (transports, socket) = (Arc::clone(self), Arc::clone(socket));
        self.tasks.spawn(async move {
            sleep(transports.farewell).await;
            if socket.transport_type() == TransportType::Polling {
                transports.close_polling(&socket.id.to_string()).await;
            }
            transports.close_streams(&socket);
        });
    }

    fn close_streams(&self, socket: &Socket<LocalAdapter>) {
        if let Some(Hook(closed)) = socket.req_parts().extensions.get() {
            closed.cancel();
        }
        for closed in lock(&self.upgraded).get(&socket.id.to_string()).into_iter().flatten() {
            closed.cancel();
        }
    }

    /// Sends the engine what a client sends that closes its connection: the library has no other way.
    async fn close_polling(&self, id: &str) {
        let uri = format!("/socket.io/?EIO=4&transport=polling&sid={id}");
        let close = Request::post(uri).body(Full::new(Bytes::from_static(b"1")));
        if let Ok(request) = close {
            let Ok(response) = self.engine.clone().oneshot(request).await;
            tracing::trace!(status = %response.status(), "a polling transport was closed");
        }
    }
}

impl std::fmt::Debug for Transports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transports").finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn sid(query: &str) -> Option<&str> {
    first(query, "sid=")
}

/// What the engine takes for a parameter of the query.
fn first<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name))
}

/// An entry of a stream under the id of its connection, for as long as the stream is there.
#[derive(Debug)]
struct Registered {
    id: String,
    closed: CancellationToken,
    transports: Arc<Transports>,
}

impl Registered {
    fn new(transports: &Arc<Transports>, id: String, closed: CancellationToken) -> Self {
        lock(&transports.upgraded).entry(id.clone()).or_default().push(closed.clone());
        Self { id, closed, transports: Arc::clone(transports) }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.closed.cancel();
        let mut streams = lock(&self.transports.upgraded);
        if let Some(those) = streams.get_mut(&self.id) {
            those.retain(|closed| !closed.is_cancelled());
            if those.is_empty() {
                streams.remove(&self.id);
            }
        }
        drop(streams);
        // An upgrade that failed leaves a session that neither polls nor has a stream.
        let (transports, id) = (Arc::clone(&self.transports), std::mem::take(&mut self.id));
        if tokio::runtime::Handle::try_current().is_ok() {
            self.transports.tasks.spawn(async move { transports.close_polling(&id).await });
        }
    }
}

/// The stream of a WebSocket. It ends for its reader when it is closed, or when the client sends too many packets.
#[derive(Debug)]
pub struct Guarded<S> {
    inner: S,
    frames: Frames,
    closed: CancellationToken,
    wait: Pin<Box<WaitForCancellationFutureOwned>>,
    place: Option<Arc<Place>>,
    _registered: Option<Registered>,
}

impl<S> Drop for Guarded<S> {
    fn drop(&mut self) {
        // The library keeps what it knows of the connection until its handshake would have been late.
        if let Some(place) = &self.place {
            place.release();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.wait.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if let Err(error) = self.frames.read(buf.filled().get(before..).unwrap_or_default()) {
            tracing::debug!(%error, "a connection is closed");
            self.closed.cancel();
            buf.set_filled(before);
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The body of a request, whose packets are counted.
#[derive(Debug)]
pub struct Metered<B> {
    inner: B,
    payload: Option<Payload>,
}

impl<B> Metered<B> {
    pub(crate) fn new(inner: B, meter: Option<PacketMeter>) -> Self {
        Self { inner, payload: meter.map(Payload::new) }
    }
}

impl<B> Body for Metered<B>
where
    B: Body<Data: Buf, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx).map(|frame| {
            let frame =
                frame?.map_err(Into::into).map(|frame| frame.map_data(|mut data| data.copy_to_bytes(data.remaining())));
            Some(frame.and_then(|frame| {
                if let (Some(payload), Some(data)) = (&mut self.payload, frame.data_ref()) {
                    payload.read(data)?;
                }
                Ok(frame)
            }))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
