//! What is said of models, as JSON.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use lockkeeper_domain::Failure;
use lockkeeper_orchestrator::ModelList;
use serde_json::{Map, Value, json};

/// Lists are as private as the keys that they belong to.
const NOT_STORED: [(HeaderName, &str); 1] = [(header::CACHE_CONTROL, "private, no-store")];

/// `{ provider, default, models: [{ id, displayName }], cachedAt, age, problem? }`.
pub(super) fn models(list: &ModelList) -> Response {
    let at = jiff::Timestamp::from_millisecond(list.fetched_at.as_millis()).unwrap_or_default();
    let mut answer = json!({
        "provider": list.provider,
        "default": list.default,
        "models": *list.models,
        "cachedAt": format!("{at:.3}"),
        "age": list.age.as_secs(),
    });
    if let Some(problem) = &list.problem {
        answer["problem"] = json!(problem);
    }
    (NOT_STORED, Json(answer)).into_response()
}

/// `{ provider, models: [{ id, name }] }`, as older frontends fill their menu with it.
pub(super) fn available(list: &ModelList) -> Response {
    let model = |model: &lockkeeper_ports::ModelInfo| json!({ "id": model.id, "name": model.display_name });
    let models: Vec<_> = list.models.iter().map(model).collect();
    (NOT_STORED, Json(json!({ "provider": list.provider, "models": models }))).into_response()
}

/// `{ provider, models: { id: "available" } }`. Whatever the provider lists is available: no model is asked anything.
pub(super) fn check(list: &ModelList) -> Response {
    let models: Map<_, _> = list.models.iter().map(|model| (model.id.clone(), json!("available"))).collect();
    (NOT_STORED, Json(json!({ "provider": list.provider, "models": models }))).into_response()
}

/// `{ code, message, hint?, retryable }`.
pub(crate) fn failed(status: StatusCode, failure: &Failure) -> Response {
    respond(status, failure, json!(failure))
}

/// The same, with the `error` and the `models` that older frontends look for.
pub(super) fn failed_as_before(status: StatusCode, failure: &Failure) -> Response {
    let mut body = json!(failure);
    body["error"] = json!(failure.message);
    body["models"] = json!([]);
    respond(status, failure, body)
}

fn respond(status: StatusCode, failure: &Failure, mut body: Value) -> Response {
    body["retryable"] = json!(failure.code.is_retryable());
    let mut response = (status, NOT_STORED, Json(body)).into_response();
    let headers = response.headers_mut();
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    }
    response
}
