//! A cluster of three, without replicas.

use crate::server::Server;
use std::time::Duration;
use tokio::time::{Instant, sleep};

pub(crate) struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let mut nodes = Vec::new();
        for _ in 0..3 {
            let options = ["--cluster-enabled yes", "--cluster-node-timeout 30000", "--appendfsync always"];
            nodes.push(Server::start_on_port(&options).await);
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
