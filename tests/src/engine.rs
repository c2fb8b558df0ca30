//! A Docker engine of a case's own, for cases whose engine misbehaves.

use crate::{Binaries, PATIENCE, Tool, program};
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const LOOK: Duration = Duration::from_millis(50);
/// The first directories are not on every user's search path.
const DAEMON: [&str; 2] = ["/usr/sbin/dockerd", "/usr/local/bin/dockerd"];

/// An engine with a data directory of its own. It ends with this value, and so does all that it started.
#[derive(Debug)]
pub struct Engine {
    folder: TempDir,
    process: Child,
}

impl Engine {
    /// Why there can be none here, and what provides it.
    pub(crate) fn missing() -> Option<String> {
        if !rustix::process::geteuid().is_root() {
            return Some("an engine of a test's own needs root; run `sudo ./scripts/test`".to_owned());
        }
        daemon().is_none().then(|| "there is no dockerd; run `apt-get install docker.io`".to_owned())
    }

    /// Starts one that also knows an OCI runtime named `name`, which is this shell script.
    pub fn with_runtime(name: &str, script: &str) -> Result<Self> {
        // The paths of its sockets must be short.
        let folder = TempDir::with_prefix_in("lke", "/tmp")?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        let runtime = at("runtime");
        fs::write(&runtime, script)?;
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o755))?;
        let log = fs::File::create(at("log"))?;
        let process = Command::new(daemon().context("no dockerd")?)
            .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["--host", &format!("unix://{}", at("d.sock")), "--bridge=none", "--iptables=false"])
            .args(["--ip-forward=false", "--ip-masq=false", "--add-runtime", &format!("{name}={runtime}")])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()?;
        let engine = Self { folder, process };
        let until = Instant::now() + PATIENCE;
        while std::os::unix::net::UnixStream::connect(engine.path("d.sock")).is_err() {
            ensure!(Instant::now() < until, "the engine does not answer: {}", fs::read_to_string(engine.path("log"))?);
            sleep(LOOK);
        }
        Ok(engine)
    }

    /// Where it listens, as `sandbox.docker.host` wants it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.path("d.sock").display())
    }

    /// Where its socket is.
    pub fn socket(&self) -> PathBuf {
        self.path("d.sock")
    }

    /// Builds the image of sandboxes in it, under this name.
    pub fn build_image(&self, tag: &str) -> Result<()> {
        let output = Command::new(&Binaries::find()?.server)
            .args(["image", "build", "--set", &format!("sandbox.docker.host={}", self.host()), "--tag", tag])
            .arg("--workspace")
            .arg(Tool::static_workspace())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Kills the processes of its OCI runtime, which are those whose command names `word`.
    pub fn kill_runtime(&self, word: &str) -> usize {
        let hung = named(word);
        hung.iter().filter(|pid| kill_process(**pid, Signal::KILL).is_ok()).count()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let until = Instant::now() + Duration::from_secs(10);
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < until {
            sleep(LOOK);
        }
        drop(self.process.kill());
        drop(self.process.wait());
        // Its containerd and its containers' shims outlive it, and name its folder.
        let folder = self.folder.path().to_string_lossy().into_owned();
        while Instant::now() < until + Duration::from_secs(5) {
            let left = named(&folder);
            if left.is_empty() {
                break;
            }
            for pid in left {
                let _ = kill_process(pid, Signal::KILL);
            }
            sleep(LOOK);
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mut ours: Vec<_> = mounts.lines().filter_map(|line| line.split(' ').nth(1)).collect();
        ours.retain(|path| Path::new(path).starts_with(self.folder.path()));
        ours.sort_by_key(|path| std::cmp::Reverse(path.len()));
        for path in ours {
            drop(Command::new("umount").args(["-l", path]).status());
        }
    }
}

fn daemon() -> Option<PathBuf> {
    program("dockerd").or_else(|| DAEMON.iter().map(PathBuf::from).find(|path| path.is_file()))
}

/// The other processes whose command line has this word in it.
fn named(word: &str) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let names = |pid: &i32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
    };
    let this = i32::try_from(std::process::id()).unwrap_or_default();
    pids.filter(|pid| *pid != this).filter(names).filter_map(Pid::from_raw).collect()
}
