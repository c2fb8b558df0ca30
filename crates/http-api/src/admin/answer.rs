//! What operators are told, as JSON. Nothing of what users and models said is in it, but for the arguments of calls that wait:
//! who decides must see those.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use lockkeeper_domain::{Code, Failure, SessionRecord, Timestamp};
use lockkeeper_orchestrator::{OpenCall, Oversight, Snapshot, WaitingCall};
use serde::Serialize;
use serde_json::{Value, json};

/// `GET /api/admin/sessions`.
#[derive(Serialize)]
pub(super) struct Sessions {
    sessions: Vec<SessionLine>,
}

/// A session.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionLine {
    session_id: String,
    owner: String,
    title: Option<String>,
    created_at: String,
    last_active_at: String,
    busy: bool,
    model: String,
    has_sandbox: bool,
}

/// `GET /api/admin/sessions/{sessionId}`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Inspection {
    #[serde(flatten)]
    session: SessionLine,
    /// The last event of its log.
    last_event_id: String,
    /// How many messages its history has.
    messages: usize,
    /// The open turn.
    turn: Option<u64>,
    /// Whether the model is being asked.
    thinking: bool,
    /// The runtime's name for its sandbox.
    sandbox: Option<String>,
    /// The calls without a result.
    calls: Vec<CallLine>,
}

/// A call without a result.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CallLine {
    call_id: String,
    name: String,
    server: Option<String>,
    args: Value,
    /// The arguments as the exact JSON text that runs.
    args_text: String,
    /// Whether it waits for a human.
    waiting: bool,
    why: String,
    /// When it is refused by itself, once a human was asked.
    expires_at: Option<String>,
    /// What an answer is bound to, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

/// `GET /api/admin/approvals`.
#[derive(Serialize)]
pub(super) struct Approvals {
    approvals: Vec<Approval>,
}

/// A call that waits for a human.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Approval {
    session_id: String,
    owner: String,
    title: Option<String>,
    #[serde(flatten)]
    call: CallLine,
}

/// What was asked for was done.
#[derive(Serialize)]
pub(super) struct Done {
    ok: bool,
}

impl Sessions {
    pub(super) fn of(records: Vec<SessionRecord>, oversight: &Oversight) -> Self {
        Self { sessions: records.into_iter().map(|record| SessionLine::of(record, oversight)).collect() }
    }
}

impl SessionLine {
    fn of(record: SessionRecord, oversight: &Oversight) -> Self {
        Self {
            model: oversight.model_of(&record),
            session_id: record.id.to_string(),
            owner: record.owner.to_string(),
            title: record.title.map(String::from),
            created_at: time(record.created_at),
            last_active_at: time(record.last_active_at),
            busy: record.busy,
            has_sandbox: record.sandbox.is_some(),
        }
    }
}

impl Inspection {
    pub(super) fn of(record: SessionRecord, snapshot: Snapshot, oversight: &Oversight) -> Self {
        Self {
            last_event_id: snapshot.last.to_string(),
            messages: snapshot.messages.len(),
            turn: snapshot.turn.map(lockkeeper_domain::TurnId::get),
            thinking: snapshot.thinking,
            sandbox: record.sandbox.as_ref().map(|sandbox| sandbox.id.clone()),
            calls: snapshot.calls.into_iter().map(Into::into).collect(),
            session: SessionLine::of(record, oversight),
        }
    }
}

impl Approvals {
    pub(super) fn of(waiting: Vec<WaitingCall>) -> Self {
        let approval = |WaitingCall { session, call }| Approval {
            session_id: session.id.to_string(),
            owner: session.owner.to_string(),
            title: session.title.map(String::from),
            call: call.into(),
        };
        Self { approvals: waiting.into_iter().map(approval).collect() }
    }
}

impl From<OpenCall> for CallLine {
    fn from(OpenCall { call, waiting, expires_at, why, digest }: OpenCall) -> Self {
        Self {
            call_id: call.id.to_string(),
            name: call.tool,
            server: call.server.map(|server| server.as_str().to_owned()),
            args_text: call.args.to_string(),
            args: call.args,
            waiting,
            why,
            expires_at: expires_at.map(time),
            digest: digest.map(|digest| digest.to_string()),
        }
    }
}

impl Done {
    pub(super) fn new() -> Self {
        Self { ok: true }
    }
}

/// RFC 3339, in milliseconds.
fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default();
    format!("{at:.3}")
}

/// `{ code, message, hint?, retryable }`, with a status that says the same.
pub(super) fn failed(failure: &Failure) -> Response {
    let mut body = json!(failure);
    body["retryable"] = json!(failure.code.is_retryable());
    let mut response = (status(failure.code), Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if failure.code == Code::RateLimited {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
    }
    response
}

pub(super) fn unauthenticated() -> Response {
    let failure = Failure::new(Code::Unauthenticated, "This is for operators.")
        .with_hint("Send the token of `http.admin_token` as `Authorization: Bearer ..`.");
    let mut response = failed(&failure);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

/// Why an operator's request is not followed.
pub(super) enum Refusal {
    /// It cannot be.
    Failed(Failure),
    /// There is no such session.
    NotThere,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Failed(failure) => failed(&failure),
            Self::NotThere => {
                let body = json!({ "code": "not_found", "message": "There is no such session.", "retryable": false });
                (StatusCode::NOT_FOUND, Json(body)).into_response()
            }
        }
    }
}

fn status(code: Code) -> StatusCode {
    match code {
        Code::InvalidPayload => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::UnknownCall => StatusCode::NOT_FOUND,
        Code::AlreadyResolved | Code::ApprovalExpired => StatusCode::CONFLICT,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        code if code.is_retryable() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
