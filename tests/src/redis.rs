mod cluster;
mod link;

pub use cluster::RedisCluster;
pub use link::RedisLink;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const START: Duration = Duration::from_mins(1);

/// A Redis of a test's own, on a socket in its folder, which writes what it acknowledges. It is killed when it is dropped.
#[derive(Debug)]
pub struct Redis {
    process: Child,
    folder: PathBuf,
    socket: PathBuf,
}

impl Redis {
    /// Starts it in this folder, and waits until it takes connections.
    pub fn start(folder: &Path) -> Result<Self> {
        let folder = folder.join("redis");
        fs::create_dir_all(&folder)?;
        let socket = folder.join("redis.sock");
        let mut redis = Self { process: spawn(&folder, &socket)?, folder, socket };
        redis.wait()?;
        Ok(redis)
    }

    /// Kills it as a crash does, with SIGKILL, and waits until it is gone.
    pub fn crash(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Starts it again after a crash, where it was and with what it had written.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = spawn(&self.folder, &self.socket)?;
        self.wait()
    }

    /// Makes it stand still, as a machine does that is paused: SIGSTOP.
    pub fn stop(&self) -> Result<()> {
        Ok(kill_process(self.pid()?, Signal::STOP)?)
    }

    /// Lets it go on: SIGCONT.
    pub fn go_on(&self) -> Result<()> {
        Ok(kill_process(self.pid()?, Signal::CONT)?)
    }

    fn pid(&self) -> Result<Pid> {
        Pid::from_raw(self.process.id().cast_signed()).context("redis-server has no pid")
    }

    /// The socket on which it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.socket.display())
    }

    fn wait(&mut self) -> Result<()> {
        let began = Instant::now();
        while UnixStream::connect(&self.socket).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("redis-server ended with {status}");
            }
            if began.elapsed() > START {
                bail!("redis-server was not ready in time");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// What the Redis on this socket answers to a command, a line for each value.
pub async fn ask_redis(socket: &Path, command: &[&str]) -> Result<Vec<String>> {
    let mut client = tokio::process::Command::new("redis-cli");
    client.arg("-s").arg(socket).args(command).stdin(Stdio::null()).kill_on_drop(true);
    let output = client.output().await.context("redis-cli cannot be started")?;
    ensure!(output.status.success(), "redis-cli: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect())
}

fn spawn(folder: &Path, socket: &Path) -> Result<Child> {
    Command::new("redis-server")
        .current_dir(folder)
        .args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"])
        .args(["--dir", ".", "--logfile", "log", "--unixsocket"])
        .arg(socket)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("redis-server cannot be started")
}
