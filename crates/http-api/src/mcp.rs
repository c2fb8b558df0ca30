//! How the MCP servers do, under `/api/mcp/health`.

use crate::access::{Access, share};
use axum::{
    Extension, Json, Router,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use lockkeeper_domain::{Code, Timestamp};
use lockkeeper_orchestrator::{McpHealth, SessionManager};
use lockkeeper_ports::ServerState;
use serde_json::{Map, Value, json};
use std::{net::SocketAddr, sync::Arc};

/// Who may connect may ask; what is said holds no word of any session.
const NOT_STORED: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "private, no-store")];

#[derive(Clone)]
struct McpApi {
    manager: Arc<SessionManager>,
    access: Access,
}

pub(crate) fn routes(manager: Arc<SessionManager>, access: Access) -> Router {
    Router::new()
        .route("/api/mcp/health", get(health).options(preflight))
        .with_state(McpApi { manager, access })
        .route("/api/mcp/add", post(fixed))
        .route("/api/mcp/{name}", delete(fixed))
}

async fn health(
    State(api): State<McpApi>,
    peer: Option<Extension<SocketAddr>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let peer = peer.map(|Extension(peer)| peer.ip());
    if let Some(refused) = api.access.refuse(peer, &uri, &headers).await {
        return refused;
    }
    let servers = api.manager.mcp_health();
    let troubled = servers.iter().any(|server| server.configured && is_troubled(server));
    let status = if troubled { "degraded" } else { "ok" };
    let mcps: Vec<_> = servers.iter().map(as_before).collect();
    let count = |status: &str| mcps.iter().filter(|mcp| mcp["status"] == status).count();
    let summary = json!({
        "total": mcps.len(),
        "healthy": count("healthy"),
        "unhealthy": count("unhealthy"),
        "reconnecting": count("reconnecting"),
        "disconnected": count("disconnected"),
    });
    let servers: Vec<_> = servers.iter().map(server).collect();
    let body = json!({ "status": status, "servers": servers, "summary": summary, "mcps": mcps });
    share((StatusCode::OK, NOT_STORED, Json(body)).into_response(), &headers)
}

/// Servers are part of the configuration, which nobody changes over HTTP: they are commands that this machine runs. Older
/// frontends show the reason that is in `error`.
async fn fixed() -> Response {
    let message = "MCP servers are set in the server's configuration, not over HTTP.";
    let hint = "The operator adds one with `lockkeeper mcp add NAME -- COMMAND`, or to the file of `mcp.config_file`.";
    let body =
        json!({ "error": format!("{message} {hint}"), "code": Code::Forbidden, "message": message, "hint": hint });
    (StatusCode::FORBIDDEN, NOT_STORED, Json(body)).into_response()
}

/// A server in the words of older frontends: `{ name, status, lastCheck, lastSuccess, consecutiveFailures, error? }`, with
/// times in milliseconds since 1970. One that is not started yet counts as healthy: nothing is known against it.
fn as_before(health: &McpHealth) -> Value {
    let status = match health.state {
        None | Some(ServerState::Up) => "healthy",
        Some(ServerState::Restarting) => "reconnecting",
        Some(ServerState::Down) => "unhealthy",
        Some(ServerState::HeldBack) => "disconnected",
    };
    let since = health.since.map_or(0, Timestamp::as_millis);
    let is_healthy = status == "healthy";
    let mut said = json!({
        "name": health.server,
        "status": status,
        "lastCheck": since,
        "lastSuccess": if is_healthy { since } else { 0 },
        "consecutiveFailures": if is_healthy { 0 } else { health.restarts.max(1) },
    });
    if let Some((_, message)) = health.problem.as_ref().filter(|_| !is_healthy) {
        said["error"] = json!(message);
    }
    said
}

async fn preflight(
    State(api): State<McpApi>,
    peer: Option<Extension<SocketAddr>>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    api.access.preflight(peer.map(|Extension(peer)| peer.ip()), &uri, &headers)
}

fn is_troubled(server: &McpHealth) -> bool {
    server.state.is_some_and(|state| state != ServerState::Up)
}

/// `{ name, state, configured, processes, tools?, restarts, since?, lastError?, retryAfterSecs? }`.
fn server(health: &McpHealth) -> Value {
    let processes: Map<_, _> =
        health.processes.iter().map(|(state, count)| (state.as_str().to_owned(), json!(count))).collect();
    let mut said = json!({
        "name": health.server,
        "state": health.state.map_or("idle", ServerState::as_str),
        "configured": health.configured,
        "processes": processes,
        "restarts": health.restarts,
    });
    if let Some(tools) = health.tools {
        said["tools"] = json!(tools);
    }
    if let Some(since) = health.since {
        let at = jiff::Timestamp::from_millisecond(since.as_millis()).unwrap_or_default();
        said["since"] = json!(format!("{at:.3}"));
    }
    if let Some((code, message)) = &health.problem {
        said["lastError"] = json!({ "code": code, "message": message });
    }
    if let Some(rest) = health.held_back {
        said["retryAfterSecs"] = json!(rest.as_secs().max(1));
    }
    said
}
