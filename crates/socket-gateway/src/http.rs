//! What stands in front of Engine.IO.

mod origin;

pub(crate) use origin::is_origin;

use crate::{
    places::{Connections, Place},
    transports::{Guarded, Metered, Transports},
};
use bytes::Bytes;
use engineioxide::service::NotFoundService;
use futures::future::BoxFuture;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{Either, Full};
use lockkeeper_domain::Code;
use origin::Origins;
use socketioxide::service::SocketIoService;
use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};
use tower::{Service, ServiceExt};

/// The Socket.IO service, to be mounted at `/socket.io/` as it is: no prefix is stripped, no catch-all stands beside it.
pub type GatewayService = SocketService<SocketIoService<NotFoundService>>;

/// Refuses what must not reach Engine.IO: requests of foreign web pages, too many connections, everything while the
/// gateway closes. A refusal is `{ code, message }` with a status that says the same.
#[derive(Clone, Debug)]
pub struct SocketService<S> {
    inner: S,
    doorman: Arc<Doorman>,
    /// `None` in tests of what stands before them.
    transports: Option<Arc<Transports>>,
}

#[derive(Debug)]
pub(crate) struct Doorman {
    origins: Origins,
    connections: Connections,
    closing: AtomicBool,
}

impl Doorman {
    pub(crate) fn new(config: &crate::Config, connections: Connections) -> Self {
        Self { origins: Origins::new(config), connections, closing: AtomicBool::new(false) }
    }

    pub(crate) fn check_page(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), &'static str> {
        self.origins.check(headers, uri)
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// Lets a request in, with a place if it opens a connection, or says why not.
    fn check<B>(&self, request: &Request<B>) -> Result<Option<Arc<Place>>, Refusal> {
        let peer = request.extensions().get::<SocketAddr>().map(SocketAddr::ip);
        let forbidden = |message| Refusal { status: StatusCode::FORBIDDEN, code: Code::Forbidden, message };
        self.origins.check(request.headers(), request.uri()).map_err(forbidden)?;
        if let Some(refusal) = outdated(request).filter(|_| request.method() != Method::OPTIONS) {
            return Err(refusal);
        }
        if opens(request) {
            if self.closing.load(Ordering::Acquire) {
                let message = "The server is shutting down; try again in a moment.";
                return Err(Refusal { status: StatusCode::SERVICE_UNAVAILABLE, code: Code::Draining, message });
            }
            let place = self.connections.admit(peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
            return place.map(Some).map_err(|(code, message)| Refusal { status: busy(code), code, message });
        }
        Ok(None)
    }
}

fn busy(code: Code) -> StatusCode {
    if code == Code::RateLimited { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// Whether the request opens an Engine.IO session: the others name theirs.
fn opens<B>(request: &Request<B>) -> bool {
    let query = request.uri().query().unwrap_or_default();
    request.method() == Method::GET && !query.split('&').any(|pair| pair.starts_with("sid="))
}

/// Why a request of an older Engine.IO protocol is refused. Its clients show at most the status, so the reason is logged.
fn outdated<B>(request: &Request<B>) -> Option<Refusal> {
    let query = request.uri().query().unwrap_or_default();
    let version = query.split('&').find_map(|pair| pair.strip_prefix("EIO="))?;
    let message = match version {
        "4" => return None,
        "1" | "2" | "3" => {
            "This server speaks Socket.IO 4 (Engine.IO 4), and the client speaks Engine.IO 3 or older, as Socket.IO 1 and 2 \
             do: use socket.io-client 3 or 4, or python-socketio 5."
        }
        _ => {
            "This server speaks Socket.IO 4 (Engine.IO 4), and the client speaks another version: use socket.io-client 4."
        }
    };
    tracing::info!("a client of another version of Socket.IO is refused");
    Some(Refusal { status: StatusCode::BAD_REQUEST, code: Code::InvalidPayload, message })
}

struct Refusal {
    status: StatusCode,
    code: Code,
    message: &'static str,
}

impl Refusal {
    fn into_response<B>(self) -> Response<Either<B, Full<Bytes>>> {
        let body = serde_json::json!({ "code": self.code, "message": self.message }).to_string();
        let mut response = Response::new(Either::Right(Full::from(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.code.is_retryable() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl<S> SocketService<S> {
    pub(crate) fn new(inner: S, doorman: Arc<Doorman>, transports: Option<Arc<Transports>>) -> Self {
        Self { inner, doorman, transports }
    }
}

impl<S, B, R> Service<Request<B>> for SocketService<S>
where
    S: Service<Request<Metered<B>>, Response = Response<R>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    R: Send + 'static,
{
    type Response = Response<Either<R, Full<Bytes>>>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Each request waits for its own clone.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let origin = request.headers().get(header::ORIGIN).cloned();
        let place = match self.doorman.check(&request) {
            Ok(place) => place,
            Err(refusal) => {
                // A page that may connect may also read why it is refused.
                let origin = origin.filter(|_| refusal.code != Code::Forbidden);
                let mut response = refusal.into_response();
                share(response.headers_mut(), origin.as_ref());
                return Box::pin(std::future::ready(Ok(response)));
            }
        };
        if request.method() == Method::OPTIONS {
            return Box::pin(std::future::ready(Ok(preflight(origin.as_ref()))));
        }
        if let Some(place) = place {
            // Engine.IO keeps the request that opened a session as long as the session.
            request.extensions_mut().insert(place);
        }
        if let Some(mut response) = self.transports.as_ref().and_then(|transports| transports.upgrade(&mut request)) {
            share(response.headers_mut(), origin.as_ref());
            return Box::pin(std::future::ready(Ok(response.map(Either::Right))));
        }
        let inner = self.inner.clone();
        let meter = self.transports.as_ref().filter(|_| request.method() == Method::POST).map(|those| those.meter());
        let request = request.map(|body| Metered::new(body, meter));
        Box::pin(async move {
            let mut response = inner.oneshot(request).await?.map(Either::Left);
            share(response.headers_mut(), origin.as_ref());
            Ok(response)
        })
    }
}

/// The stream form of the service: a WebSocket that is one already, for tests and for transports without HTTP.
impl<S, St> Service<(St, Request<()>)> for SocketService<S>
where
    S: Service<(Guarded<St>, Request<()>), Response = ()> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: std::fmt::Display + Send,
    St: Send + 'static,
{
    type Response = ();
    type Error = String;
    type Future = BoxFuture<'static, Result<(), String>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (stream, mut request): (St, Request<()>)) -> Self::Future {
        match self.doorman.check(&request) {
            Err(refusal) => return Box::pin(std::future::ready(Err(refusal.code.to_string()))),
            Ok(Some(place)) => drop(request.extensions_mut().insert(place)),
            Ok(None) => {}
        }
        let Some(transports) = &self.transports else { return Box::pin(std::future::ready(Err("none".to_owned()))) };
        let stream = transports.guard(stream, &mut request);
        let inner = self.inner.clone();
        Box::pin(async move { inner.oneshot((stream, request)).await.map_err(|error| error.to_string()) })
    }
}

/// The answer to a browser that asks before it sends headers of its own.
fn preflight<B>(origin: Option<&HeaderValue>) -> Response<Either<B, Full<Bytes>>> {
    let mut response = Response::new(Either::Right(Full::default()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    share(headers, origin);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("content-type, authorization"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// Lets the page of an allowed origin read the response.
fn share(headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    }
}

#[cfg(test)]
mod tests;
