//! Engines of their own, for checks that break theirs.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

use crate::bench::{connect, until};

const DAEMON: [&str; 3] = ["/usr/bin/dockerd", "/usr/sbin/dockerd", "/usr/local/bin/dockerd"];

/// Why there is no engine of one's own here.
pub(crate) fn missing() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root, to run an engine of its own".into());
    }
    program().is_none().then(|| "needs dockerd: apt-get install -y docker.io".into())
}

/// Why there is no Podman of one's own here.
pub(crate) fn podman_missing() -> Option<String> {
    let is_there = |program: &str| ["/usr/bin", "/usr/sbin"].iter().any(|bin| Path::new(bin).join(program).exists());
    let all = ["podman", "catatonit", "runc"].into_iter().all(is_there);
    missing().or_else(|| (!all).then(|| "needs Podman: apt-get install -y podman catatonit runc".into()))
}

pub(crate) struct Daemon {
    directory: TempDir,
    arguments: Vec<String>,
    process: Child,
}

impl Daemon {
    pub(crate) async fn start(arguments: &[&str]) -> Self {
        // The paths of its sockets must be short.
        let directory = TempDir::with_prefix_in("lkd", "/tmp").expect("a directory");
        fs::create_dir(directory.path().join("data")).expect("mkdir");
        Self::in_directory(directory, arguments).await
    }

    /// One whose disk is as small as this.
    pub(crate) async fn on_a_small_disk(mib: u32) -> Self {
        let directory = TempDir::with_prefix_in("lkd", "/tmp").expect("a directory");
        let data = directory.path().join("data");
        fs::create_dir(&data).expect("mkdir");
        let size = format!("size={mib}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&data).status();
        assert!(mounted.expect("mount runs").success());
        Self::in_directory(directory, &["--storage-driver=overlay2"]).await
    }

    /// A Podman service instead, with the OCI runtime that Docker brings along: crun refuses some machines.
    pub(crate) async fn podman() -> Self {
        let directory = TempDir::with_prefix_in("lkp", "/tmp").expect("a directory");
        let at = |name: &str| directory.path().join(name).display().to_string();
        let settings = "[engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
        fs::write(at("containers.conf"), settings).expect("write");
        let mut podman = Command::new("podman");
        podman
            .env("CONTAINERS_CONF", at("containers.conf"))
            .args(["--root", &at("root"), "--runroot", &at("run"), "--tmpdir", &at("tmp")])
            .args(["system", "service", "--time=0", &format!("unix://{}", at("d.sock"))]);
        let process = start(&mut podman, directory.path());
        let daemon = Self { directory, arguments: Vec::new(), process };
        daemon.wait().await;
        daemon
    }

    async fn in_directory(directory: TempDir, arguments: &[&str]) -> Self {
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let process = spawn(directory.path(), &arguments);
        let daemon = Self { directory, arguments, process };
        daemon.wait().await;
        daemon
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.path("d.sock").display())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it runs");
    }

    /// Ends it with a signal, and waits until it has ended.
    pub(crate) async fn end(&mut self, signal: Signal) {
        self.signal(signal);
        until("the engine has ended", async || self.process.try_wait().expect("wait").is_some()).await;
    }

    pub(crate) async fn again(&mut self) {
        // Where nobody reaps orphans, it would wait for the containerd that died with it.
        drop(fs::remove_file(self.path("exec/containerd/containerd.pid")));
        self.process = spawn(self.directory.path(), &self.arguments);
        self.wait().await;
    }

    async fn wait(&self) {
        let host = self.host();
        until(&format!("the engine answers: {}", self.log()), async || connect(&host).await.is_ok()).await;
    }

    fn log(&self) -> String {
        self.path("log").display().to_string()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.process), Signal::CONT);
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        for _ in 0..500 {
            if matches!(self.process.try_wait(), Ok(Some(_)) | Err(_)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.process.kill());
        drop(self.process.wait());
        // What outlived it names this directory: its containerd, its containers' shims.
        let directory = self.directory.path().to_string_lossy().into_owned();
        for _ in 0..10 {
            let left = processes_that_name(&directory);
            for pid in &left {
                let _ = kill_process(*pid, Signal::KILL);
            }
            if left.is_empty() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let ours = mounts.lines().filter_map(|line| line.split(' ').nth(1)).filter(|path| path.starts_with(&directory));
        let mut ours: Vec<_> = ours.collect();
        ours.sort_by_key(|path| std::cmp::Reverse(path.len()));
        for path in ours {
            drop(Command::new("umount").args(["-l", path]).status());
        }
    }
}

fn spawn(directory: &Path, arguments: &[String]) -> Child {
    let at = |name: &str| directory.join(name).display().to_string();
    let mut dockerd = Command::new(program().expect("looked for before"));
    dockerd
        .args(["--data-root", &at("data"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
        .args(["--host", &format!("unix://{}", at("d.sock")), "--bridge=none", "--iptables=false"])
        .args(["--ip-forward=false", "--ip-masq=false"])
        .args(arguments);
    start(&mut dockerd, directory)
}

/// Starts an engine in a group of its own. What it says is in the directory's log, behind what was said before.
fn start(engine: &mut Command, directory: &Path) -> Child {
    let log = fs::File::options().create(true).append(true).open(directory.join("log")).expect("a log");
    engine
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .process_group(0)
        .spawn()
        .expect("the engine starts")
}

fn program() -> Option<&'static str> {
    DAEMON.into_iter().find(|path| Path::new(path).exists())
}

fn processes_that_name(directory: &str) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let names = |pid: &i32| {
        fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains(directory))
    };
    let this = i32::try_from(std::process::id()).unwrap_or_default();
    pids.filter(|pid| *pid != this).filter(names).filter_map(Pid::from_raw).collect()
}
