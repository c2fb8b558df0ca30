//! Private servers: each in a folder of its own, on a socket there, and gone with its guard.

use lockkeeper_redis_store::{Config, RedisStore};
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
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
}

/// A server, and the shell that ends it once our end of its input is closed.
struct Process {
    watch: Child,
    pid: String,
}

impl Server {
    /// A server on a socket, with further options as in `--maxclients 10`.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Self { process: Process::run(dir.path(), &options), dir, options };
        server.wait().await;
        server
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
        self.process = Process::run(self.dir.path(), &self.options);
        self.wait().await;
    }

    /// Stops it, or lets it go on.
    pub(crate) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.pid]).status().unwrap().success());
    }

    /// What it answers to a command, as text.
    pub(crate) async fn ask(&self, words: &[&str]) -> String {
        ask(&self.socket(), words).await.unwrap()
    }

    async fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            if let Ok(answer) = ask(&self.socket(), &["PING"]).await
                && !answer.starts_with("-LOADING")
            {
                return;
            }
            assert!(self.process.watch.try_wait().unwrap().is_none(), "redis-server has ended: {}", self.log());
            assert!(Instant::now() < deadline, "redis-server does not answer: {}", self.log());
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

/// Deadlines that a slow machine keeps.
pub(crate) fn patient(url: impl Into<String>) -> Config {
    Config { operation_timeout_ms: 10_000, connect_timeout_ms: 10_000, start_timeout_ms: 30_000, ..Config::at(url.into()) }
}

impl Process {
    fn run(dir: &Path, options: &[String]) -> Self {
        const WATCH: &str = "redis-server \"$@\" >/dev/null 2>&1 </dev/null & pid=$!; echo $pid; \
            { cat >/dev/null; trap '' TERM; kill -9 $pid; rm -rf \"$PWD\"; } <&0 >/dev/null & guard=$!; \
            wait $pid; kill $guard";
        let mut watch = Command::new("bash")
            .current_dir(dir)
            .args(["-c", WATCH, "watch"])
            .args(["--port", "0", "--unixsocket", "redis.sock", "--dir", ".", "--logfile", "log", "--save", ""])
            .args(["--appendonly", "yes"])
            .args(options.iter().flat_map(|option| option.split(' ')))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut pid = String::new();
        BufReader::new(watch.stdout.as_mut().unwrap()).read_line(&mut pid).unwrap();
        Self { watch, pid: pid.trim().to_owned() }
    }

    fn end(&mut self) {
        drop(Command::new("kill").args(["-9", &self.pid]).stderr(Stdio::null()).status());
        drop(self.watch.wait());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The shell kills the server, if that is still there.
        drop(self.watch.stdin.take());
        drop(self.watch.wait());
    }
}
/// One command over a connection of its own.
pub(crate) async fn ask(socket: &Path, words: &[&str]) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut command = format!("*{}\r\n", words.len());
    for word in words {
        command.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    stream.write_all(command.as_bytes()).await?;
    let mut answer = vec![0; 64 << 10];
    let length = stream.read(&mut answer).await?;
    answer.truncate(length);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
