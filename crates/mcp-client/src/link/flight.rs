use crate::text;
use lockkeeper_domain::CallId;
use lockkeeper_ports::CallProgress;
use serde_json::{Map, Value};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};
use tokio::{sync::mpsc, time::Instant};

const PROGRESS_TEXT: usize = 1024;

/// A call that a server works at.
#[derive(Debug)]
pub(crate) struct Call {
    id: CallId,
    progress: mpsc::Sender<CallProgress>,
    alive: Mutex<Instant>,
    too_large: AtomicBool,
    lost: AtomicBool,
}

impl Call {
    pub(crate) fn new(id: CallId, progress: mpsc::Sender<CallProgress>) -> Self {
        Self {
            id,
            progress,
            alive: Mutex::new(Instant::now()),
            too_large: AtomicBool::new(false),
            lost: AtomicBool::new(false),
        }
    }

    /// When it was started or last told of progress.
    pub(crate) fn alive(&self) -> Instant {
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn overran(&self) {
        self.too_large.store(true, Ordering::Release);
    }

    /// Whether its answer was over the limit.
    pub(crate) fn is_too_large(&self) -> bool {
        self.too_large.load(Ordering::Acquire)
    }

    pub(super) fn lost(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether its answer may have been the one that was over the limit and named no request.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    pub(super) fn progressed(&self, params: &Map<String, Value>) {
        let Some(progress) = params.get("progress").and_then(Value::as_f64) else { return };
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let told = CallProgress {
            call_id: self.id.clone(),
            progress,
            total: params.get("total").and_then(Value::as_f64),
            message: params.get("message").and_then(Value::as_str).map(|message| text::clean(message, PROGRESS_TEXT)),
        };
        // A full channel drops progress, as the port says.
        let _ = self.progress.try_send(told);
    }
}

/// Goes with a request through rmcp, so that the transport knows the call before the server can answer it.
#[derive(Clone)]
pub(crate) struct CallTag(pub(crate) Arc<Call>);

/// What a request was sent for.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) is_initialize: bool,
    pub(crate) call: Option<Arc<Call>>,
    pub(crate) token: Option<i64>,
}
