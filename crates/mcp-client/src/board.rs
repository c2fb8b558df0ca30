//! How each server does over all sandboxes of this host.

use crate::{
    Config,
    breaker::Admission,
    tenants::{Recovery, Tenant, Tenants},
};
use lockkeeper_domain::{Code, PrincipalId, ServerName};
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
    tenants: Tenants,
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
            tenants: Tenants::new(config),
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
    /// Its starts count for whom `tenant` names at the time.
    pub(crate) fn seat(self: &Arc<Self>, server: &ServerName, tenant: &SharedTenant, config: &Config) -> Seat {
        self.entries().entry(server.clone()).or_insert_with(|| Entry::new(config));
        let (board, tenant) = (Arc::clone(self), tenant.clone());
        Seat { board, server: server.clone(), tenant, state: Mutex::new(None) }
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
            held_back: entry.tenants.longest(now),
        };
        self.entries().iter().map(health).collect()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<ServerName, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose sandbox the servers of a session run in. A sandbox of the pool is given to a tenant later.
#[derive(Clone, Debug, Default)]
pub(crate) struct SharedTenant(Arc<Mutex<Tenant>>);

impl SharedTenant {
    pub(crate) fn new(tenant: Tenant) -> Self {
        Self(Arc::new(Mutex::new(tenant)))
    }

    pub(crate) fn assign(&self, tenant: Tenant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = tenant;
    }

    fn now(&self) -> Tenant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One start of a server that was admitted. If it is dropped before its result is known, another start may take its place.
#[derive(Debug)]
pub(crate) struct Start<'s> {
    seat: &'s Seat,
    tenant: Tenant,
    admission: Option<Admission>,
}

impl Start<'_> {
    pub(crate) fn succeeded(mut self) {
        self.admission = None;
        self.seat.change(|entry| entry.tenants.succeeded(&self.tenant, Instant::now()));
    }

    pub(crate) fn failed(mut self) {
        let Some(admission) = self.admission.take() else { return };
        if self.seat.change(|entry| entry.tenants.failed(&self.tenant, admission, Instant::now())) {
            let tenant = self.tenant.as_ref().map_or("none", PrincipalId::as_str);
            tracing::warn!(mcp.server = %self.seat.server, principal.id = tenant, "MCP server held back after failed starts");
        }
    }
}

impl Drop for Start<'_> {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.seat.change(|entry| entry.tenants.undecided(&self.tenant, admission));
        }
    }
}

/// A process's place on the board. It goes with its owner.
#[derive(Debug)]
pub(crate) struct Seat {
    board: Arc<Board>,
    server: ServerName,
    tenant: SharedTenant,
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

    /// Returns the permission to start the server once, or how long to wait.
    pub(crate) fn admit(&self) -> Result<Start<'_>, Duration> {
        let tenant = self.tenant.now();
        let admission = self.change(|entry| entry.tenants.admit(&tenant, Instant::now()))?;
        Ok(Start { seat: self, tenant, admission: Some(admission) })
    }

    /// Returns how sessions of this tenant get the server back.
    pub(crate) fn recovery(&self) -> Recovery {
        self.change(|entry| entry.tenants.recovery(&self.tenant.now(), Instant::now()))
    }

    /// Returns how long the tenant must still wait for a start, `None` if it need not.
    pub(crate) fn held_back(&self) -> Option<Duration> {
        self.change(|entry| entry.tenants.held_back(&self.tenant.now(), Instant::now()))
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

    fn seat(board: &Arc<Board>, config: &Config) -> Seat {
        board.seat(&ServerName::new("a"), &SharedTenant::default(), config)
    }

    fn tell(seat: &Seat, state: ServerState) {
        let up = state == ServerState::Up;
        seat.tell(state, up.then_some(3), (!up).then(|| (Code::ToolCrashed, "ended".to_owned())));
    }

    #[tokio::test(start_paused = true)]
    async fn processes_are_counted_by_their_state_and_the_last_problem_stays() {
        let (board, config) = (Arc::new(Board::default()), Config::default());
        assert!(board.health().is_empty());
        let (one, other) = (seat(&board, &config), seat(&board, &config));
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
