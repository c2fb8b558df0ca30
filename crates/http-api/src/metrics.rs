//! The metrics, under `/metrics`.

use crate::{Config, models::failed};
use axum::{
    Extension, Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use lockkeeper_domain::{Code, Failure};
use secrecy::ExposeSecret as _;
use sha2::{Digest as _, Sha256};
use std::{net::SocketAddr, sync::Arc};

/// Writes the metrics, in the text that Prometheus reads.
pub type MetricsPage = Arc<dyn Fn() -> String + Send + Sync>;

const TEXT: [(HeaderName, &str); 2] =
    [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
/// Headers of proxies: the peer is not the client.
const FORWARDED: [&str; 4] = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

#[derive(Clone)]
struct Metrics {
    config: Arc<Config>,
    page: MetricsPage,
}

pub(crate) fn routes(config: Arc<Config>, page: MetricsPage) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(Metrics { config, page })
}

async fn metrics(State(metrics): State<Metrics>, peer: Option<Extension<SocketAddr>>, headers: HeaderMap) -> Response {
    let Some(token) = &metrics.config.metrics_token else {
        let here = peer.is_some_and(|Extension(peer)| peer.ip().to_canonical().is_loopback());
        if metrics.config.metrics_local && here && !FORWARDED.iter().any(|name| headers.contains_key(*name)) {
            return (TEXT, (metrics.page)()).into_response();
        }
        let failure = Failure::new(Code::Forbidden, "The metrics need a token, and none is configured.").with_hint(
            "Set http.metrics_token and send it as `Authorization: Bearer ..`. http.metrics_local opens them to this \
                 machine, if no proxy runs on it.",
        );
        return failed(StatusCode::FORBIDDEN, &failure);
    };
    let shown = headers.get(header::AUTHORIZATION).and_then(bearer).unwrap_or_default();
    // Digests, so that the comparison's time tells nothing of the token.
    if Sha256::digest(shown) == Sha256::digest(token.expose_secret()) {
        return (TEXT, (metrics.page)()).into_response();
    }
    let failure = Failure::new(Code::Unauthenticated, "The metrics are for whoever shows their token.")
        .with_hint("Send http.metrics_token as `Authorization: Bearer ..`.");
    failed(StatusCode::UNAUTHORIZED, &failure)
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
