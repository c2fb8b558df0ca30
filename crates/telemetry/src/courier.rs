//! Brings what is to be sent to the collector.

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tokio::runtime::Handle;

/// The longest answer of a collector that is read; nothing of it matters but what it says of failures.
const MAX_ANSWER: usize = 64 << 10;

/// Sends over HTTP. The exporters call from threads of their own; the connections live in the server's runtime.
#[derive(Debug)]
pub(crate) struct Courier {
    http: reqwest::Client,
    runtime: Handle,
    failing: AtomicBool,
}

impl Courier {
    /// Must be called in the runtime that is to hold the connections.
    pub(crate) fn new(timeout: Duration) -> Result<Self, reqwest::Error> {
        // Another part of the process may have chosen; any choice of the same kind will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // The headers hold keys, which must not follow a redirection to somebody else.
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(timeout).build()?;
        Ok(Self { http, runtime: Handle::current(), failing: AtomicBool::new(false) })
    }

    /// Says it once when the collector goes away, and once when it is back.
    fn tell(&self, problem: Option<&str>) {
        let failing = problem.is_some();
        if self.failing.swap(failing, Ordering::AcqRel) == failing {
            return;
        }
        if let Some(problem) = problem {
            tracing::warn!(problem, "telemetry cannot be sent; it is dropped until it can");
        } else {
            tracing::info!("telemetry is sent again");
        }
    }
}

#[async_trait]
impl HttpClient for Courier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let request = self.http.request(head.method, head.uri.to_string()).headers(head.headers).body(body);
        let sent = self.runtime.spawn(async move {
            let mut answer = request.send().await.map_err(reqwest::Error::without_url)?;
            let status = answer.status();
            let mut body = Vec::new();
            while let Some(piece) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
                body.extend_from_slice(&piece[..piece.len().min(MAX_ANSWER - body.len())]);
                if body.len() == MAX_ANSWER {
                    break;
                }
            }
            Ok::<_, reqwest::Error>((status, body))
        });
        let (status, body) = match sent.await? {
            Ok(answer) => answer,
            Err(error) => {
                self.tell(Some(&error.to_string()));
                return Err(error.into());
            }
        };
        let refused = format!("the collector answers with status {}", status.as_u16());
        self.tell((!status.is_success()).then_some(&*refused));
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = status;
        Ok(response)
    }
}
