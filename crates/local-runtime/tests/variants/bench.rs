use lockkeeper_domain::{Epoch, ServerName, SessionId};
use lockkeeper_local_runtime::{Config, IsolationChoice, LocalRuntime};
use lockkeeper_ports::{Exec, ExecSpec, ExecStatus, SandboxId, SandboxRuntime, SandboxSpec};
use lockkeeper_testkit::clock::TokioClock;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tempfile::TempDir;
use tokio::{io::AsyncReadExt, time::timeout};

pub(crate) const VARIANTS: [IsolationChoice; 4] =
    [IsolationChoice::Bubblewrap, IsolationChoice::Namespaces, IsolationChoice::Landlock, IsolationChoice::None];

pub(crate) fn name(choice: IsolationChoice) -> &'static str {
    match choice {
        IsolationChoice::Auto => "auto",
        IsolationChoice::Bubblewrap => "bubblewrap",
        IsolationChoice::Namespaces => "namespaces",
        IsolationChoice::Landlock => "landlock",
        IsolationChoice::None => "none",
    }
}

pub(crate) fn this_executable() -> PathBuf {
    std::env::current_exe().expect("this executable")
}

/// A runtime with a state directory of its own.
pub(crate) struct Bench {
    pub(crate) runtime: LocalRuntime,
    pub(crate) directory: TempDir,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: ExecStatus,
}

impl Bench {
    pub(crate) async fn new(choice: IsolationChoice) -> Result<Self, String> {
        Self::with(choice, |_| {}).await
    }

    pub(crate) async fn with(choice: IsolationChoice, change: impl FnOnce(&mut Config)) -> Result<Self, String> {
        let directory = tempfile::tempdir().expect("a directory");
        // A sandbox's own user must get through to its workspace.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).expect("chmod");
        let mut config = config(choice, &directory.path().join("state"));
        change(&mut config);
        let runtime =
            LocalRuntime::new(config, Arc::new(TokioClock::start())).await.map_err(|error| error.to_string())?;
        Ok(Self { runtime, directory })
    }

    pub(crate) async fn start(&self, session: &str) -> SandboxId {
        let spec = SandboxSpec { session: SessionId::parse(session).expect("a session id"), epoch: Epoch::new(1) };
        self.runtime.start(&spec, Arc::new(|_| {})).await.expect("start")
    }

    pub(crate) async fn exec(&self, id: &SandboxId, command: &[&str]) -> Exec {
        self.runtime.exec(id, &spec(command)).await.expect("exec")
    }

    pub(crate) async fn sh(&self, id: &SandboxId, script: &str) -> Output {
        Output::of(self.exec(id, &["/bin/sh", "-c", script]).await).await
    }

    /// Has this executable abuse its sandbox.
    pub(crate) async fn abuse(&self, id: &SandboxId, arguments: &[&str]) -> Output {
        let this = this_executable();
        let mut command = vec![this.to_str().expect("text"), super::abuser::ARGUMENT];
        command.extend(arguments);
        Output::of(self.exec(id, &command).await).await
    }
}

/// Mounts and cgroups outlive this process otherwise.
impl Drop for Bench {
    fn drop(&mut self) {
        let all = async {
            for summary in self.runtime.list().await.expect("list") {
                self.runtime.stop(&summary.id).await.expect("stop");
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(all));
    }
}

impl Output {
    pub(crate) async fn of(mut exec: Exec) -> Self {
        drop(exec.stdin);
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let all = async {
            let (out, err, status) =
                futures::join!(exec.stdout.read_to_end(&mut stdout), exec.stderr.read_to_end(&mut stderr), exec.status);
            out.and(err).expect("read");
            status
        };
        let status = timeout(Duration::from_mins(1), all).await.expect("no end within a minute");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { stdout: text(stdout), stderr: text(stderr), status }
    }

    /// The last number that it said.
    pub(crate) fn last_number(&self) -> u64 {
        let last = self.stdout.lines().filter_map(|line| line.parse().ok()).next_back();
        last.unwrap_or_else(|| panic!("no number: {self:?}"))
    }
}

pub(crate) fn config(choice: IsolationChoice, state_dir: &Path) -> Config {
    Config { state_dir: state_dir.into(), isolation: choice, read_only: vec![this_executable()], ..Config::default() }
}

pub(crate) fn spec(command: &[&str]) -> ExecSpec {
    spec_for("server", command)
}

/// A process of the MCP server of this name.
pub(crate) fn spec_for(server: &str, command: &[&str]) -> ExecSpec {
    ExecSpec {
        server: ServerName::new(server),
        command: command.iter().map(ToString::to_string).collect(),
        env: BTreeMap::new(),
    }
}

/// Reads the line that says that it is ready.
pub(crate) async fn ready(exec: &mut Exec) {
    let mut line = [0; 6];
    timeout(Duration::from_mins(1), exec.stdout.read_exact(&mut line)).await.expect("in time").expect("a line");
    assert_eq!(&line, b"ready\n");
}
