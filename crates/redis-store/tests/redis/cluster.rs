//! A cluster of three, without replicas or with one of each.

use crate::server::Server;
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(crate) struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::start_of(&["--cluster-enabled yes", "--cluster-node-timeout 30000", "--appendfsync always"]).await
    }

    async fn start_of(options: &[&str]) -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(Server::start_on_port(options).await);
        }
        for (node, slots) in nodes.iter().zip([("0", "5460"), ("5461", "10922"), ("10923", "16383")]) {
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", slots.0, slots.1]).await;
        }
        for (n, node) in nodes.iter().enumerate() {
            // Else each begins with the same epoch, and they must sort that out first.
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(n + 1).to_string()]).await;
        }
        for node in &nodes[1..] {
            let (port, bus) = (node.port().to_string(), node.bus_port().to_string());
            nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
        }
        let cluster = Self { nodes };
        cluster.wait().await;
        cluster
    }

    /// The same with a replica of each node, which takes its place within seconds. The replicas are the last three.
    pub(crate) async fn start_with_replicas() -> Self {
        let options = ["--cluster-enabled yes", "--cluster-node-timeout 1000", "--repl-diskless-sync-delay 0"];
        let mut cluster = Self::start_of(&options).await;
        for primary in 0..3 {
            let replica = Server::start_on_port(&options).await;
            let (port, bus) = (replica.port().to_string(), replica.bus_port().to_string());
            cluster.nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
            let id = cluster.nodes[primary].ask(&["CLUSTER", "MYID"]).await;
            let id = id.lines().nth(1).expect("an id").trim().to_owned();
            let deadline = Instant::now() + Duration::from_mins(1);
            // It must have heard of its primary first.
            while !replica.ask(&["CLUSTER", "REPLICATE", &id]).await.starts_with("+OK") {
                assert!(Instant::now() < deadline, "the cluster takes no replica");
                sleep(Duration::from_millis(20)).await;
            }
            while !replica.ask(&["INFO", "replication"]).await.contains("master_link_status:up") {
                assert!(Instant::now() < deadline, "the replica does not get in step");
                sleep(Duration::from_millis(20)).await;
            }
            cluster.nodes.push(replica);
        }
        // Each node must know all replicas before one of them can be voted for.
        for node in &cluster.nodes {
            let deadline = Instant::now() + Duration::from_mins(1);
            while node.ask(&["CLUSTER", "NODES"]).await.matches("slave").count() < 3 {
                assert!(Instant::now() < deadline, "the nodes do not get to know each other");
                sleep(Duration::from_millis(20)).await;
            }
        }
        cluster
    }

    pub(crate) fn url(&self) -> String {
        format!("redis-cluster://127.0.0.1:{}", self.nodes[0].port())
    }

    pub(crate) fn nodes(&mut self) -> &mut [Server] {
        &mut self.nodes
    }

    /// That every node holds something.
    pub(crate) async fn assert_used(&self) {
        for node in &self.nodes {
            let size = node.ask(&["DBSIZE"]).await;
            assert!(size.starts_with(':') && size.trim() != ":0", "{size}");
        }
    }

    pub(crate) async fn wait(&self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        for node in &self.nodes {
            loop {
                let info = node.ask(&["CLUSTER", "INFO"]).await;
                if ["cluster_state:ok", "cluster_known_nodes:3", "cluster_slots_ok:16384"]
                    .iter()
                    .all(|s| info.contains(s))
                {
                    break;
                }
                assert!(Instant::now() < deadline, "the cluster does not come up: {info}");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}
