use crate::{Config, stall::StallGuard};
use axum::{Router, body::Body, extract::Request};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
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

/// Accepts connections until `shutdown`, and serves each with `router`.
pub(crate) async fn serve(
    config: &Config,
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> Served {
    let (tasks, places) = (TaskTracker::new(), Arc::new(Semaphore::new(config.max_connections)));
    let hard = CancellationToken::new();
    let accepting = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, peer) = accept(&listener).await;
            let connection = connection(config, stream, peer, router.clone(), shutdown.clone());
            let hard = hard.clone();
            tasks.spawn(async move {
                let _ = hard.run_until_cancelled(connection).await;
                drop(place);
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

fn connection(
    config: &Config,
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    shutdown: CancellationToken,
) -> impl Future<Output = ()> + use<> {
    // Answers are small and somebody waits for each.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection goes on with delayed packets");
    }
    let io = TokioIo::new(StallGuard::new(stream, config.write_stall()));
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request)
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(config.header_read());
    let connection = builder.serve_connection(io, service).with_upgrades();
    async move {
        tokio::pin!(connection);
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "a connection failed");
        }
    }
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
