use crate::image::Parts;
use bollard::{API_DEFAULT_VERSION, Docker, models::ContainerInspectResponse};
use lockkeeper_docker_runtime::{Config, DockerRuntime};
use lockkeeper_domain::{Epoch, ServerName, SessionId};
use lockkeeper_ports::{Exec, ExecSpec, ExecStatus, SandboxError, SandboxId, SandboxRuntime, SandboxSpec};
use lockkeeper_testkit::clock::TokioClock;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncReadExt, time::timeout};

/// No check waits for longer than this.
const PATIENCE: Duration = Duration::from_mins(1);

/// The engine that all checks share, unless they break theirs.
pub(crate) fn host() -> String {
    variable("DOCKER_HOST").unwrap_or_else(|| Config::default().host)
}

/// One that is set to something.
fn variable(name: &str) -> Option<String> {
    let set = std::env::vars().find(|(found, value)| found == name && !value.is_empty());
    set.map(|(_, value)| value)
}

/// Whether the checks can be made, or what is missing.
pub(crate) async fn look() -> Result<(), String> {
    Parts::find()?;
    match timeout(Duration::from_secs(10), connect(&host())).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("needs Docker: apt-get install -y docker.io && dockerd & ({error})")),
        Err(_) => Err("needs Docker: the engine hangs".into()),
    }
}

pub(crate) async fn connect(host: &str) -> Result<Docker, String> {
    let docker = if host.starts_with("unix://") {
        Docker::connect_with_unix(host, 120, API_DEFAULT_VERSION)
    } else {
        Docker::connect_with_http(host, 120, API_DEFAULT_VERSION)
    };
    let docker = docker.map_err(|error| error.to_string())?;
    docker.negotiate_version().await.map_err(|error| error.to_string())
}

/// A runtime with a deployment of its own, and the engine behind it.
pub(crate) struct Bench {
    pub(crate) runtime: DockerRuntime,
    pub(crate) docker: Docker,
    pub(crate) config: Config,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) status: ExecStatus,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::at(&host(), change).await
    }

    pub(crate) async fn at(host: &str, change: impl FnOnce(&mut Config)) -> Self {
        let docker = connect(host).await.expect("the engine answers");
        let image = Parts::find().expect("looked for before").image(&docker).await;
        let mut config = config(host, image);
        change(&mut config);
        let runtime = runtime(&config).await;
        Self { runtime, docker, config }
    }

    pub(crate) async fn start(&self) -> SandboxId {
        self.runtime.start(&spec_of("s", 1), Arc::new(|_| {})).await.expect("start")
    }

    pub(crate) async fn exec(&self, id: &SandboxId, command: &[&str]) -> Exec {
        self.runtime.exec(id, &spec(command)).await.expect("exec")
    }

    pub(crate) async fn run(&self, id: &SandboxId, command: &[&str]) -> Output {
        Output::of(self.exec(id, command).await).await
    }

    pub(crate) async fn sh(&self, id: &SandboxId, script: &str) -> Output {
        self.run(id, &["/bin/sh", "-c", script]).await
    }

    pub(crate) async fn perl(&self, id: &SandboxId, script: &str) -> Output {
        self.run(id, &["/usr/bin/perl", "-e", &format!("$| = 1; {script}")]).await
    }

    pub(crate) async fn inspect(&self, id: &SandboxId) -> Option<ContainerInspectResponse> {
        self.docker.inspect_container(id.as_str(), None).await.ok()
    }

    pub(crate) async fn expect_alive(&self, id: &SandboxId) {
        assert_eq!(self.sh(id, "echo alive").await.stdout, "alive\n");
    }

    /// The session gets a fresh one, which works: the fault is over.
    pub(crate) async fn expect_replaced(&self, id: &SandboxId) {
        let outcome = self.runtime.exec(id, &spec(&["/bin/true"])).await;
        assert!(matches!(outcome, Err(SandboxError::Gone)), "{outcome:?}");
        let again = self.start().await;
        self.expect_alive(&again).await;
    }
}

/// Containers outlive this process otherwise.
impl Drop for Bench {
    fn drop(&mut self) {
        let all = async {
            for summary in self.runtime.list().await.unwrap_or_default() {
                drop(self.runtime.stop(&summary.id).await);
            }
        };
        tokio::task::block_in_place(|| {
            drop(tokio::runtime::Handle::current().block_on(timeout(PATIENCE, all)));
        });
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
        let status = soon(all).await;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { stdout: text(stdout), stderr: text(stderr), status }
    }

    /// The last number that it said.
    pub(crate) fn last_number(&self) -> u64 {
        let last = self.stdout.lines().filter_map(|line| line.parse().ok()).next_back();
        last.unwrap_or_else(|| panic!("no number: {self:?}"))
    }
}

pub(crate) fn config(host: &str, image: String) -> Config {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let deployment = format!("test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    Config {
        host: host.into(),
        image,
        deployment,
        // Machines on which everything runs at once are slow.
        start_timeout_ms: 40_000,
        api_timeout_ms: 30_000,
        stop_timeout_ms: 30_000,
        cpu_millis: 2000,
        runtime: variable("SANDBOX_RUNTIME").unwrap_or_else(|| Config::default().runtime),
        seccomp_file: variable("SECCOMP_FILE").unwrap_or_default(),
        ..Config::default()
    }
}

pub(crate) async fn runtime(config: &Config) -> DockerRuntime {
    DockerRuntime::new(config.clone(), Arc::new(TokioClock::start())).await.expect("a runtime")
}

pub(crate) fn spec_of(session: &str, epoch: u64) -> SandboxSpec {
    SandboxSpec { session: SessionId::parse(session).expect("a session id"), epoch: Epoch::new(epoch) }
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

/// Fails instead of hanging.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("no end within a minute")
}

/// Looks again and again, until it is as it should be.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let look = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(PATIENCE, look).await.is_ok(), "within a minute: {what}");
}

/// Reads the line that says that it is ready.
pub(crate) async fn ready(exec: &mut Exec) {
    let mut line = [0; 6];
    soon(exec.stdout.read_exact(&mut line)).await.expect("a line");
    assert_eq!(&line, b"ready\n");
}

/// Reads one line.
pub(crate) async fn line(exec: &mut Exec) -> String {
    let mut said = Vec::new();
    while said.last() != Some(&b'\n') {
        said.push(soon(exec.stdout.read_u8()).await.expect("a line"));
    }
    String::from_utf8_lossy(&said).trim().to_owned()
}
