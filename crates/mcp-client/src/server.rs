//! One server of a session over all of its connections.

mod definitions;
mod keeper;
mod opening;
mod standing;

use crate::{
    board::Seat,
    call,
    connection::{Connection, Scope},
    link::Down,
    outcome::not_sent,
    restarts::Restarts,
};
use definitions::Definitions;
use lockkeeper_domain::{Code, ToolDefinition, ToolResult};
use lockkeeper_ports::{CallContext, LeftOutTool, McpServer, ServerState, ToolHostError, ToolSessionStatus};
use opening::{NotOpen, open};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, sleep_until, timeout},
};

/// How often a server that keeps announcing changes is asked again for one call.
const MAX_RELISTS: usize = 3;

/// Why a call is not made.
enum Refusal {
    SandboxGone,
    With(ToolResult),
}

impl From<Down> for Refusal {
    fn from(down: Down) -> Self {
        Self::With(not_sent(down.code, &down.reason))
    }
}

pub(crate) struct Server {
    spec: McpServer,
    scope: Scope,
    /// The definitions that the session offers: those of the first connection. Empty until there is one.
    pinned: OnceLock<BTreeMap<String, ToolDefinition>>,
    definitions: Definitions,
    /// What the last list of tools has that is not offered.
    left_out: Mutex<Vec<LeftOutTool>>,
    /// How the last connection did; kept apart from the lock below, which is held while a server starts.
    latest: Mutex<Latest>,
    gate: tokio::sync::Mutex<Gate>,
    permits: Semaphore,
    /// Nobody starts it again by itself any more: the next call does.
    given_up: AtomicBool,
    /// How often in a row the runtime failed to start it.
    misses: AtomicU32,
    /// How it was last told of.
    told: watch::Sender<ToolSessionStatus>,
    seat: Seat,
}

enum Latest {
    Connected(Arc<Connection>),
    Failed(Down),
    /// It was not even tried.
    HeldBack(Down),
    /// The runtime failed or did not answer. It is tried again, as often as it takes.
    Unavailable(Down),
}

/// What only one call at a time may decide on.
struct Gate {
    restarts: Restarts,
    /// Tools whose definition was seen to change, with the fingerprint that they had when they were seen last, if they were
    /// there: they are refused from then on, until that very definition is accepted.
    quarantined: HashMap<String, Option<String>>,
}

impl Server {
    /// Starts the server for the first time, and looks after it from then on. `greeted` is called when it has
    /// answered. One that fails is kept, to be told of.
    pub(crate) async fn connect(
        scope: Scope,
        spec: McpServer,
        greeted: &(dyn Fn() + Sync),
    ) -> Result<Arc<Self>, ToolHostError> {
        let seat = scope.board.seat(&spec.name, &scope.tenant, &scope.config);
        let (pinned, mut left_out) = (OnceLock::new(), Vec::new());
        let latest = match open(&scope, &spec, &seat, greeted).await {
            Ok((connection, catalog)) => {
                left_out = catalog.left_out;
                let _ = pinned.set(catalog.tools);
                Latest::Connected(connection)
            }
            Err(NotOpen::SandboxGone) => return Err(ToolHostError::SandboxGone),
            Err(NotOpen::Failed(down)) => Latest::Failed(down),
            Err(NotOpen::HeldBack(down)) => Latest::HeldBack(down),
            Err(NotOpen::Unavailable(down)) => Latest::Unavailable(down),
        };
        let gate = Gate { restarts: Restarts::new(&scope.config), quarantined: HashMap::new() };
        let given_up = AtomicBool::new(matches!(latest, Latest::Failed(_) | Latest::HeldBack(_)));
        let misses = AtomicU32::new(u32::from(matches!(latest, Latest::Unavailable(_))));
        let unknown = ToolSessionStatus {
            server: spec.name.clone(),
            state: ServerState::Down,
            tools: None,
            problem: None,
            code: None,
            left_out: Vec::new(),
        };
        let server = Arc::new(Self {
            permits: Semaphore::new(scope.config.max_concurrent_calls),
            latest: Mutex::new(latest),
            gate: tokio::sync::Mutex::new(gate),
            given_up,
            misses,
            told: watch::Sender::new(unknown),
            seat,
            spec,
            scope,
            pinned,
            definitions: Definitions::default(),
            left_out: Mutex::new(left_out),
        });
        server.tell();
        let soft = server.scope.ends.soft.clone();
        let keeping = Box::pin(Arc::clone(&server).keep());
        server.scope.tasks.spawn(async move { soft.run_until_cancelled(keeping).await });
        Ok(server)
    }

    /// Returns the definitions that the session offers, `None` while the server has not been up yet.
    pub(crate) fn tools(&self) -> Option<&BTreeMap<String, ToolDefinition>> {
        self.pinned.get()
    }

    /// Calls a tool, once. A server that ended is started again before, never after.
    pub(crate) async fn call(
        &self,
        tool: &str,
        args: Map<String, Value>,
        context: CallContext,
    ) -> Result<ToolResult, ToolHostError> {
        let cancel = context.cancel.clone();
        let prepare = timeout(self.scope.config.call_total(), async {
            let permit = self.permits.acquire().await;
            (permit, self.ready(tool).await)
        });
        let (_permit, ready) = tokio::select! {
            biased;
            () = cancel.cancelled() => return Ok(not_sent(Code::Cancelled, "it was cancelled")),
            () = self.scope.ends.soft.cancelled() => return Err(ToolHostError::SandboxGone),
            prepared = prepare => match prepared {
                Ok(prepared) => prepared,
                Err(_) => return Ok(not_sent(Code::ToolTimeout, "its MCP server was busy with other calls")),
            },
        };
        match ready {
            Ok(connection) => Ok(call::run(&connection, tool, args, context, &self.scope.tasks).await),
            Err(Refusal::SandboxGone) => Err(ToolHostError::SandboxGone),
            Err(Refusal::With(result)) => Ok(result),
        }
    }

    /// A connection on which `tool` is what the session offers.
    async fn ready(&self, tool: &str) -> Result<Arc<Connection>, Refusal> {
        let mut gate = self.gate.lock().await;
        let connection = match self.connected() {
            Ok(connection) => connection,
            Err(down) => self.restart(&mut gate, &down).await?,
        };
        self.relist(&mut gate, &connection).await?;
        if self.is_quarantined(&mut gate, tool) {
            let why =
                "its MCP server changed the tool's definition after it was offered; the tool is not used any more";
            return Err(Refusal::With(not_sent(Code::ToolChanged, why)));
        }
        Ok(connection)
    }

    async fn restart(&self, gate: &mut Gate, down: &Down) -> Result<Arc<Connection>, Refusal> {
        let Some(not_before) = gate.restarts.not_before(down.at, Instant::now()) else {
            let why = format!(
                "its MCP server {} and was started {} times within {} s",
                down.reason, self.scope.config.max_restarts, self.scope.config.restart_window_secs
            );
            return Err(Refusal::With(not_sent(Code::ToolCrashed, &why)));
        };
        sleep_until(not_before).await;
        tracing::info!(mcp.server = %self.spec.name, "starting an MCP server again");
        gate.restarts.count(Instant::now());
        let opened = self.open_again(gate).await;
        if opened.is_err() && self.is_unavailable() {
            gate.restarts.forget_last();
        }
        opened
    }

    /// Starts the server unless it is held back, and compares its tools with those that the session offers.
    async fn open_again(&self, gate: &mut Gate) -> Result<Arc<Connection>, Refusal> {
        let (latest, opened) = match open(&self.scope, &self.spec, &self.seat, &|| ()).await {
            Ok((connection, catalog)) => {
                if let Some(pinned) = self.pinned.get() {
                    self.compare(gate, pinned, &catalog);
                } else {
                    *self.left_out.lock().unwrap_or_else(PoisonError::into_inner) = catalog.left_out;
                    let _ = self.pinned.set(catalog.tools);
                }
                (Latest::Connected(connection.clone()), Ok(connection))
            }
            Err(NotOpen::SandboxGone) => return Err(Refusal::SandboxGone),
            Err(NotOpen::Failed(down)) => (Latest::Failed(down.clone()), Err(down.into())),
            Err(NotOpen::HeldBack(down)) => (Latest::HeldBack(down.clone()), Err(down.into())),
            Err(NotOpen::Unavailable(down)) => (Latest::Unavailable(down.clone()), Err(down.into())),
        };
        if matches!(latest, Latest::Unavailable(_)) {
            self.misses.fetch_add(1, Ordering::AcqRel);
        } else {
            self.misses.store(0, Ordering::Release);
            self.seat.restarting();
        }
        *self.latest() = latest;
        self.tell();
        opened
    }

    /// Lists the tools again if the server said that they changed.
    async fn relist(&self, gate: &mut Gate, connection: &Connection) -> Result<(), Refusal> {
        for _ in 0..MAX_RELISTS {
            if !connection.link.list_changed.swap(false, Ordering::AcqRel) {
                return Ok(());
            }
            let listed = connection.list().await;
            if listed.is_err() {
                connection.link.list_changed.store(true, Ordering::Release);
            }
            let listed = listed?;
            if let Some(pinned) = self.pinned.get() {
                self.compare(gate, pinned, &listed);
            }
        }
        if connection.link.list_changed.load(Ordering::Acquire) {
            let why = "its MCP server keeps changing its tools";
            return Err(Refusal::With(not_sent(Code::ToolProtocol, why)));
        }
        Ok(())
    }

    fn connected(&self) -> Result<Arc<Connection>, Down> {
        match &*self.latest() {
            Latest::Connected(connection) => match connection.link.down() {
                None => Ok(connection.clone()),
                Some(down) => Err(down.as_ref().clone()),
            },
            Latest::Failed(down) | Latest::HeldBack(down) | Latest::Unavailable(down) => Err(down.clone()),
        }
    }

    /// Whether the runtime failed when the server was to be started last.
    fn is_unavailable(&self) -> bool {
        matches!(*self.latest(), Latest::Unavailable(_))
    }

    /// Returns why the runtime could not start the server, if it could not.
    pub(crate) fn runtime_failure(&self) -> Option<String> {
        match &*self.latest() {
            Latest::Unavailable(down) => Some(format!("MCP server {} {}", self.spec.name, down.reason)),
            _ => None,
        }
    }

    fn latest(&self) -> std::sync::MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
