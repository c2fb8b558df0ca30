mod cluster;

pub use cluster::RedisCluster;

use anyhow::{Context, Result, bail};
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
