//! A user's own sessions, under `/api/sessions`: listed, ended and deleted by whoever may not, or need not, open one.

use crate::access::{Access, share, status};
use crate::models::failed;
use axum::{
    Extension, Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderName, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use lockkeeper_domain::{Code, Failure, SessionId, SessionRecord, Timestamp};
use lockkeeper_orchestrator::SessionManager;
use lockkeeper_ports::Principal;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc};

/// How many sessions a list has at most, and unless it is asked for fewer.
const MAX_LISTED: usize = 1_000;
const LISTED: usize = 100;
/// Lists are their owner's alone.
const NOT_STORED: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "private, no-store")];

#[derive(Clone)]
struct SessionsApi {
    manager: Arc<SessionManager>,
    access: Access,
}

/// How many sessions are asked for.
#[derive(Debug, Deserialize)]
struct ListQuery {
    limit: Option<usize>,
}

/// Who asks, and from where.
struct Caller {
    peer: Option<Extension<SocketAddr>>,
    uri: Uri,
    headers: HeaderMap,
}

pub(crate) fn routes(manager: Arc<SessionManager>, access: Access) -> Router {
    Router::new()
        .route("/api/sessions", get(list).options(preflight))
        .route("/api/sessions/{sessionId}", delete(remove).options(preflight))
        .route("/api/sessions/{sessionId}/end", post(end).options(preflight))
        .route("/api/sessions/{sessionId}/audit", get(audit).options(preflight))
        .with_state(SessionsApi { manager, access })
}

async fn list(
    State(api): State<SessionsApi>,
    query: Result<Query<ListQuery>, QueryRejection>,
    peer: Option<Extension<SocketAddr>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = async |by: &Principal| {
        let form = |_| Failure::new(Code::InvalidPayload, "Ask for `limit`, a whole number, or for nothing.");
        let Query(ListQuery { limit }) = query.map_err(form)?;
        let records = api.manager.list(by, limit.unwrap_or(LISTED).clamp(1, MAX_LISTED)).await?;
        let lines: Vec<_> = records.iter().map(|record| line(record, &api.manager.model_of(record))).collect();
        Ok(json!({ "sessions": lines }))
    };
    api.answer(Caller { peer, uri, headers }, answer).await
}

async fn remove(
    State(api): State<SessionsApi>,
    Path(id): Path<String>,
    peer: Option<Extension<SocketAddr>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = async |by: &Principal| {
        api.manager.delete(&session_id(id)?, by).await?;
        Ok(json!({ "ok": true }))
    };
    api.answer(Caller { peer, uri, headers }, answer).await
}

async fn end(
    State(api): State<SessionsApi>,
    Path(id): Path<String>,
    peer: Option<Extension<SocketAddr>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer = async |by: &Principal| {
        api.manager.end(&session_id(id)?, by).await?;
        Ok(json!({ "ok": true }))
    };
    api.answer(Caller { peer, uri, headers }, answer).await
}

async fn audit(
    State(api): State<SessionsApi>,
    Path(id): Path<String>,
    peer: Option<Extension<SocketAddr>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let answer =
        async |by: &Principal| Ok(json!({ "audit": api.manager.audit(&session_id(id)?, by).await?.to_text() }));
    api.answer(Caller { peer, uri, headers }, answer).await
}

async fn preflight(
    State(api): State<SessionsApi>,
    peer: Option<Extension<SocketAddr>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    api.access.preflight_of("GET, POST, DELETE", peer.map(|Extension(peer)| peer.ip()), &uri, &headers)
}

impl SessionsApi {
    /// Lets the caller do it, if it is known.
    async fn answer(
        &self,
        Caller { peer, uri, headers }: Caller,
        act: impl AsyncFnOnce(&Principal) -> Result<Value, Failure>,
    ) -> Response {
        let peer = peer.map(|Extension(peer)| peer.ip());
        let by = match self.access.caller(peer, &uri, &headers).await {
            Ok(by) => by,
            Err(refused) => return refused,
        };
        let response = match act(&by).await {
            Ok(answer) => (StatusCode::OK, NOT_STORED, Json(answer)).into_response(),
            Err(failure) => failed(refused_with(failure.code), &failure),
        };
        share(response, &headers)
    }
}

fn refused_with(code: Code) -> StatusCode {
    match code {
        Code::OwnedElsewhere => StatusCode::CONFLICT,
        Code::Draining | Code::StoreUnavailable | Code::SandboxUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        other => status(other, true),
    }
}

/// A session as `session:list` has it.
fn line(record: &SessionRecord, model: &str) -> Value {
    json!({
        "sessionId": record.id,
        "title": record.title,
        "createdAt": time(record.created_at),
        "lastActiveAt": time(record.last_active_at),
        "busy": record.busy,
        "model": model,
        "hasSandbox": record.sandbox.is_some(),
    })
}

fn time(at: Timestamp) -> String {
    format!("{:.3}", jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default())
}

fn session_id(text: String) -> Result<SessionId, Failure> {
    let malformed = |error| Failure::new(Code::InvalidPayload, format!("The path names no session: {error}."));
    SessionId::parse(text).map_err(malformed)
}
