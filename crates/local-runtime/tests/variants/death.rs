//! What remains when a server process dies, and what another one can do about its sandboxes.

use crate::{
    Check, bench,
    bench::{Bench, VARIANTS, name, ready},
};
use lockkeeper_domain::{Epoch, SessionId};
use lockkeeper_local_runtime::{IsolationChoice, LocalRuntime};
use lockkeeper_ports::{SandboxId, SandboxRuntime, SandboxSpec};
use lockkeeper_testkit::clock::TokioClock;
use std::{
    ffi::OsString,
    fs::{self, File},
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
};

pub(crate) const ARGUMENT: &str = "__hold";

/// Stubborn in three generations, each of which holds the FIFO open: its end is the end of all of them.
const TREE: &str = "exec 3> pipe
trap '' TERM HUP INT PIPE
(trap '' TERM HUP INT PIPE; (while :; do sleep 1; done) & )
echo ready
while :; do sleep 1; done";

pub(crate) fn checks(choice: IsolationChoice) -> Vec<Check> {
    let check = |name: &str, end: fn(Holder) -> futures::future::BoxFuture<'static, ()>| Check {
        name: name.into(),
        ignored: None,
        run: Box::new(move || Box::pin(async move { end(Holder::new(choice).await).await })),
    };
    let mut checks =
        vec![check("the_death_of_the_supervisor_ends_everything", |holder| Box::pin(supervisor_killed(holder)))];
    if matches!(choice, IsolationChoice::Landlock | IsolationChoice::None) {
        checks[0].ignored = Some("claims no process namespace".into());
    }
    checks.extend([
        check("the_death_of_the_server_ends_everything", |holder| Box::pin(killed(holder))),
        check("another_server_can_stop_a_sandbox", |holder| Box::pin(stopped_by_another(holder))),
    ]);
    checks
}

/// Plays a server: starts a sandbox with a stubborn command, says so, and does nothing until it is killed.
pub(crate) fn hold(mut arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let mut next = || arguments.next().and_then(|argument| argument.into_string().ok()).expect("an argument");
    let (variant, state_dir) = (next(), next());
    let choice = VARIANTS.into_iter().find(|choice| name(*choice) == variant).expect("a variant");
    crate::block_on(async {
        let runtime = runtime(choice, Path::new(&state_dir)).await;
        let spec = SandboxSpec { session: SessionId::parse("held").expect("a session id"), epoch: Epoch::new(1) };
        let id = runtime.start(&spec, Arc::new(|_| {})).await.expect("start");
        let mut made = runtime.exec(&id, &bench::spec(&["mkfifo", "pipe"])).await.expect("exec");
        (&mut made.status).await;
        println!("{id}");
        let mut tree = runtime.exec(&id, &bench::spec(&["/bin/sh", "-c", TREE])).await.expect("exec");
        ready(&mut tree).await;
        println!("ready");
        tree.status.await;
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

async fn runtime(choice: IsolationChoice, state_dir: &Path) -> LocalRuntime {
    let config = bench::config(choice, state_dir);
    LocalRuntime::new(config, Arc::new(TokioClock::start())).await.expect("it worked before")
}

struct Holder {
    bench: Bench,
    server: Child,
    id: SandboxId,
    /// Ends when nobody in the sandbox's tree is left.
    tree: File,
}

impl Holder {
    async fn new(choice: IsolationChoice) -> Self {
        let bench = Bench::new(choice).await.expect("it worked before");
        let state = bench.directory.path().join("state");
        let mut server = Command::new(bench::this_executable())
            .args([ARGUMENT, name(choice), state.to_str().expect("text")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("spawn");
        let mut said = BufReader::new(server.stdout.take().expect("piped")).lines();
        let id = said.next().expect("a line").expect("text");
        // The tree opens it for writing, and waits until somebody reads.
        let tree = File::open(state.join(&id).join("workspace/pipe")).expect("open");
        assert_eq!(said.next().expect("a line").expect("text"), "ready");
        Self { bench, server, id: SandboxId::new(id), tree }
    }

    fn wait_for_the_end_of_the_tree(&mut self) {
        self.tree.read_to_end(&mut Vec::new()).expect("the end of the pipe");
    }

    async fn is_listed(&self) -> bool {
        let listed = self.bench.runtime.list().await.expect("list");
        listed.iter().any(|summary| summary.id == self.id && summary.session.as_str() == "held")
    }
}

async fn killed(mut holder: Holder) {
    holder.server.kill().expect("SIGKILL");
    holder.server.wait().expect("wait");
    holder.wait_for_the_end_of_the_tree();
    assert!(holder.is_listed().await, "the next server knows of it");
    holder.bench.runtime.stop(&holder.id).await.expect("stop");
    assert!(!holder.is_listed().await);
    assert_eq!(fs::read_dir(holder.bench.directory.path().join("state")).expect("state").count(), 0);
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    assert!(!mounts.contains(holder.bench.directory.path().to_str().expect("text")), "{mounts}");
}

async fn supervisor_killed(mut holder: Holder) {
    let tasks = fs::read_dir(format!("/proc/{}/task", holder.server.id())).expect("tasks").flatten();
    let children: Vec<_> = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok()).collect();
    let children: Vec<i32> =
        children.iter().flat_map(|line| line.split_whitespace()).map(|pid| pid.parse().expect("a pid")).collect();
    assert_eq!(children.len(), 1, "one supervisor");
    let supervisor = rustix::process::Pid::from_raw(children[0]).expect("a pid");
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).expect("SIGKILL");
    holder.wait_for_the_end_of_the_tree();
    holder.server.kill().expect("SIGKILL");
    holder.server.wait().expect("wait");
    holder.bench.runtime.stop(&holder.id).await.expect("stop");
}

async fn stopped_by_another(mut holder: Holder) {
    assert!(holder.is_listed().await);
    holder.bench.runtime.stop(&holder.id).await.expect("stop");
    holder.wait_for_the_end_of_the_tree();
    assert!(!holder.is_listed().await && holder.server.try_wait().expect("wait").is_none());
    holder.server.kill().expect("SIGKILL");
    holder.server.wait().expect("wait");
}
