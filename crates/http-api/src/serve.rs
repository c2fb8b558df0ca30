use crate::{
    Config,
    client::{Proxies, preface},
    pace::{Pace, PacedBody},
    slots::{Activity, Slot, Slots},
    stall::StallGuard,
};
use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// How many requests were cut off because they did not end in time.
    pub cut: usize,
}

/// What all connections share.
struct Server {
    config: Config,
    proxies: Proxies,
    router: Router,
    slots: Slots,
    shutdown: CancellationToken,
}

/// Accepts connections until `shutdown`, and serves each with `router`. It accepts at once, whatever there is: the slots
/// decide which connection has to go.
pub(crate) async fn serve(
    config: &Config,
    proxies: Proxies,
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> Served {
    let (tasks, hard) = (TaskTracker::new(), CancellationToken::new());
    let slots = Slots::new(config);
    let server = Arc::new(Server { config: config.clone(), proxies, router, slots, shutdown: shutdown.clone() });
    let accepting = async {
        loop {
            let (stream, peer) = accept(&listener).await;
            let slot = server.slots.take(peer.ip(), server.proxies.trust(peer.ip()));
            let (server, hard, evicted) = (Arc::clone(&server), hard.clone(), slot.evicted());
            tasks.spawn(async move {
                tokio::select! {
                    () = hard.cancelled() => {}
                    () = evicted.cancelled() => tracing::debug!("a connection was closed in favour of a new one"),
                    () = connection(&server, stream, peer, &slot) => {}
                }
            });
        }
    };
    shutdown.run_until_cancelled(accepting).await;
    drop(listener);
    tasks.close();
    let ended = timeout(config.drain(), tasks.wait()).await.is_ok();
    let cut = if ended { 0 } else { tasks.len() };
    hard.cancel();
    tasks.wait().await;
    Served { cut }
}

/// The next connection. An error is a connection's that is gone already, or the machine's, which may pass.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                if let Some(pause) = pause_after(&error) {
                    tracing::error!(%error, "no connection can be accepted at the moment");
                    sleep(pause).await;
                }
            }
        }
    }
}

/// How long to wait after a failed accept. Without a pause a process that is out of files would spin.
fn pause_after(error: &io::Error) -> Option<Duration> {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    let of_the_peer = matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted);
    (!of_the_peer).then_some(Duration::from_millis(500))
}

async fn connection(server: &Arc<Server>, mut stream: TcpStream, peer: SocketAddr, slot: &Slot) {
    // Answers are small and somebody waits for each.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection goes on with delayed packets");
    }
    let (config, proxies) = (&server.config, &server.proxies);
    let (peer, before) = if proxies.reads_preface(peer.ip()) {
        match timeout(config.header_read(), preface::read(&mut stream, peer, proxies.protocol)).await {
            Ok(Ok(read)) => read,
            Ok(Err(error)) => return tracing::debug!(%error, "a proxy's connection failed"),
            Err(_) => return tracing::debug!("a proxy sent nothing in time"),
        }
    } else {
        (peer, Vec::new())
    };
    let io = TokioIo::new(StallGuard::new(preface::Rewound::new(before, stream), config.write_stall()));
    let (shared, activity, reserved) = (Arc::clone(server), slot.activity(), slot.is_reserved());
    let service = service_fn(move |request| answer(Arc::clone(&shared), request, peer, activity.clone(), reserved));
    let mut builder = http1::Builder::new();
    // Who has a place of the reserve asks for health, at once.
    let header_read = if reserved { config.header_read().min(RESERVED) } else { config.header_read() };
    builder.timer(TokioTimer::new()).header_read_timeout(header_read).keep_alive(!reserved);
    let connection = builder.serve_connection(io, service).with_upgrades();
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = server.shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "a connection failed");
    }
}

/// How long a connection of the reserve may take for its request.
const RESERVED: Duration = Duration::from_secs(2);
/// What the reserve is for.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Answers a request of the connection from `peer`, in the name of the client that it came from.
async fn answer(
    server: Arc<Server>,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    activity: Activity,
    reserved: bool,
) -> Result<Response, Infallible> {
    if reserved && !PROBES.contains(&request.uri().path()) {
        let mut response =
            (StatusCode::SERVICE_UNAVAILABLE, "The server has as many connections as are allowed.\n").into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return Ok(response);
    }
    activity.works();
    let pace = Pace { grace: server.config.body_read(), bytes_per_sec: server.config.body_bytes_per_sec };
    let mut request: Request = request.map(|body| Body::new(PacedBody::new(body, pace, activity.clone())));
    let client = server.proxies.client(peer, request.headers());
    server.proxies.consume(peer, request.headers_mut());
    request.extensions_mut().insert(client);
    let response = server.router.clone().oneshot(request).await;
    // From here on the peer's pace counts: it reads the response, or sends the next request.
    activity.waits();
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_files_is_waited_for_and_a_lost_peer_is_not() {
        const EMFILE: i32 = 24;
        const ECONNABORTED: i32 = 103;
        assert!(pause_after(&io::Error::from_raw_os_error(EMFILE)).is_some());
        assert!(pause_after(&io::Error::from(io::ErrorKind::OutOfMemory)).is_some());
        if cfg!(target_os = "linux") {
            assert_eq!(pause_after(&io::Error::from_raw_os_error(ECONNABORTED)), None);
        }
        assert_eq!(pause_after(&io::Error::from(io::ErrorKind::ConnectionReset)), None);
    }
}
