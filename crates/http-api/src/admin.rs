//! What operators do, under `/api/admin`, behind a token of their own.

mod answer;
mod guard;

use answer::{Approvals, Done, Inspection, Refusal, Sessions};
use axum::{
    Extension, Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, Path, Query, State,
        rejection::{BytesRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, header},
    middleware::from_fn_with_state,
    routing::{get, post},
};
use guard::{Guard, admit};
use lockkeeper_domain::{CallId, Code, Failure, InvalidDigest, PrincipalId, SessionId, Via};
use lockkeeper_orchestrator::Oversight;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{net::SocketAddr, sync::Arc};

/// The routes of operators.
#[derive(Clone)]
pub struct AdminApi {
    oversight: Oversight,
    guard: Arc<Guard>,
}

/// How many sessions a list has at most, and unless it is asked for fewer.
const MAX_LISTED: usize = 1_000;
const LISTED: usize = 100;
/// How many sessions are looked through for calls that wait.
const MAX_LOOKED_AT: usize = 1_000;
/// The longest body of a request, in bytes: an answer for a call, with its reason.
const MAX_BODY: usize = 16 << 10;
/// The longest reason of a denial, in bytes.
const MAX_REASON: usize = 4 << 10;

/// Which sessions are asked for.
#[derive(Debug, Deserialize)]
struct ListQuery {
    owner: Option<String>,
    limit: Option<usize>,
}

/// An operator's answer for a call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    approved: bool,
    #[serde(default)]
    reason: Option<String>,
    /// The `digest` of the call as it was listed.
    #[serde(default)]
    digest: Option<String>,
}

impl AdminApi {
    /// The routes for whoever has `token`. A wrong one may be tried ten times at once by an address, and ten times per minute after
    /// that.
    pub fn new(oversight: Oversight, token: &SecretString) -> Self {
        Self { oversight, guard: Arc::new(Guard::new(token)) }
    }

    pub(crate) fn routes(self) -> Router {
        let guard = Arc::clone(&self.guard);
        Router::new()
            .route("/api/admin/sessions", get(sessions))
            .route("/api/admin/sessions/{sessionId}", get(session).delete(end))
            .route("/api/admin/sessions/{sessionId}/audit", get(audit))
            .route("/api/admin/approvals", get(approvals))
            .route("/api/admin/approvals/{sessionId}/{callId}", post(decide))
            .route_layer(from_fn_with_state(guard, admit))
            .layer(DefaultBodyLimit::max(MAX_BODY))
            .with_state(self.oversight)
    }
}

async fn sessions(
    State(oversight): State<Oversight>,
    query: Result<Query<ListQuery>, QueryRejection>,
) -> Result<Json<Sessions>, Refusal> {
    let form = || malformed("Ask for `owner`, a user's name, and `limit`, a whole number, or for neither.");
    let Query(ListQuery { owner, limit }) = query.map_err(|_| form())?;
    let owner = owner.map(PrincipalId::parse).transpose().map_err(|_| form())?;
    let found = oversight.sessions(owner.as_ref(), limit.unwrap_or(LISTED).clamp(1, MAX_LISTED)).await?;
    Ok(Json(Sessions::of(found, &oversight)))
}

async fn session(State(oversight): State<Oversight>, Path(id): Path<String>) -> Result<Json<Inspection>, Refusal> {
    let (record, snapshot) = oversight.session(&session_id(id)?).await?.ok_or(Refusal::NotThere)?;
    Ok(Json(Inspection::of(record, snapshot, &oversight)))
}

async fn end(State(oversight): State<Oversight>, Path(id): Path<String>) -> Result<Json<Done>, Refusal> {
    let id = session_id(id)?;
    oversight.end(&id).await?.ok_or(Refusal::NotThere)?;
    tracing::info!(session.id = %id, "an operator has ended a session");
    Ok(Json(Done::new()))
}

async fn audit(State(oversight): State<Oversight>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let audit = oversight.audit(&session_id(id)?).await?.ok_or(Refusal::NotThere)?;
    Ok(Json(json!({ "audit": audit.to_text() })))
}

async fn approvals(State(oversight): State<Oversight>) -> Result<Json<Approvals>, Refusal> {
    Ok(Json(Approvals::of(oversight.waiting(MAX_LOOKED_AT).await?)))
}

async fn decide(
    State(oversight): State<Oversight>,
    Path((id, call)): Path<(String, String)>,
    peer: Option<Extension<SocketAddr>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Done>, Refusal> {
    let (id, form) = (
        session_id(id)?,
        "An answer is the JSON { \"approved\": true or false, \"reason\"?: \"..\", \"digest\"?: \"..\" }.",
    );
    let call = CallId::parse(call).map_err(|_| malformed("A call's id has letters, digits, `_` and `-` alone."))?;
    let body = body.map_err(|_| too_large("The answer has more than 16 KiB."))?;
    let Decision { approved, reason, digest } = serde_json::from_slice(&body).map_err(|_| malformed(form))?;
    if reason.as_ref().is_some_and(|reason| reason.len() > MAX_REASON) {
        return Err(too_large("The reason has more than 4 KiB.").into());
    }
    let digest = digest.map(|digest| digest.parse()).transpose();
    let digest = digest.map_err(|error: InvalidDigest| Failure::new(Code::ApprovalMismatch, format!("{error}.")))?;
    let via = Via {
        token: None,
        address: peer.map(|Extension(peer)| peer.ip().to_string()),
        agent: headers.get(header::USER_AGENT).map(HeaderValue::to_str).and_then(Result::ok).and_then(Via::named),
    };
    oversight.decide(&id, call.clone(), approved, reason, digest, via).await?.ok_or(Refusal::NotThere)?;
    tracing::info!(session.id = %id, call.id = %call, approved, "an operator has answered for a call");
    Ok(Json(Done::new()))
}

fn session_id(text: String) -> Result<SessionId, Failure> {
    SessionId::parse(text).map_err(|error| malformed(&format!("The path names no session: {error}.")))
}

fn malformed(message: &str) -> Failure {
    Failure::new(Code::InvalidPayload, message)
}

fn too_large(message: &str) -> Failure {
    Failure::new(Code::TooLarge, message)
}
