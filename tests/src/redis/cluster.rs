use anyhow::{Context, Result, bail, ensure};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

const START: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(50);
/// How often other ports are tried where somebody was quicker.
const ATTEMPTS: usize = 5;
/// The slots of each node.
const SLOTS: [[&str; 2]; 3] = [["0", "5460"], ["5461", "10922"], ["10923", "16383"]];

/// Three Redis nodes of a test's own that share the slots, without replicas. They write what they acknowledge, and are killed when
/// this is dropped.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    process: Child,
    port: u16,
    bus: u16,
}

impl RedisCluster {
    /// Starts it in this folder, and waits until every node takes every key.
    pub fn start(folder: &Path) -> Result<Self> {
        let mut nodes = Vec::new();
        for number in 0..SLOTS.len() {
            nodes.push(Node::start(&folder.join(format!("redis-{number}")))?);
        }
        for (epoch, (node, [from, to])) in (1_u32..).zip(nodes.iter().zip(SLOTS)) {
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", from, to])?;
            // Else each begins with the same epoch, and they must sort that out first.
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &epoch.to_string()])?;
        }
        for node in &nodes[1..] {
            nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &node.port.to_string(), &node.bus.to_string()])?;
        }
        let cluster = Self { nodes };
        cluster.wait()?;
        Ok(cluster)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{}", self.nodes[0].port)
    }

    /// How many keys each node holds.
    pub fn sizes(&self) -> Result<Vec<usize>> {
        self.nodes.iter().map(|node| Ok(node.ask(&["DBSIZE"])?.trim().parse()?)).collect()
    }

    fn wait(&self) -> Result<()> {
        let began = Instant::now();
        for node in &self.nodes {
            loop {
                let info = node.ask(&["CLUSTER", "INFO"])?;
                let whole = ["cluster_state:ok", "cluster_known_nodes:3", "cluster_slots_ok:16384"];
                if whole.iter().all(|line| info.contains(line)) {
                    break;
                }
                ensure!(began.elapsed() < START, "the cluster does not come up: {info}");
                sleep(PAUSE);
            }
        }
        Ok(())
    }
}

impl Node {
    fn start(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        for _ in 0..ATTEMPTS {
            let (port, bus) = (free_port()?, free_port()?);
            let mut node = Self { process: spawn(folder, port, bus)?, port, bus };
            if node.is_up()? {
                return Ok(node);
            }
        }
        bail!("a node of the cluster does not start: {}", log(folder))
    }

    /// Waits until it answers. False if it ended instead: somebody has taken a port of its.
    fn is_up(&mut self) -> Result<bool> {
        let began = Instant::now();
        while self.ask(&["PING"]).is_err() {
            if self.process.try_wait()?.is_some() {
                return Ok(false);
            }
            ensure!(began.elapsed() < START, "a node of the cluster was not ready in time");
            sleep(PAUSE);
        }
        Ok(true)
    }

    /// What it answers to a command.
    fn ask(&self, words: &[&str]) -> Result<String> {
        let output = Command::new("redis-cli").args(["-e", "-p", &self.port.to_string()]).args(words).output();
        let output = output.context("redis-cli cannot be started")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "{words:?}: {said}{}", String::from_utf8_lossy(&output.stderr));
        Ok(said)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn spawn(folder: &Path, port: u16, bus: u16) -> Result<Child> {
    Command::new("redis-server")
        .current_dir(folder)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--cluster-enabled", "yes"])
        .args(["--cluster-port", &bus.to_string(), "--cluster-node-timeout", "30000"])
        .args(["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", ".", "--logfile", "log"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("redis-server cannot be started")
}

fn log(folder: &Path) -> String {
    let path: PathBuf = folder.join("log");
    fs::read_to_string(path).unwrap_or_default()
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
