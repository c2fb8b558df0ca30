use super::SessionManager;
use lockkeeper_domain::{Code, ServerName, Timestamp};
use lockkeeper_ports::{McpServer, ServerHealth, ServerState};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How an MCP server does on this server, over all sandboxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct McpHealth {
    /// The server.
    pub server: ServerName,
    /// Whether the configuration that holds names it. Sandboxes from before it changed may still run one that it does not.
    pub configured: bool,
    /// The best state of its processes, or that it is held back. None while it has no process: it is started with a sandbox.
    pub state: Option<ServerState>,
    /// How many of its processes are in which state.
    pub processes: BTreeMap<ServerState, usize>,
    /// How many tools it offered when it was last up.
    pub tools: Option<usize>,
    /// How often its processes were started again.
    pub restarts: u64,
    /// Why it was last not up, for people, with the code.
    pub problem: Option<(Code, String)>,
    /// Since when it has been so. None for one that never was started.
    pub since: Option<Timestamp>,
    /// How long it will still not be started, while it is held back.
    pub held_back: Option<Duration>,
}

impl SessionManager {
    /// Has these MCP servers hold from now on: each sandbox that is started gets them. A session that runs keeps the ones that
    /// it has until its next sandbox: it was offered their tools, humans allowed those, and processes hold what they are at.
    /// False when they are the same as before.
    pub fn offer_servers(&self, servers: Arc<[McpServer]>) -> bool {
        let starter = &self.shared.starter;
        // Before any of them can say a word.
        self.shared.output.learn(&servers);
        let changed = starter.roster.replace(servers);
        if changed {
            starter.pool.look_again();
        }
        changed
    }

    /// How the MCP servers do that were ever started here, as the host of tools counts them.
    pub fn server_health(&self) -> Vec<ServerHealth> {
        self.shared.ports.tools.health()
    }

    /// How the MCP servers do, each that is configured or was seen, by its name.
    pub fn mcp_health(&self) -> Vec<McpHealth> {
        let now = self.shared.now();
        let configured = self.shared.starter.roster.servers();
        let unseen = configured.iter().map(|server| (server.name.clone(), McpHealth::unseen(server.name.clone())));
        let mut all: BTreeMap<_, _> = unseen.collect();
        for seen in self.server_health() {
            let configured = all.contains_key(&seen.server);
            all.insert(seen.server.clone(), McpHealth::of(seen, configured, now));
        }
        all.into_values().collect()
    }
}

impl McpHealth {
    fn unseen(server: ServerName) -> Self {
        Self {
            server,
            configured: true,
            state: None,
            processes: BTreeMap::new(),
            tools: None,
            restarts: 0,
            problem: None,
            since: None,
            held_back: None,
        }
    }

    fn of(seen: ServerHealth, configured: bool, now: Timestamp) -> Self {
        let ServerHealth { server, processes, tools, restarts, problem, since, held_back } = seen;
        let best = processes.keys().next().copied();
        let state =
            if held_back.is_some() && best != Some(ServerState::Up) { Some(ServerState::HeldBack) } else { best };
        let ago = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        let since = Some(Timestamp::from_millis(now.as_millis().saturating_sub(ago)));
        Self { server, configured, state, processes, tools, restarts, problem, since, held_back }
    }
}
