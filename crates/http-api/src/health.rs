use crate::Config;
use axum::{
    Json,
    extract::State,
    http::{HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use lockkeeper_domain::Failure;
use lockkeeper_orchestrator::SessionManager;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::timeout;

/// What the handlers need.
#[derive(Clone)]
pub(crate) struct Health {
    pub(crate) config: Arc<Config>,
    pub(crate) manager: Arc<SessionManager>,
    pub(crate) version: &'static str,
    pub(crate) warnings: Option<Warnings>,
}

/// What operators should know besides what the sessions report.
pub(crate) type Warnings = Arc<dyn Fn() -> Vec<Failure> + Send + Sync>;

const NOT_STORED: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Whether the process runs. Says nothing about what it needs: a restart does not mend that.
pub(crate) async fn healthz() -> Response {
    (NOT_STORED, Json(json!({ "ok": true }))).into_response()
}

/// Whether sessions can be served now, and if not, why. If so, what an operator should know all the same.
pub(crate) async fn readyz(State(health): State<Health>) -> Response {
    let reason = match timeout(health.config.readiness(), health.manager.readiness()).await {
        Ok(Ok(())) => {
            let mut warnings = health.manager.warnings();
            warnings.extend(health.warnings.iter().flat_map(|warnings| warnings()));
            let body = json!({ "ready": true, "reasons": [], "warnings": warnings });
            return (NOT_STORED, Json(body)).into_response();
        }
        Ok(Err(failure)) => json!(failure),
        Err(_) => json!({ "code": "store_unavailable", "message": "The store does not answer in time." }),
    };
    let body = Json(json!({ "ready": false, "reasons": [reason] }));
    (StatusCode::SERVICE_UNAVAILABLE, NOT_STORED, body).into_response()
}

/// What runs here.
pub(crate) async fn version(State(health): State<Health>) -> Response {
    (NOT_STORED, Json(json!({ "name": "lockkeeper", "version": health.version, "protocol": 2 }))).into_response()
}

/// There is nothing by that name.
pub(crate) async fn not_found() -> Response {
    refusal(StatusCode::NOT_FOUND, "not_found", "There is nothing here.")
}

/// There is, but it cannot be done with it.
pub(crate) async fn not_allowed() -> Response {
    refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This cannot be done here.")
}

pub(crate) fn refusal(status: StatusCode, code: &str, message: &str) -> Response {
    let body: Value = json!({ "code": code, "message": message });
    (status, NOT_STORED, Json(body)).into_response()
}
