use crate::case::Ground;
use anyhow::{Context, Result};
use lockkeeper_tests::{Redis, RedisLink, Server, Setup};
use std::{fs, path::Path};

const SETTINGS: &str = "
    store.kind = 'redis'
    session.lease_secs = 2
    session.takeover_poll_ms = 200
    session.max_sessions_per_principal = 64
    gateway.max_connections_per_principal = 64
    session.max_log_events = 10000000
    session.warm_sandboxes = 0
    llm.demo.piece_delay_ms = 1";

/// How much of a server's log a failure shows, in bytes.
const SAID: usize = 64 << 10;

/// Two servers on one Redis, each with sandboxes of its own, out of which a witness is told what runs.
pub(super) struct Cluster {
    setups: [Setup; 2],
    servers: [Option<Server>; 2],
    /// The ways of the servers to Redis.
    pub(super) links: [RedisLink; 2],
    /// After the servers, which end first.
    pub(super) redis: Redis,
}

impl Cluster {
    pub(super) async fn start(ground: &Ground, witness: &Path) -> Result<Self> {
        let redis = Redis::start(ground.folder())?;
        let witness = format!("sandbox.local.read_only = ['{}']", witness.display());
        let setup = |name: &str| -> Result<(Setup, RedisLink)> {
            let folder = ground.folder().join(name);
            fs::create_dir_all(&folder)?;
            let link = RedisLink::new(&folder.join("link.sock"), redis.socket())?;
            let setup = ground.setup().in_folder(&folder).config(SETTINGS).config(&witness);
            Ok((setup.env("REDIS_URL", &link.url()), link))
        };
        let ((one, first), (other, second)) = (setup("one")?, setup("other")?);
        let mut cluster = Self { setups: [one, other], servers: [None, None], links: [first, second], redis };
        cluster.start_server(0).await?;
        cluster.start_server(1).await?;
        Ok(cluster)
    }

    pub(super) async fn start_server(&mut self, which: usize) -> Result<()> {
        let started = self.setups[which].start().await;
        self.servers[which] = Some(started.with_context(|| format!("server {which} does not start again"))?);
        Ok(())
    }

    pub(super) async fn kill_server(&mut self, which: usize) -> Result<()> {
        self.servers[which].take().context("it is dead already")?.crash().await.map(drop)
    }

    /// A server that runs.
    pub(super) fn server(&self, which: usize) -> Result<&Server> {
        self.servers[which].as_ref().context("it is dead")
    }

    pub(super) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.iter().flatten()
    }

    /// Where those are that run.
    pub(super) fn urls(&self) -> Vec<String> {
        self.servers().map(|server| server.url().to_owned()).collect()
    }

    /// What the servers said last.
    pub(super) fn said(&self) -> String {
        let last = |setup: &Setup| {
            let log = setup.log();
            let from = log.len().saturating_sub(SAID);
            log.get(log.ceil_char_boundary(from)..).unwrap_or_default().to_owned()
        };
        self.setups.each_ref().map(last).join("\n--- the other one:\n")
    }
}
