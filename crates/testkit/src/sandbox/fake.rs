use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture};
use lockkeeper_domain::Timestamp;
use lockkeeper_ports::{
    Exec, ExecSpec, ExecStatus, Isolation, ProgressSink, SandboxError, SandboxId, SandboxRuntime, SandboxSpec,
    SandboxSummary, StartProgress,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};
use tokio::{
    io::{DuplexStream, duplex},
    task::{AbortHandle, JoinSet},
};

const BUFFER_BYTES: usize = 64 << 10;

/// A process as its script sees it: the other ends of its streams.
#[derive(Debug)]
pub struct FakeProcess {
    /// In which sandbox it runs.
    pub sandbox: SandboxId,
    /// What was asked for.
    pub spec: ExecSpec,
    /// What the caller writes.
    pub stdin: DuplexStream,
    /// What the caller reads.
    pub stdout: DuplexStream,
    /// What the caller reads apart.
    pub stderr: DuplexStream,
}

type Script = dyn Fn(FakeProcess) -> BoxFuture<'static, ExecStatus> + Send + Sync;

/// Sandboxes in memory, whose processes are futures that a script makes. Killing one drops its future.
pub struct FakeSandboxRuntime {
    script: Box<Script>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sandboxes: BTreeMap<SandboxId, Running>,
    refusals: usize,
}

struct Running {
    summary: SandboxSummary,
    processes: Vec<AbortHandle>,
}

impl FakeSandboxRuntime {
    /// A runtime whose processes do what `script` says.
    pub fn new(script: impl Fn(FakeProcess) -> BoxFuture<'static, ExecStatus> + Send + Sync + 'static) -> Self {
        Self { script: Box::new(script), state: Mutex::default() }
    }

    /// The next `count` starts fail as if the runtime were unavailable.
    pub fn refuse_starts(&self, count: usize) {
        self.state().refusals = count;
    }

    /// Ends a sandbox as if its engine had lost it.
    pub fn lose(&self, sandbox: &SandboxId) {
        if let Some(running) = self.state().sandboxes.remove(sandbox) {
            running.processes.iter().for_each(AbortHandle::abort);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the lock")
    }
}

impl std::fmt::Debug for FakeSandboxRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeSandboxRuntime").finish_non_exhaustive()
    }
}

#[async_trait]
impl SandboxRuntime for FakeSandboxRuntime {
    fn isolation(&self) -> Isolation {
        Isolation { runtime: "fake".into(), holds: "memory".into(), gaps: String::new(), none: false }
    }

    async fn start(&self, spec: &SandboxSpec, progress: ProgressSink) -> Result<SandboxId, SandboxError> {
        let tell = |status: &str| {
            progress(StartProgress {
                stage: "creating".into(),
                status: status.into(),
                message: String::new(),
                current: None,
                total: None,
                unit: None,
                elapsed_ms: 0,
            });
        };
        tell("running");
        let mut state = self.state();
        if state.refusals > 0 {
            state.refusals -= 1;
            tell("failed");
            return Err(SandboxError::Unavailable("refused as the test asked for".into()));
        }
        let id = SandboxId::new(format!("fake-{}-{}", spec.session, spec.epoch));
        state.sandboxes.entry(id.clone()).or_insert_with(|| Running {
            summary: SandboxSummary {
                id: id.clone(),
                session: spec.session.clone(),
                epoch: spec.epoch,
                created_at: Timestamp::default(),
            },
            processes: Vec::new(),
        });
        tell("done");
        Ok(id)
    }

    async fn inspect(&self, sandbox: &SandboxId) -> Result<(), SandboxError> {
        if self.state().sandboxes.contains_key(sandbox) { Ok(()) } else { Err(SandboxError::Gone) }
    }

    async fn exec(&self, sandbox: &SandboxId, spec: &ExecSpec) -> Result<Exec, SandboxError> {
        let mut state = self.state();
        let running = state.sandboxes.get_mut(sandbox).ok_or(SandboxError::Gone)?;
        let [(stdin, its_stdin), (stdout, its_stdout), (stderr, its_stderr)] = [(); 3].map(|()| duplex(BUFFER_BYTES));
        let process = FakeProcess {
            sandbox: sandbox.clone(),
            spec: spec.clone(),
            stdin: its_stdin,
            stdout: its_stdout,
            stderr: its_stderr,
        };
        let mut task = JoinSet::new();
        let handle = task.spawn((self.script)(process));
        running.processes.push(handle.clone());
        let killer = AbortOnDrop(handle);
        Ok(Exec {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            status: async move { status(task.join_next().await) }.boxed(),
            kill: Box::new(move || drop(killer)),
        })
    }

    async fn stop(&self, sandbox: &SandboxId) -> Result<(), SandboxError> {
        self.lose(sandbox);
        Ok(())
    }

    async fn list(&self) -> Result<Vec<SandboxSummary>, SandboxError> {
        Ok(self.state().sandboxes.values().map(|running| running.summary.clone()).collect())
    }
}

struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn status(ended: Option<Result<ExecStatus, tokio::task::JoinError>>) -> ExecStatus {
    match ended {
        Some(Ok(status)) => status,
        Some(Err(error)) if error.is_cancelled() => ExecStatus::Signalled(9),
        Some(Err(_)) => ExecStatus::Lost("the script panicked".into()),
        None => ExecStatus::Lost("its end was told already".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::{Epoch, ServerName, SessionId};
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn echo() -> FakeSandboxRuntime {
        FakeSandboxRuntime::new(|mut process| {
            async move {
                let copied = tokio::io::copy(&mut process.stdin, &mut process.stdout).await;
                copied.map_or(ExecStatus::Exited(1), |_| ExecStatus::Exited(0))
            }
            .boxed()
        })
    }

    fn spec() -> SandboxSpec {
        SandboxSpec { session: SessionId::parse("s").expect("a session id"), epoch: Epoch::new(1) }
    }

    async fn cat(runtime: &FakeSandboxRuntime, id: &SandboxId) -> Result<Exec, SandboxError> {
        runtime
            .exec(id, &ExecSpec { server: ServerName::new("s"), command: vec!["cat".into()], env: BTreeMap::new() })
            .await
    }

    #[tokio::test]
    async fn a_script_is_a_process() {
        let runtime = echo();
        let id = runtime.start(&spec(), Arc::new(|_| {})).await.expect("start");
        let mut exec = cat(&runtime, &id).await.expect("exec");
        exec.stdin.write_all(b"hello").await.expect("write");
        exec.stdin.shutdown().await.expect("shutdown");
        let mut said = String::new();
        exec.stdout.read_to_string(&mut said).await.expect("read");
        assert_eq!((said.as_str(), exec.status.await), ("hello", ExecStatus::Exited(0)));
    }

    #[tokio::test]
    async fn killing_and_stopping_drop_the_script() {
        let runtime = echo();
        let id = runtime.start(&spec(), Arc::new(|_| {})).await.expect("start");
        let (killed, stopped) = (cat(&runtime, &id).await.expect("exec"), cat(&runtime, &id).await.expect("exec"));
        (killed.kill)();
        assert_eq!(killed.status.await, ExecStatus::Signalled(9));
        runtime.stop(&id).await.expect("stop");
        assert_eq!(stopped.status.await, ExecStatus::Signalled(9));
        assert!(matches!(cat(&runtime, &id).await, Err(SandboxError::Gone)));
        assert_eq!(runtime.list().await.expect("list"), []);
    }

    #[tokio::test]
    async fn starts_are_refused_as_often_as_asked() {
        let runtime = echo();
        runtime.refuse_starts(1);
        assert!(matches!(runtime.start(&spec(), Arc::new(|_| {})).await, Err(SandboxError::Unavailable(_))));
        assert!(runtime.start(&spec(), Arc::new(|_| {})).await.is_ok());
    }
}
