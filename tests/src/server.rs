use crate::{Binaries, Connect, PATIENCE, environment, shell};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    process::{Child, Command},
    time::{interval, timeout},
};

const START: Duration = Duration::from_mins(2);
const STOP: Duration = Duration::from_secs(40);
/// How long a killed process may take to be gone.
const GONE: Duration = Duration::from_secs(10);

/// How a server is started.
#[derive(Clone, Debug)]
enum Start {
    /// By this command of its own, with a configuration file.
    Mode(&'static str),
    /// By this line of shell.
    Shell(String),
}

/// What a server is started with. It can be started from it again and again, on the same data.
#[derive(Clone, Debug)]
pub struct Setup {
    folder: PathBuf,
    start: Start,
    config: toml::Table,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// A server with all that it writes in `folder`: its store, its sandboxes, its log. It takes nothing from the
    /// machine's configuration. The demo provider answers, without pauses, and clients may be as quick as tests are.
    pub fn serve(folder: &Path) -> Self {
        Self::serve_bare(folder).config(
            "store.kind = 'embedded'
             sandbox.runtime = 'local'
             llm.provider = 'demo'
             llm.demo.piece_delay_ms = 0
             gateway.event_burst = 1000000
             gateway.events_per_sec = 1000000
             gateway.event_burst_per_principal = 1000000
             gateway.events_per_sec_per_principal = 1000000
             gateway.event_burst_per_address = 1000000
             gateway.events_per_sec_per_address = 1000000
             gateway.event_burst_in_all = 1000000
             gateway.events_per_sec_in_all = 1000000
             gateway.connection_burst = 1000
             gateway.connections_per_sec = 1000",
        )
    }

    /// A server for which nothing is chosen.
    pub fn serve_bare(folder: &Path) -> Self {
        Self::new(folder, Start::Mode("serve")).config("server.port = 0")
    }

    /// As a developer starts it: all but the port is left to the server's choice.
    /// It finds no Docker engine, whatever this machine has.
    pub fn dev(folder: &Path) -> Self {
        let nobody = folder.join("no-engine.sock");
        let settings = format!("server.port = 0\nsandbox.docker.host = 'unix://{}'", nobody.display());
        Self::new(folder, Start::Mode("dev")).config(&settings)
    }

    /// By a line of shell as the documentation shows it.
    pub fn shell(line: &str, folder: &Path) -> Self {
        Self::new(folder, Start::Shell(line.to_owned()))
    }

    fn new(folder: &Path, start: Start) -> Self {
        Self { folder: folder.to_owned(), start, config: toml::Table::new(), environment: Vec::new() }
    }

    /// With these settings, in TOML, in place of what it has of them.
    #[must_use]
    pub fn config(mut self, settings: &str) -> Self {
        let settings = settings.parse().expect("a test's settings are TOML");
        merge(&mut self.config, settings);
        self
    }

    /// With this variable in its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With all that it writes in another folder: one more server of the same kind.
    #[must_use]
    pub fn in_folder(self, folder: &Path) -> Self {
        Self { folder: folder.to_owned(), ..self }
    }

    /// The folder of all that it writes.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts it and waits until it is ready.
    pub async fn start(&self) -> Result<Server> {
        let ready = self.folder.join("ready.json");
        let _ = fs::remove_file(&ready);
        let mut child = self.spawn(&ready)?;
        let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).context("the server has no pid")?;
        let mut server = Server { setup: self.clone(), pid, url: String::new(), child: None };
        let mut look = interval(Duration::from_millis(10));
        let waited = timeout(START, async {
            loop {
                look.tick().await;
                if let Some(status) = child.try_wait()? {
                    bail!("the server ended with {status} before it was ready");
                }
                let text = fs::read_to_string(&ready).unwrap_or_default();
                if let Ok(said) = serde_json::from_str::<Value>(&text) {
                    return said["url"].as_str().map(str::to_owned).context("the ready file holds no url");
                }
            }
        });
        let waited = waited.await.context("the server was not ready in time");
        server.child = Some(child);
        server.url = waited??;
        Ok(server)
    }

    /// Starts it, though it must not come up: its exit code and what it said on stderr.
    pub async fn fail(&self) -> Result<(Option<i32>, String)> {
        let before = self.log().len();
        let mut child = self.spawn(&self.folder.join("ready.json"))?;
        let status = timeout(STOP, child.wait()).await.context("the server neither failed nor ended")??;
        Ok((status.code(), self.log().split_off(before)))
    }

    /// What the servers of this setup have said on stderr so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }

    fn spawn(&self, ready: &Path) -> Result<Child> {
        let log = fs::File::options().create(true).append(true).open(self.folder.join("server.log"))?;
        let mut command = self.command(ready)?;
        // In the process group of the test: who ends a test that hangs ends its servers too.
        command.kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().context("the server cannot be started")
    }

    fn command(&self, ready: &Path) -> Result<Command> {
        let mode = match &self.start {
            Start::Mode(mode) => mode,
            Start::Shell(line) => {
                return shell::command(&format!("exec {line} --ready-file '{}'", ready.display()), &self.folder);
            }
        };
        let config = self.write()?;
        let mut command = Command::new(&Binaries::find()?.server);
        command.arg(mode).arg("--config").arg(&config).arg("--ready-file").arg(ready);
        command.current_dir(&self.folder).env_clear().env("PATH", environment::path()).env("HOME", &self.folder);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        Ok(command)
    }
}

impl Setup {
    /// Writes its configuration to the file that its server reads.
    pub fn write(&self) -> Result<PathBuf> {
        let config = self.folder.join("lockkeeper.toml");
        fs::write(&config, self.config.to_string())?;
        Ok(config)
    }
}

/// Puts `over` into `base`, table by table.
fn merge(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => merge(base, over),
            (_, value) => drop(base.insert(key, value)),
        }
    }
}

/// A running server of a test's own. It is killed when it is dropped.
#[derive(Debug)]
pub struct Server {
    setup: Setup,
    pid: Pid,
    url: String,
    child: Option<Child>,
}

impl Server {
    /// Where it listens, as in `http://127.0.0.1:3000`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it was started with.
    pub fn setup(&self) -> &Setup {
        &self.setup
    }

    /// A connection to it.
    pub fn connect(&self) -> Connect {
        Connect::to(&self.url)
    }

    /// What it answers to a request for this path: the status and the body.
    pub async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<(u16, String)> {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let headers = headers.iter().fold(String::new(), |head, (name, value)| head + name + ": " + value + "\r\n");
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut answer)).await??;
        let (head, body) = answer.split_once("\r\n\r\n").context("no head")?;
        let status = head.split(' ').nth(1).context("no status")?.parse()?;
        Ok((status, body.to_owned()))
    }

    /// Asks it to end: SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        Ok(kill_process(self.pid, Signal::TERM)?)
    }

    /// Has it read anew what it can: SIGHUP.
    pub fn hang_up(&self) -> Result<()> {
        Ok(kill_process(self.pid, Signal::HUP)?)
    }

    /// Makes it stand still, as a machine does that is paused: SIGSTOP.
    pub fn stop(&self) -> Result<()> {
        Ok(kill_process(self.pid, Signal::STOP)?)
    }

    /// Lets it go on: SIGCONT.
    pub fn go_on(&self) -> Result<()> {
        Ok(kill_process(self.pid, Signal::CONT)?)
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("the server has been waited for before")?;
        Ok(timeout(STOP, child.wait()).await.context("the server did not end in time")??)
    }

    /// Kills it as a crash does, with SIGKILL to the server alone, and waits until it is gone.
    pub async fn crash(mut self) -> Result<Setup> {
        kill_process(self.pid, Signal::KILL)?;
        self.ended().await?;
        Ok(self.setup.clone())
    }

    /// How much memory it has in RAM, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_nonzero()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that was waited for is gone, and its id may be another's by now. Sandboxes end with their server.
        let Some(child) = self.child.as_mut().filter(|child| child.id().is_some()) else { return };
        let _ = kill_process(self.pid, Signal::KILL);
        // The next server of the test takes its store and its sandboxes, which are locked until it is gone.
        let killed = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && killed.elapsed() < GONE {
            thread::sleep(Duration::from_millis(1));
        }
    }
}
