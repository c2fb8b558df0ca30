use super::FakeTool;
use async_trait::async_trait;
use futures::{StreamExt as _, stream, stream::BoxStream};
use lockkeeper_domain::{CallId, Code, PrincipalId, ServerName, ToolDefinition, ToolName, ToolResult};
use lockkeeper_ports::{
    CallContext, McpServer, ProgressSink, SandboxId, ServerHealth, ServerState, StartProgress, ToolHost, ToolHostError,
    ToolSession, ToolSessionStatus,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A call that reached a fake tool.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedCall {
    /// In which sandbox.
    pub sandbox: SandboxId,
    /// Which call.
    pub call: CallId,
    /// Which tool.
    pub tool: ToolName,
    /// With which arguments.
    pub args: Value,
}

/// A `ToolHost` whose tools are closures. Clones share all state, so that a test keeps one and hands out the other.
///
/// As with a real host, a session has the tools of those servers alone that `connect` is given; a server without
/// any scripted tool is up and offers none.
#[derive(Clone, Debug, Default)]
pub struct FakeToolHost {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    script: Mutex<Script>,
    calls: watch::Sender<Vec<RecordedCall>>,
    sessions: watch::Sender<Vec<FakeToolSession>>,
    /// What the sessions tell of their servers.
    told: watch::Sender<Option<ToolSessionStatus>>,
    redefined: watch::Sender<Vec<ToolDefinition>>,
    health: Mutex<Vec<ServerHealth>>,
}

#[derive(Debug, Default)]
struct Script {
    tools: Vec<FakeTool>,
    down: BTreeMap<ServerName, (Code, String)>,
    mute: HashSet<ServerName>,
    gone: HashSet<SandboxId>,
    gone_connects: usize,
    accepted: BTreeMap<ToolName, String>,
}

impl FakeToolHost {
    /// A host with these tools.
    pub fn new(tools: impl IntoIterator<Item = FakeTool>) -> Self {
        let host = Self::default();
        host.set_tools(tools);
        host
    }

    /// From the next `connect` on, these are the tools. Sessions that exist keep theirs.
    pub fn set_tools(&self, tools: impl IntoIterator<Item = FakeTool>) {
        self.script().tools = tools.into_iter().collect();
    }

    /// From the next `connect` on, `server` fails with this code and problem.
    pub fn take_down(&self, server: &str, code: Code, problem: &str) {
        self.script().down.insert(ServerName::new(server), (code, problem.to_owned()));
    }

    /// From the next `connect` on, a `connect` that names `server` never returns.
    pub fn hang_connect(&self, server: &str) {
        self.script().mute.insert(ServerName::new(server));
    }

    /// Every session tells this of a server.
    pub fn tell(&self, status: ToolSessionStatus) {
        self.shared.told.send_replace(Some(status));
    }

    /// From now on, the tool's server gives this definition of it in every session, those that exist included: calls of it are
    /// refused until it is accepted.
    pub fn redefine(&self, definition: ToolDefinition) {
        self.shared.redefined.send_modify(|all| all.push(definition));
    }

    /// From now on, this is how the servers do.
    pub fn set_health(&self, health: Vec<ServerHealth>) {
        *self.shared.health.lock().unwrap_or_else(PoisonError::into_inner) = health;
    }

    /// This sandbox is gone, for `connect` and for all calls of its sessions.
    pub fn lose_sandbox(&self, sandbox: &SandboxId) {
        self.script().gone.insert(sandbox.clone());
    }

    /// The next `times` connects find their sandbox gone.
    pub fn lose_next_sandboxes(&self, times: usize) {
        self.script().gone_connects = times;
    }

    /// All calls that reached a tool, in their order.
    pub fn calls(&self) -> Vec<RecordedCall> {
        self.shared.calls.borrow().clone()
    }

    /// Waits until at least `count` calls reached a tool, and gives all of them.
    pub async fn wait_for_calls(&self, count: usize) -> Vec<RecordedCall> {
        let mut calls = self.shared.calls.subscribe();
        calls.wait_for(|calls| calls.len() >= count).await.expect("the host outlives its subscribers").clone()
    }

    /// All sessions that were connected, in their order.
    pub fn sessions(&self) -> Vec<FakeToolSession> {
        self.shared.sessions.borrow().clone()
    }

    /// Waits until at least `count` sessions were connected, and gives all of them.
    pub async fn wait_for_sessions(&self, count: usize) -> Vec<FakeToolSession> {
        let mut sessions = self.shared.sessions.subscribe();
        sessions.wait_for(|all| all.len() >= count).await.expect("the host outlives its subscribers").clone()
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ToolHost for FakeToolHost {
    async fn connect(
        &self,
        tenant: Option<PrincipalId>,
        sandbox: &SandboxId,
        servers: &[McpServer],
        progress: ProgressSink,
    ) -> Result<Arc<dyn ToolSession>, ToolHostError> {
        if servers.iter().any(|server| self.script().mute.contains(&server.name)) {
            std::future::pending::<()>().await;
        }
        let session = {
            let mut script = self.script();
            if script.gone_connects > 0 {
                script.gone_connects -= 1;
                return Err(ToolHostError::SandboxGone);
            }
            if script.gone.contains(sandbox) {
                return Err(ToolHostError::SandboxGone);
            }
            FakeToolSession::of(self.shared.clone(), &script, (tenant, sandbox), servers)
        };
        for server in servers {
            progress(StartProgress {
                stage: "connecting".to_owned(),
                status: "done".to_owned(),
                message: format!("MCP server {}", server.name),
                current: None,
                total: None,
                unit: None,
                elapsed_ms: 0,
            });
        }
        self.shared.sessions.send_modify(|all| all.push(session.clone()));
        Ok(Arc::new(session))
    }

    fn health(&self) -> Vec<ServerHealth> {
        self.shared.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug)]
struct Offered {
    tools: BTreeMap<ToolName, FakeTool>,
    definitions: Arc<[ToolDefinition]>,
}

impl Offered {
    fn of(tools: BTreeMap<ToolName, FakeTool>) -> Self {
        Self { definitions: tools.values().map(|tool| tool.definition.clone()).collect(), tools }
    }
}

/// A session of a [`FakeToolHost`].
#[derive(Clone, Debug)]
pub struct FakeToolSession {
    shared: Arc<Shared>,
    sandbox: SandboxId,
    tenant: Arc<Mutex<Option<PrincipalId>>>,
    offered: Arc<Mutex<Offered>>,
    status: Arc<[ToolSessionStatus]>,
    closed: CancellationToken,
}

impl FakeToolSession {
    /// The sandbox that it was connected in.
    pub fn sandbox(&self) -> &SandboxId {
        &self.sandbox
    }

    /// Whose session it is.
    pub fn tenant(&self) -> Option<PrincipalId> {
        self.tenant.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The tools of a server that has come up are offered too, from now on. Follow with [`FakeToolHost::tell`].
    pub fn add_tools(&self, more: impl IntoIterator<Item = FakeTool>) {
        let mut offered = self.offered();
        let mut tools = offered.tools.clone();
        tools.extend(more.into_iter().map(|tool| (tool.definition.name.clone(), tool)));
        *offered = Offered::of(tools);
    }

    fn offered(&self) -> MutexGuard<'_, Offered> {
        self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Waits until it is closed.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    fn of(
        shared: Arc<Shared>,
        script: &Script,
        (tenant, sandbox): (Option<PrincipalId>, &SandboxId),
        servers: &[McpServer],
    ) -> Self {
        let up =
            |name: &ServerName| servers.iter().any(|server| server.name == *name) && !script.down.contains_key(name);
        let tools: BTreeMap<_, _> = script
            .tools
            .iter()
            .filter(|tool| up(&tool.definition.server))
            .map(|tool| (tool.definition.name.clone(), tool.clone()))
            .collect();
        let status = servers.iter().map(|server| {
            let down = script.down.get(&server.name);
            let offered = tools.values().filter(|tool| tool.definition.server == server.name).count();
            ToolSessionStatus {
                server: server.name.clone(),
                state: if down.is_none() { ServerState::Up } else { ServerState::Down },
                tools: down.is_none().then_some(offered),
                problem: down.map(|(_, problem)| problem.clone()),
                code: down.map(|(code, _)| *code),
                left_out: Vec::new(),
            }
        });
        Self {
            shared,
            sandbox: sandbox.clone(),
            tenant: Arc::new(Mutex::new(tenant)),
            status: status.collect(),
            offered: Arc::new(Mutex::new(Offered::of(tools))),
            closed: CancellationToken::new(),
        }
    }
}

#[async_trait]
impl ToolSession for FakeToolSession {
    fn tools(&self) -> Arc<[ToolDefinition]> {
        self.offered().definitions.clone()
    }

    fn status(&self) -> Vec<ToolSessionStatus> {
        self.status.to_vec()
    }

    fn redefinitions(&self) -> BoxStream<'static, ToolDefinition> {
        let redefined = self.shared.redefined.subscribe();
        let at = redefined.borrow().len();
        let news = stream::unfold((redefined, at), |(mut redefined, at)| async move {
            let next = redefined.wait_for(|all| all.len() > at).await.ok()?[at].clone();
            Some((next, (redefined, at + 1)))
        });
        news.boxed()
    }

    fn assign(&self, tenant: &PrincipalId) {
        *self.tenant.lock().unwrap_or_else(PoisonError::into_inner) = Some(tenant.clone());
    }

    fn accept(&self, tool: &ToolName, fingerprint: &str) {
        self.script().accepted.insert(tool.clone(), fingerprint.to_owned());
    }

    fn changes(&self) -> BoxStream<'static, ToolSessionStatus> {
        let told = stream::unfold(self.shared.told.subscribe(), |mut told| async move {
            told.changed().await.ok()?;
            let status = told.borrow_and_update().clone();
            Some((status, told))
        });
        told.filter_map(std::future::ready).boxed()
    }

    async fn call(&self, tool: &ToolName, args: Value, context: CallContext) -> Result<ToolResult, ToolHostError> {
        let found = self.offered().tools.get(tool).cloned();
        let found = found.ok_or_else(|| ToolHostError::UnknownTool(tool.clone()))?;
        let gone = self.shared.script.lock().unwrap_or_else(PoisonError::into_inner).gone.contains(&self.sandbox);
        if gone || self.is_closed() {
            return Err(ToolHostError::SandboxGone);
        }
        if context.cancel.is_cancelled() {
            return Ok(ToolResult::failed(Code::Cancelled, "the call was cancelled"));
        }
        let now =
            self.shared.redefined.borrow().iter().rfind(|now| now.name == *tool).map(|now| now.fingerprint.clone());
        if now.is_some() && now.as_ref() != self.script().accepted.get(tool) {
            return Ok(ToolResult::failed(Code::ToolChanged, "the tool has another definition; the call was not sent"));
        }
        let call = RecordedCall {
            sandbox: self.sandbox.clone(),
            call: context.call.clone(),
            tool: tool.clone(),
            args: args.clone(),
        };
        self.shared.calls.send_modify(|all| all.push(call));
        let cancel = context.cancel.clone();
        tokio::select! {
            biased;
            () = cancel.cancelled() => Ok(ToolResult::failed(Code::Cancelled, "the call was cancelled")),
            () = self.closed.cancelled() => {
                Ok(ToolResult::failed(Code::OutcomeUnknown, "the session was closed during the call"))
            }
            result = (found.behaviour)(args, context) => Ok(result),
        }
    }

    async fn close(&self) {
        self.closed.cancel();
    }
}
