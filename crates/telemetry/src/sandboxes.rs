use crate::{
    instruments::{Instruments, label},
    outcome::{SUCCEEDED, of_sandbox},
    traces::{Traces, Work},
};
use async_trait::async_trait;
use lockkeeper_ports::{
    Availability, Exec, ExecSpec, Isolation, ProgressSink, SandboxError, SandboxId, SandboxRuntime, SandboxSpec,
    SandboxSummary,
};
use opentelemetry::trace::SpanKind;
use std::sync::Arc;
use tokio::time::Instant;

/// A runtime whose starts are measured.
pub(crate) struct TimedSandboxes {
    pub(crate) inner: Arc<dyn SandboxRuntime>,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) traces: Traces,
}

impl TimedSandboxes {
    /// Measures a start. `None` is a start of a sandbox that a runtime does not want to make.
    async fn timed<T>(
        &self,
        kind: &'static str,
        session: Option<&str>,
        start: impl Future<Output = Result<T, SandboxError>>,
        counts: impl Fn(&T) -> bool,
    ) -> Result<T, SandboxError> {
        let attributes = session.map(|session| label("gen_ai.conversation.id", session.to_owned()));
        let attributes = attributes.into_iter().chain([label("lockkeeper.sandbox.kind", kind)]).collect();
        let work = self.traces.begin("sandbox.start".to_owned(), SpanKind::Client, &Work::default(), attributes);
        let began = Instant::now();
        let started = start.await;
        let error = started.as_ref().err().map(of_sandbox);
        if started.as_ref().map_or(true, counts) {
            self.instruments.sandbox(kind, error.unwrap_or(SUCCEEDED), began.elapsed());
        }
        work.end(error);
        started
    }
}

#[async_trait]
impl SandboxRuntime for TimedSandboxes {
    fn isolation(&self) -> Isolation {
        self.inner.isolation()
    }

    fn availability(&self) -> Availability {
        self.inner.availability()
    }

    async fn inspect(&self, sandbox: &SandboxId) -> Result<(), SandboxError> {
        self.inner.inspect(sandbox).await
    }

    async fn start(&self, spec: &SandboxSpec, progress: ProgressSink) -> Result<SandboxId, SandboxError> {
        self.timed("cold", Some(spec.session.as_str()), self.inner.start(spec, progress), |_| true).await
    }

    async fn reserve(&self) -> Result<Option<SandboxId>, SandboxError> {
        self.timed("reserve", None, self.inner.reserve(), Option::is_some).await
    }

    async fn adopt(&self, reserved: &SandboxId, spec: &SandboxSpec) -> Result<SandboxId, SandboxError> {
        self.timed("adopt", Some(spec.session.as_str()), self.inner.adopt(reserved, spec), |_| true).await
    }

    async fn exec(&self, sandbox: &SandboxId, spec: &ExecSpec) -> Result<Exec, SandboxError> {
        self.inner.exec(sandbox, spec).await
    }

    async fn stop(&self, sandbox: &SandboxId) -> Result<(), SandboxError> {
        self.inner.stop(sandbox).await
    }

    async fn list(&self) -> Result<Vec<SandboxSummary>, SandboxError> {
        self.inner.list().await
    }
}
