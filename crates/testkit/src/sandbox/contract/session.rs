use lockkeeper_domain::{Epoch, ServerName, SessionId};
use lockkeeper_ports::{Exec, ExecSpec, ExecStatus, SandboxId, SandboxRuntime, SandboxSpec};
use std::{
    collections::BTreeMap,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncReadExt, time::timeout};

/// What a process said and how it ended.
pub(super) struct Output {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) status: ExecStatus,
}

impl Output {
    pub(super) async fn of(mut exec: Exec) -> Self {
        drop(exec.stdin);
        let (mut stdout, mut stderr) = (String::new(), String::new());
        let all = async {
            let (out, err, status) = futures::join!(
                exec.stdout.read_to_string(&mut stdout),
                exec.stderr.read_to_string(&mut stderr),
                exec.status,
            );
            out.and(err).expect("text");
            status
        };
        let status = deadline(all).await;
        Self { stdout, stderr, status }
    }
}

/// Fails instead of hanging. Slow machines are still faster than this.
pub(super) async fn deadline<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_mins(1), future).await.expect("no end within a minute")
}

/// A session that no other clause has.
pub(super) fn sandbox_spec() -> SandboxSpec {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let name = format!("contract-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    SandboxSpec { session: SessionId::parse(name).expect("a session id"), epoch: Epoch::new(1) }
}

pub(super) async fn sandbox(runtime: &dyn SandboxRuntime, spec: &SandboxSpec) -> SandboxId {
    deadline(runtime.start(spec, Arc::new(|_| {}))).await.expect("start")
}

pub(super) async fn start(runtime: &dyn SandboxRuntime) -> SandboxId {
    sandbox(runtime, &sandbox_spec()).await
}

pub(super) fn spec(command: &[&str]) -> ExecSpec {
    spec_of("server", command)
}

/// A process of the MCP server of this name.
pub(super) fn spec_of(server: &str, command: &[&str]) -> ExecSpec {
    ExecSpec {
        server: ServerName::new(server),
        command: command.iter().map(ToString::to_string).collect(),
        env: BTreeMap::new(),
    }
}

pub(super) fn sh(script: &str) -> [&str; 3] {
    ["/bin/sh", "-c", script]
}

pub(super) async fn exec(runtime: &dyn SandboxRuntime, id: &SandboxId, command: &[&str]) -> Exec {
    deadline(runtime.exec(id, &spec(command))).await.expect("exec")
}

pub(super) async fn run(runtime: &dyn SandboxRuntime, id: &SandboxId, command: &[&str]) -> Output {
    Output::of(exec(runtime, id, command).await).await
}

/// Starts a script as the MCP server of this name.
pub(super) async fn exec_as(runtime: &dyn SandboxRuntime, id: &SandboxId, server: &str, script: &str) -> Exec {
    deadline(runtime.exec(id, &spec_of(server, &sh(script)))).await.expect("exec")
}

pub(super) async fn run_as(runtime: &dyn SandboxRuntime, id: &SandboxId, server: &str, script: &str) -> Output {
    Output::of(exec_as(runtime, id, server, script).await).await
}

/// Waits until the process has said that it is ready, and takes no byte more.
pub(super) async fn ready(exec: &mut Exec) {
    assert_eq!(line(exec).await, "ready\n");
}

pub(super) async fn line(exec: &mut Exec) -> String {
    let mut said = Vec::new();
    let read = async {
        while said.last() != Some(&b'\n') {
            said.push(exec.stdout.read_u8().await.expect("a line"));
        }
    };
    deadline(read).await;
    String::from_utf8(said).expect("text")
}
