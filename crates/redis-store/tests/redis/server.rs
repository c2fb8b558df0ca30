//! Private servers: each in a folder of its own, on a socket there, and gone with its guard.

use lockkeeper_redis_store::{Config, RedisStore};
use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{Instant, sleep},
};

/// A `redis-server` with an append-only file. Dropping it kills it and removes its folder; so does the end of this
/// process, however that comes.
pub(crate) struct Server {
    process: Process,
    dir: TempDir,
    options: Vec<String>,
    port: u16,
    bus_port: u16,
}

/// A server, and the shell that ends it once our end of its input is closed.
struct Process {
    watch: Child,
    /// Apart from the rest: who waits for a child closes its input first.
    input: Option<ChildStdin>,
    pid: String,
}

impl Server {
    /// A server on a socket, with further options as in `--maxclients 10`.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self::try_start(options, 0, 0).await.unwrap()
    }

    /// A server on a socket and on a port.
    pub(crate) async fn start_on_port(options: &[&str]) -> Self {
        const ATTEMPTS: usize = 5;
        let mut why = String::new();
        for _ in 0..ATTEMPTS {
            let (port, bus_port) = (free_port(), free_port());
            let mut all = vec![format!("--port {port}")];
            all.extend(options.iter().map(|option| (*option).to_owned()));
            if options.iter().any(|option| option.starts_with("--cluster-enabled")) {
                all.push(format!("--cluster-port {bus_port}"));
            }
            match Self::try_start(all, port, bus_port).await {
                Ok(server) => return server,
                // Somebody else has taken the port.
                Err(log) => why = log,
            }
        }
        panic!("no server after {ATTEMPTS} attempts: {why}");
    }

    /// A server on a socket and, by TLS alone, on a port.
    pub(crate) async fn start_on_tls_port(options: &[&str]) -> Self {
        let port = free_port();
        let mut all = vec![format!("--tls-port {port}")];
        all.extend(options.iter().map(|option| (*option).to_owned()));
        Self::try_start(all, port, 0).await.unwrap()
    }

    /// A server whose folder has one megabyte, in a mount namespace of its own.
    pub(crate) async fn start_on_small_disk() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // The socket must be seen from outside of the namespace.
        let mount = "mkdir disk && mount -t tmpfs -o size=1m tmpfs disk && exec redis-server \"$@\" --dir disk";
        let program = ["unshare", "-rm", "sh", "-c", mount, "redis"];
        let process = Process::run_program(dir.path(), &program, &[]);
        let mut server = Self { process, dir, options: Vec::new(), port: 0, bus_port: 0 };
        assert!(server.is_up().await, "{}", server.log());
        server
    }

    /// A sentinel that watches the server on `port` under the name `main`, and is enough to judge it alone.
    pub(crate) async fn start_sentinel(port: u16) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let own = free_port();
        let config = format!(
            "port {own}\nunixsocket redis.sock\nlogfile log\nsentinel monitor main 127.0.0.1 {port} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n"
        );
        std::fs::write(dir.path().join("sentinel.conf"), config).unwrap();
        let process = Process::spawn(dir.path(), &["redis-server", "sentinel.conf", "--sentinel"]);
        let mut server = Self { process, dir, options: Vec::new(), port: own, bus_port: 0 };
        assert!(server.is_up().await, "{}", server.log());
        server
    }

    async fn try_start(options: Vec<String>, port: u16, bus_port: u16) -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Self { process: Process::run(dir.path(), &options), dir, options, port, bus_port };
        if server.is_up().await { Ok(server) } else { Err(server.log()) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn bus_port(&self) -> u16 {
        self.bus_port
    }

    /// Where its socket is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.path().join("redis.sock")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    pub(crate) async fn store(&self) -> RedisStore {
        RedisStore::connect(&patient(self.url())).await.unwrap()
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(&mut self) {
        self.process.end();
    }

    /// Starts it again in the same folder.
    pub(crate) async fn restart(&mut self) {
        self.begin();
        assert!(self.is_up().await, "{}", self.log());
    }

    /// Starts it again, and does not wait for it.
    pub(crate) fn begin(&mut self) {
        self.process = Process::run(self.dir.path(), &self.options);
    }

    /// Further options from its next start on.
    pub(crate) fn add_option(&mut self, option: &str) {
        self.options.push(option.to_owned());
    }

    /// Stops it, or lets it go on.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.pid]).status().unwrap().success());
    }

    /// What it answers to a command, as text.
    pub(crate) async fn ask(&self, words: &[&str]) -> String {
        ask(&self.socket(), words).await.unwrap()
    }

    /// The same, or nothing where it does not answer.
    pub(crate) async fn ask_or_nothing(&self, words: &[&str]) -> String {
        ask(&self.socket(), words).await.unwrap_or_default()
    }

    /// Waits until it answers. False if it ended instead.
    async fn is_up(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            if let Ok(answer) = ask(&self.socket(), &["PING"]).await
                && !answer.is_empty()
                && !answer.starts_with("-LOADING")
            {
                return true;
            }
            if self.process.watch.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < deadline, "redis-server does not answer: {}", self.log());
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        read("out") + &read("log")
    }
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Deadlines that a slow machine keeps.
pub(crate) fn patient(url: impl Into<String>) -> Config {
    Config {
        operation_timeout_ms: 10_000,
        connect_timeout_ms: 10_000,
        start_timeout_ms: 30_000,
        ..Config::at(url.into())
    }
}

impl Process {
    fn run(dir: &Path, options: &[String]) -> Self {
        Self::run_program(dir, &["redis-server"], options)
    }

    fn run_program(dir: &Path, program: &[&str], options: &[String]) -> Self {
        let path = |name| dir.join(name).display().to_string();
        let (socket, log) = (path("redis.sock"), path("log"));
        let mut words = program.to_vec();
        words.extend(["--port", "0", "--unixsocket", &socket, "--logfile", &log, "--dir", ".", "--appendonly", "yes"]);
        words.extend(["--save", ""]);
        words.extend(options.iter().flat_map(|option| option.split(' ')));
        Self::spawn(dir, &words)
    }

    fn spawn(dir: &Path, words: &[&str]) -> Self {
        const WATCH: &str = "\"$@\" >out 2>&1 </dev/null & pid=$!; echo $pid; \
            { cat >/dev/null; trap '' TERM; kill -9 $pid; rm -rf \"$PWD\"; } <&0 >/dev/null & guard=$!; \
            wait $pid; kill $guard";
        let mut watch = Command::new("bash")
            .current_dir(dir)
            .args(["-c", WATCH, "watch"])
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut pid = String::new();
        BufReader::new(watch.stdout.as_mut().unwrap()).read_line(&mut pid).unwrap();
        let input = watch.stdin.take();
        Self { watch, input, pid: pid.trim().to_owned() }
    }

    fn end(&mut self) {
        drop(Command::new("kill").args(["-9", &self.pid]).stderr(Stdio::null()).status());
        drop(self.watch.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The shell kills the server, if that is still there.
        drop(self.input.take());
        drop(self.watch.wait());
    }
}
/// One command over a connection of its own.
pub(crate) async fn ask(socket: &Path, words: &[&str]) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        write!(command, "${}\r\n{word}\r\n", word.len()).unwrap();
    }
    stream.write_all(command.as_bytes()).await?;
    let mut answer = vec![0; 64 << 10];
    let length = stream.read(&mut answer).await?;
    answer.truncate(length);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
