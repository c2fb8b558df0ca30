//! How each server does over all sandboxes of this host.

use crate::{Config, breaker::Breaker};
use lockkeeper_domain::{Code, ServerName};
use lockkeeper_ports::{ServerHealth, ServerState};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// What is known of each server, by its name.
#[derive(Debug, Default)]
pub(crate) struct Board {
    entries: Mutex<BTreeMap<ServerName, Entry>>,
}

#[derive(Debug)]
struct Entry {
    processes: BTreeMap<ServerState, usize>,
    tools: Option<usize>,
    restarts: u64,
    problem: Option<(Code, String)>,
    /// The state as a whole, and since when it is so.
    overall: ServerState,
    since: Instant,
    breaker: Breaker,
}

impl Entry {
    fn new(config: &Config) -> Self {
        Self {
            processes: BTreeMap::new(),
            tools: None,
            restarts: 0,
            problem: None,
            overall: ServerState::Up,
            since: Instant::now(),
            breaker: Breaker::new(config),
        }
    }

    fn count(&mut self, from: Option<ServerState>, to: Option<ServerState>) {
        if let Some(count) = from.and_then(|from| self.processes.get_mut(&from)) {
            *count -= 1;
        }
        if let Some(to) = to {
            *self.processes.entry(to).or_default() += 1;
        }
        self.processes.retain(|_, count| *count > 0);
        // The best of them: a server that works anywhere works. Without any it stays as it was.
        let overall = self.processes.keys().next().copied().unwrap_or(self.overall);
        if overall != self.overall {
            (self.overall, self.since) = (overall, Instant::now());
        }
    }
}

impl Board {
    /// A place for a process of this server, which is counted from its first state on.
    pub(crate) fn seat(self: &Arc<Self>, server: &ServerName, config: &Config) -> Seat {
        self.entries().entry(server.clone()).or_insert_with(|| Entry::new(config));
        Seat { board: Arc::clone(self), server: server.clone(), state: Mutex::new(None) }
    }

    /// All servers that ever had a place.
    pub(crate) fn health(&self) -> Vec<ServerHealth> {
        let now = Instant::now();
        let health = |(server, entry): (&ServerName, &Entry)| ServerHealth {
            server: server.clone(),
            processes: entry.processes.clone(),
            tools: entry.tools,
            restarts: entry.restarts,
            problem: entry.problem.clone(),
            since: now.duration_since(entry.since),
            held_back: entry.breaker.held_back(now),
        };
        self.entries().iter().map(health).collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<ServerName, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process's place on the board. It goes with its owner.
#[derive(Debug)]
pub(crate) struct Seat {
    board: Arc<Board>,
    server: ServerName,
    state: Mutex<Option<ServerState>>,
}

impl Seat {
    /// How the process does now.
    pub(crate) fn tell(&self, state: ServerState, tools: Option<usize>, problem: Option<(Code, String)>) {
        let before = self.state.lock().unwrap_or_else(PoisonError::into_inner).replace(state);
        self.change(|entry| {
            entry.tools = tools.or(entry.tools);
            if problem.is_some() {
                entry.problem = problem;
            }
            entry.count(before, Some(state));
        });
    }

    /// Whether a start may be tried; else how long the server is still held back.
    pub(crate) fn admit(&self) -> Result<(), Duration> {
        self.change(|entry| entry.breaker.admit(Instant::now()))
    }

    /// How a start went.
    pub(crate) fn started(&self, succeeded: bool) {
        let opened = self.change(|entry| {
            if succeeded {
                entry.breaker.succeeded();
            }
            !succeeded && entry.breaker.failed(Instant::now())
        });
        if opened {
            tracing::warn!(mcp.server = %self.server, "an MCP server fails to start again and again; it is held back");
        }
    }

    /// The process is started again.
    pub(crate) fn restarting(&self) {
        self.change(|entry| entry.restarts += 1);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Entry) -> T) -> T {
        change(self.board.entries().get_mut(&self.server).expect("a seat is made with its entry, which stays"))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let before = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        self.change(|entry| entry.count(before, None));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(seat: &Seat, state: ServerState) {
        let up = state == ServerState::Up;
        seat.tell(state, up.then_some(3), (!up).then(|| (Code::ToolCrashed, "ended".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn processes_are_counted_by_their_state_and_the_last_problem_stays() {
        let (board, config) = (Arc::new(Board::default()), Config::default());
        assert!(board.health().is_empty());
        let (one, other) = (board.seat(&ServerName::new("a"), &config), board.seat(&ServerName::new("a"), &config));
        tell(&one, ServerState::Up);
        tell(&other, ServerState::Up);
        tokio::time::advance(Duration::from_secs(5)).await;
        tell(&one, ServerState::Down);
        let health = board.health();
        assert_eq!(health[0].processes, BTreeMap::from([(ServerState::Up, 1), (ServerState::Down, 1)]));
        assert_eq!(health[0].since, Duration::from_secs(5), "it works in one sandbox, so it works");
        tell(&other, ServerState::Restarting);
        other.restarting();
        let health = board.health();
        assert_eq!((health[0].since, health[0].restarts, health[0].tools), (Duration::ZERO, 1, Some(3)));
        assert_eq!(health[0].problem, Some((Code::ToolCrashed, "ended".to_owned())));
        drop((one, other));
        assert!(board.health()[0].processes.is_empty());
    }
}
