//! A runtime that stalls and comes back: while it does, it answers nothing, passes no byte on, and loses nothing.

use async_trait::async_trait;
use futures::FutureExt;
use lockkeeper_ports::{
    Availability, AvailabilityReporter, Exec, ExecSpec, ExecStatus, Isolation, ProgressSink, SandboxError, SandboxId,
    SandboxRuntime, SandboxSpec, SandboxSummary,
};
use std::{fmt, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const BUFFER_BYTES: usize = 64 << 10;
/// How long a request may go unanswered before it fails.
const ANSWER: Duration = Duration::from_secs(5);
/// How long after an order to kill a process its end is waited for.
const STOP: Duration = Duration::from_secs(10);

/// Another runtime behind an engine that a test stalls, as SIGSTOP stalls a daemon: its sandboxes and their processes run
/// on, and whatever was written to them or by them arrives when it goes on.
pub struct StallingRuntime {
    inner: Arc<dyn SandboxRuntime>,
    stalled: watch::Sender<bool>,
    notices_after: Option<Duration>,
    reporter: Arc<AvailabilityReporter>,
    tasks: TaskTracker,
}

impl StallingRuntime {
    /// Puts an engine before `inner` that reports a stall `notices_after` it began, or never.
    pub fn new(inner: Arc<dyn SandboxRuntime>, notices_after: Option<Duration>) -> Self {
        let (stalled, reporter) = (watch::Sender::new(false), Arc::default());
        Self { inner, stalled, notices_after, reporter, tasks: TaskTracker::new() }
    }

    /// Stalls it.
    pub fn stall(&self) {
        self.stalled.send_replace(true);
        let Some(after) = self.notices_after else { return };
        let (reporter, mut stalled) = (Arc::clone(&self.reporter), self.stalled.subscribe());
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                _ = stalled.wait_for(|stalled| !stalled) => {}
                () = sleep(after) => {
                    reporter.away();
                }
            }
        });
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.stalled.send_replace(false);
        self.reporter.back();
    }

    /// Waits for its turn, as a request that an engine takes up when it goes on.
    async fn admit(&self) -> Result<(), SandboxError> {
        let answered = timeout(ANSWER, flowing(self.stalled.subscribe())).await;
        answered.map_err(|_| SandboxError::Unavailable("the engine does not answer".into()))
    }
}

impl fmt::Debug for StallingRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StallingRuntime").field("stalled", &*self.stalled.borrow()).finish_non_exhaustive()
    }
}

#[async_trait]
impl SandboxRuntime for StallingRuntime {
    fn isolation(&self) -> Isolation {
        self.inner.isolation()
    }

    fn availability(&self) -> Availability {
        self.reporter.observe()
    }

    async fn inspect(&self, sandbox: &SandboxId) -> Result<(), SandboxError> {
        self.admit().await?;
        self.inner.inspect(sandbox).await
    }

    async fn start(&self, spec: &SandboxSpec, progress: ProgressSink) -> Result<SandboxId, SandboxError> {
        self.admit().await?;
        self.inner.start(spec, progress).await
    }

    async fn reserve(&self) -> Result<Option<SandboxId>, SandboxError> {
        self.admit().await?;
        self.inner.reserve().await
    }

    async fn adopt(&self, reserved: &SandboxId, spec: &SandboxSpec) -> Result<SandboxId, SandboxError> {
        self.inner.adopt(reserved, spec).await
    }

    async fn exec(&self, sandbox: &SandboxId, spec: &ExecSpec) -> Result<Exec, SandboxError> {
        self.admit().await?;
        let exec = self.inner.exec(sandbox, spec).await?;
        let stalled = || self.stalled.subscribe();
        let ((stdin, from_user), (to_user, stdout), (errors_to_user, stderr)) =
            (duplex(BUFFER_BYTES), duplex(BUFFER_BYTES), duplex(BUFFER_BYTES));
        self.tasks.spawn(pass(from_user, exec.stdin, stalled()));
        self.tasks.spawn(pass(exec.stdout, to_user, stalled()));
        self.tasks.spawn(pass(exec.stderr, errors_to_user, stalled()));
        let killed = CancellationToken::new();
        let (ordered, resumed, kill) = (killed.clone(), stalled(), exec.kill);
        self.tasks.spawn(async move {
            ordered.cancelled().await;
            flowing(resumed).await;
            kill();
        });
        let (ordered, resumed, ended) = (killed.clone(), stalled(), exec.status);
        let status = async move {
            let ended = async {
                let status = ended.await;
                flowing(resumed).await;
                status
            };
            let overdue = async {
                ordered.cancelled().await;
                sleep(STOP).await;
            };
            tokio::select! {
                biased;
                status = ended => status,
                () = overdue => ExecStatus::Lost("the engine does not answer".into()),
            }
        };
        let kill = killed.drop_guard();
        Ok(Exec {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            status: status.boxed(),
            kill: Box::new(move || drop(kill)),
        })
    }

    async fn stop(&self, sandbox: &SandboxId) -> Result<(), SandboxError> {
        self.admit().await?;
        self.inner.stop(sandbox).await
    }

    async fn list(&self) -> Result<Vec<SandboxSummary>, SandboxError> {
        self.admit().await?;
        self.inner.list().await
    }
}

/// Waits until nothing is held back.
async fn flowing(mut stalled: watch::Receiver<bool>) {
    // The runtime is gone: what it held flows off.
    let _ = stalled.wait_for(|stalled| !stalled).await;
}

async fn pass(
    mut from: impl AsyncRead + Send + Unpin,
    mut to: impl AsyncWrite + Send + Unpin,
    stalled: watch::Receiver<bool>,
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        flowing(stalled.clone()).await;
        if read == 0 {
            let _ = to.shutdown().await;
            return;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::FakeSandboxRuntime;
    use lockkeeper_domain::{Epoch, ServerName, SessionId};
    use std::collections::BTreeMap;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn stalled_runtime_answers_nothing_and_loses_nothing() {
        let cat = FakeSandboxRuntime::new(|mut process| {
            async move {
                let copied = tokio::io::copy(&mut process.stdin, &mut process.stdout).await;
                copied.map_or(ExecStatus::Exited(1), |_| ExecStatus::Exited(0))
            }
            .boxed()
        });
        let runtime = StallingRuntime::new(Arc::new(cat), Some(Duration::from_secs(3)));
        let spec = SandboxSpec { session: SessionId::parse("s").expect("an id"), epoch: Epoch::new(1) };
        let id = runtime.start(&spec, Arc::new(|_| {})).await.expect("start");
        let command = ExecSpec { server: ServerName::new("s"), command: vec!["cat".into()], env: BTreeMap::new() };
        let mut exec = runtime.exec(&id, &command).await.expect("exec");

        runtime.stall();
        let stalled_at = Instant::now();
        exec.stdin.write_all(b"hello").await.expect("it is held");
        runtime.availability().away().await;
        assert_eq!(stalled_at.elapsed(), Duration::from_secs(3));
        assert!(matches!(runtime.inspect(&id).await, Err(SandboxError::Unavailable(_))));
        let mut said = [0; 5];
        assert!(timeout(Duration::from_mins(1), exec.stdout.read_exact(&mut said)).await.is_err());
        runtime.resume();
        assert!(!runtime.availability().is_away());
        runtime.inspect(&id).await.expect("it is there");
        exec.stdout.read_exact(&mut said).await.expect("it comes");
        assert_eq!(&said, b"hello");
        drop(exec.stdin);
        assert_eq!(exec.status.await, ExecStatus::Exited(0));
    }
}
