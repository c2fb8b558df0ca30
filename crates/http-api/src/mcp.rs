//! How the MCP servers do, under `/api/mcp/health`.

use crate::access::{Access, share};
use axum::{
    Extension, Json, Router,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
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
    Router::new().route("/api/mcp/health", get(health).options(preflight)).with_state(McpApi { manager, access })
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
    let servers: Vec<_> = servers.iter().map(server).collect();
    let answer = (StatusCode::OK, NOT_STORED, Json(json!({ "status": status, "servers": servers }))).into_response();
    share(answer, &headers)
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
