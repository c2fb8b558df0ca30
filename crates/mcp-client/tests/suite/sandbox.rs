//! A sandbox runtime whose programs are closures that hold the other ends of the pipes.

use crate::script::Io;
use async_trait::async_trait;
use futures::{FutureExt, future::BoxFuture};
use lockkeeper_ports::{
    Exec, ExecSpec, ExecStatus, Isolation, ProgressSink, SandboxError, SandboxId, SandboxRuntime, SandboxSpec,
    SandboxSummary,
};
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{io::duplex, sync::watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const PIPE: usize = 64 << 10;

type Program = Arc<dyn Fn(Io) -> BoxFuture<'static, ExecStatus> + Send + Sync>;

/// What a program got and how it fared, over all of its processes.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Every message that reached it.
    pub(crate) messages: watch::Sender<Vec<Value>>,
    /// How many processes were started.
    pub(crate) starts: watch::Sender<usize>,
    /// How many ended, by themselves or killed.
    pub(crate) ends: watch::Sender<usize>,
    /// How many were killed.
    pub(crate) kills: watch::Sender<usize>,
}

impl Seen {
    /// Waits for a message of this method.
    pub(crate) async fn wait_for(&self, method: &str) -> Value {
        let is_it = |message: &&Value| message["method"] == method;
        let mut messages = self.messages.subscribe();
        let messages = messages.wait_for(|all| all.iter().any(|message| is_it(&message))).await.expect("kept");
        messages.iter().find(is_it).expect("just seen").clone()
    }

    /// How many messages of this method came.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.messages.borrow().iter().filter(|message| message["method"] == method).count()
    }

    /// Waits until `count` processes ended.
    pub(crate) async fn wait_for_ends(&self, count: usize) {
        self.ends.subscribe().wait_for(|ends| *ends >= count).await.expect("kept");
    }
}

#[derive(Default)]
pub(crate) struct FakeSandbox {
    programs: Mutex<HashMap<String, (Program, Arc<Seen>)>>,
    pub(crate) gone: AtomicBool,
    /// How many more starts of a program fail for the runtime's reason.
    refusals: Mutex<HashMap<String, usize>>,
    tasks: TaskTracker,
}

impl FakeSandbox {
    /// The runtime fails to start a program so often.
    pub(crate) fn refuse(&self, program: &str, times: usize) {
        self.refusals.lock().expect("refusals").insert(program.to_owned(), times);
    }

    /// How many of these refusals are left.
    pub(crate) fn refusals(&self, program: &str) -> usize {
        self.refusals.lock().expect("refusals").get(program).copied().unwrap_or_default()
    }

    /// Makes a program of this name.
    pub(crate) fn program<F, R>(&self, name: &str, program: F) -> Arc<Seen>
    where
        F: Fn(Io) -> R + Send + Sync + 'static,
        R: Future<Output = ExecStatus> + Send + 'static,
    {
        let seen = Arc::new(Seen::default());
        let program: Program = Arc::new(move |io| program(io).boxed());
        self.programs.lock().expect("programs").insert(name.to_owned(), (program, seen.clone()));
        seen
    }
}

#[async_trait]
impl SandboxRuntime for FakeSandbox {
    fn isolation(&self) -> Isolation {
        Isolation { runtime: "fake".into(), holds: String::new(), gaps: "everything".into(), none: true }
    }

    async fn start(&self, spec: &SandboxSpec, _progress: ProgressSink) -> Result<SandboxId, SandboxError> {
        Ok(SandboxId::new(spec.session.as_str()))
    }

    async fn inspect(&self, _sandbox: &SandboxId) -> Result<(), SandboxError> {
        if self.gone.load(Ordering::Acquire) { Err(SandboxError::Gone) } else { Ok(()) }
    }

    async fn exec(&self, _sandbox: &SandboxId, spec: &ExecSpec) -> Result<Exec, SandboxError> {
        if self.gone.load(Ordering::Acquire) {
            return Err(SandboxError::Gone);
        }
        let command = &spec.command[0];
        if let Some(left) = self.refusals.lock().expect("refusals").get_mut(command).filter(|left| **left > 0) {
            *left -= 1;
            return Err(SandboxError::Unavailable("the engine has not answered for 5s".into()));
        }
        let Some((program, seen)) = self.programs.lock().expect("programs").get(command).cloned() else {
            return Err(SandboxError::CannotExec { command: command.clone(), reason: "no such file".into() });
        };
        let ((stdin, their_stdin), (stdout, their_stdout), (stderr, their_stderr)) =
            (duplex(PIPE), duplex(PIPE), duplex(PIPE));
        let killed = CancellationToken::new();
        let run = program(Io::new(their_stdin, their_stdout, their_stderr, seen.clone()));
        seen.starts.send_modify(|starts| *starts += 1);
        let (ended, status) = tokio::sync::oneshot::channel();
        let kill = killed.clone().drop_guard();
        self.tasks.spawn(async move {
            let status = tokio::select! {
                biased;
                () = killed.cancelled() => {
                    seen.kills.send_modify(|kills| *kills += 1);
                    ExecStatus::Signalled(9)
                }
                status = run => status,
            };
            seen.ends.send_modify(|ends| *ends += 1);
            let _ = ended.send(status);
        });
        let lost = |_| ExecStatus::Lost("no status".into());
        Ok(Exec {
            stdin: Box::new(stdin),
            stdout: Box::new(stdout),
            stderr: Box::new(stderr),
            status: status.map(move |status| status.unwrap_or_else(lost)).boxed(),
            kill: Box::new(move || drop(kill)),
        })
    }

    async fn stop(&self, _sandbox: &SandboxId) -> Result<(), SandboxError> {
        Ok(())
    }

    async fn list(&self) -> Result<Vec<SandboxSummary>, SandboxError> {
        Ok(Vec::new())
    }
}
