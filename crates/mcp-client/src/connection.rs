//! A server's process and the protocol over it, from its start to its end.

use crate::{
    Config,
    board::{Board, SharedTenant},
    call::InFlight,
    catalog::Catalog,
    link::{Down, Link},
    patience::{Late, Patience},
    process::{self, Ends},
    transport::{BoundedTransport, REVISIONS},
};
use lockkeeper_domain::Code;
use lockkeeper_ports::{Exec, ExecSpec, McpServer, SandboxError, SandboxId, SandboxRuntime};
use rmcp::{
    ClientHandler, Peer, RoleClient, ServiceExt,
    model::{
        ClientCapabilities, ClientConfig, ClientRequest, CustomResult, Implementation, ListToolsRequest,
        PaginatedRequestParams, PingRequest, ProtocolVersion, ServerResult,
    },
    service::{PeerRequestOptions, RunningService, ServiceError},
};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncRead, time::timeout};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

const MAX_PAGES: usize = 64;

type Stdout = Box<dyn AsyncRead + Send + Unpin>;

/// Where the processes of a session run, and who looks after their tasks.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) runtime: Arc<dyn SandboxRuntime>,
    pub(crate) patience: Patience,
    pub(crate) sandbox: SandboxId,
    pub(crate) config: Arc<Config>,
    pub(crate) tasks: TaskTracker,
    pub(crate) ends: Ends,
    /// Where it is told how the servers do.
    pub(crate) board: Arc<Board>,
    /// Whose starts these are.
    pub(crate) tenant: SharedTenant,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum OpenError {
    SandboxGone,
    /// The server is at fault.
    Failed(Down),
    /// The runtime is, or does not answer: nothing is known of the server.
    Unavailable(Down),
}

/// A connection with a server that has been initialised. Dropping it kills the process.
pub(crate) struct Connection {
    pub(crate) link: Arc<Link>,
    pub(crate) peer: Peer<RoleClient>,
    pub(crate) patience: Patience,
    /// The tools that are offered; `None` for all.
    wanted: Option<BTreeSet<String>>,
    probing: AtomicBool,
    _service: RunningService<RoleClient, Client>,
    _kill: DropGuard,
}

/// What rmcp knows of us. We offer servers nothing, so that all of its handlers keep their refusals.
struct Client;

impl ClientHandler for Client {
    fn get_info(&self) -> ClientConfig {
        ClientConfig::new(ClientCapabilities::default(), Implementation::new("lockkeeper", env!("CARGO_PKG_VERSION")))
            .with_protocol_version(ProtocolVersion::V_2025_11_25)
    }
}

impl Connection {
    /// Starts the server and greets it.
    pub(crate) async fn open(scope: &Scope, server: &McpServer) -> Result<Self, OpenError> {
        let spec = ExecSpec { server: server.name.clone(), command: server.command.clone(), env: server.env.clone() };
        let exec = timeout(scope.config.initialize(), scope.runtime.exec(&scope.sandbox, &spec));
        let exec = match exec.await {
            Ok(Ok(exec)) => exec,
            Ok(Err(error)) => return Err(not_started(&error)),
            Err(_) => {
                let reason = format!("was not started within {} s", scope.config.initialize_secs);
                return Err(OpenError::Unavailable(Down::new(Code::SandboxUnavailable, reason)));
            }
        };
        let (transport, guard) = attach(scope, server, exec);
        let link = transport.link().clone();
        let mut greeting = Box::pin(Client.serve(transport));
        let service = match scope.patience.attempt(scope.config.initialize(), greeting.as_mut()).await {
            Ok(Ok(service)) => service,
            Ok(Err(error)) => {
                // When the process ended, the supervisor knows better why.
                let wait = timeout(2 * scope.config.exit_grace(), link.wait_down());
                if !link.ended.is_cancelled() || wait.await.is_err() {
                    link.fail(Down::new(Code::ToolProtocol, refusal(&error)).briefly("refused initialize"));
                }
                return Err(failed(&link));
            }
            Err(Late::Server) => {
                let reason = format!("did not answer initialize within {} s", scope.config.initialize_secs);
                link.fail(Down::new(Code::ToolTimeout, reason));
                return Err(failed(&link));
            }
            Err(Late::Runtime) => {
                let down = runtime_away();
                link.fail(down.clone());
                return Err(OpenError::Unavailable(down));
            }
        };
        let peer = service.peer().clone();
        let (patience, probing, wanted) = (scope.patience.clone(), AtomicBool::new(false), server.tools.clone());
        Ok(Self { link, peer, patience, wanted, probing, _service: service, _kill: guard })
    }

    /// Lists the server's tools, all pages, as they come.
    pub(crate) async fn list(&self) -> Result<Catalog, Down> {
        let link = &self.link;
        match self.patience.attempt(link.config.list(), Box::pin(self.list_pages()).as_mut()).await {
            Ok(Ok(catalog)) => Ok(catalog),
            Ok(Err(down)) => {
                // The end of the process is the better reason.
                if link.ended.is_cancelled()
                    && let Ok(ended) = timeout(2 * link.config.exit_grace(), link.wait_down()).await
                {
                    return Err(ended.as_ref().clone());
                }
                Err(down)
            }
            Err(Late::Server) => {
                let reason = format!("did not list its tools within {} s", link.config.list_secs);
                Err(Down::new(Code::ToolTimeout, reason))
            }
            Err(Late::Runtime) => Err(runtime_away()),
        }
    }

    /// Checks, some time after a call was given up, that the server still reacts; ends it if it does not. While other
    /// calls run the server may be busy with them, and is left alone.
    pub(crate) async fn probe(self: Arc<Self>) {
        if self.probing.swap(true, Ordering::AcqRel) {
            return;
        }
        let grace = self.link.config.cancel_grace();
        let probe = async {
            tokio::time::sleep(grace).await;
            if self.link.calls() > 0 {
                return;
            }
            let ping = self.request(ClientRequest::PingRequest(PingRequest::default()));
            // Any answer will do. A ping that fails at once does so because the connection is over.
            if self.patience.within(grace.max(Duration::from_millis(1)), ping).await.is_none() {
                self.link.fail(Down::new(Code::ToolTimeout, "did not react after a call of it was given up"));
            }
        };
        tokio::select! {
            () = probe => {}
            _ = self.link.wait_down() => {}
        }
        self.probing.store(false, Ordering::Release);
    }

    /// Whether an idle server answers a ping in time; ends it if it does not. One that has calls to answer is busy, and is
    /// held to the calls' own times.
    pub(crate) async fn answers(&self) -> bool {
        if self.link.calls() > 0 {
            return true;
        }
        let ping = self.request(ClientRequest::PingRequest(PingRequest::default()));
        // Any answer will do, a refusal as well.
        if self.patience.within(self.link.config.ping_timeout(), ping).await.is_some() {
            return self.link.down().is_none();
        }
        if self.link.calls() > 0 {
            return true;
        }
        let reason = format!("did not answer a ping within {} s", self.link.config.ping_timeout_secs);
        self.link.fail(Down::new(Code::ToolTimeout, reason));
        false
    }

    async fn list_pages(&self) -> Result<Catalog, Down> {
        let greeting = self.link.greeting.get().unwrap_or(&Value::Null);
        let catalog = Catalog::new(&self.link.server, &self.link.config, greeting);
        let mut catalog = catalog.only(self.wanted.clone());
        if greeting.pointer("/capabilities/tools").is_none() {
            return Ok(catalog);
        }
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let params = cursor.clone().map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor)));
            let request = match params {
                Some(params) => ListToolsRequest::with_param(params),
                None => ListToolsRequest::default(),
            };
            // A page that came counts, also when the server ends while it is checked.
            let page = tokio::select! {
                biased;
                page = self.request(ClientRequest::ListToolsRequest(request)) => page?,
                down = self.link.wait_down() => return Err(down.as_ref().clone()),
            };
            let next = page.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
            let (added, is_full) = add_page(catalog, page).await?;
            catalog = added;
            if is_full || next.is_none() {
                return Ok(catalog);
            }
            if next == cursor {
                return Err(Down::new(Code::ToolProtocol, "lists its tools in a circle"));
            }
            cursor = next;
        }
        Err(Down::new(Code::ToolProtocol, format!("lists its tools on more than {MAX_PAGES} pages")))
    }

    /// Sends a request of our own and gives the result as it came.
    async fn request(&self, request: ClientRequest) -> Result<Value, Down> {
        let sent = self.peer.send_request_with_option(request, PeerRequestOptions::no_options()).await;
        let handle = sent.map_err(|_| Down::new(Code::ToolCrashed, "is not connected"))?;
        let _in_flight = InFlight::new(self.link.clone(), &handle.id);
        let answer = handle.rx.await;
        match answer {
            Ok(Ok(ServerResult::CustomResult(CustomResult(result)))) => Ok(result),
            Ok(Err(ServiceError::McpError(error))) => {
                let message = crate::text::clean(&error.message, 512);
                let reason = format!("refused a request: {message} ({})", error.code.0);
                Err(Down::new(Code::ToolProtocol, reason).briefly("refused a request"))
            }
            Ok(Err(ServiceError::TransportSend(_))) => {
                Err(Down::new(Code::ToolTimeout, "does not read its standard input"))
            }
            _ => Err(Down::new(Code::ToolCrashed, "ended")),
        }
    }
}

/// Starts the tasks that look after a process. They end with it, or kill it when the guard is dropped.
fn attach(scope: &Scope, server: &McpServer, exec: Exec) -> (BoundedTransport<Stdout>, DropGuard) {
    let Exec { stdin, stdout, stderr, status, kill } = exec;
    let (link, channels) = Link::new(server.name.clone(), scope.config.clone());
    let hard = scope.ends.hard.child_token();
    let guard = hard.clone().drop_guard();
    let (stop_writing, stop_reading) = (CancellationToken::new(), CancellationToken::new());
    let patience = scope.patience.clone();
    scope.tasks.spawn(process::write(link.clone(), channels.outgoing, stdin, patience, stop_writing.clone()));
    scope.tasks.spawn(process::drain_stderr(link.clone(), stderr, stop_reading.clone()));
    let ends = Ends { soft: scope.ends.soft.clone(), hard };
    let supervise = process::supervise(link.clone(), status, kill, ends, stop_writing);
    scope.tasks.spawn(async move {
        let _stop_reading = stop_reading.drop_guard();
        supervise.await;
    });
    (BoundedTransport::new(link, stdout, channels.injected), guard)
}

fn failed(link: &Link) -> OpenError {
    let down = link.down().map_or_else(|| Down::new(Code::ToolCrashed, "ended"), |down| down.as_ref().clone());
    OpenError::Failed(Down { reason: link.problem(&down.reason), ..down })
}

fn not_started(error: &SandboxError) -> OpenError {
    let code = match error {
        SandboxError::Gone => return OpenError::SandboxGone,
        SandboxError::CannotExec { .. } => Code::ToolCrashed,
        SandboxError::StartTimeout(_) | SandboxError::Unavailable(_) => Code::SandboxUnavailable,
    };
    let down = Down::new(code, format!("was not started: {}", crate::text::clean(&error.to_string(), 1024)));
    if code == Code::SandboxUnavailable { OpenError::Unavailable(down) } else { OpenError::Failed(down) }
}

/// Why a server could not be greeted whose runtime went away meanwhile.
fn runtime_away() -> Down {
    Down::new(Code::SandboxUnavailable, "was not reached: the sandbox runtime does not answer")
}

fn refusal(error: &rmcp::service::ClientInitializeError) -> String {
    match error {
        rmcp::service::ClientInitializeError::JsonRpcError(error) => {
            let message = crate::text::clean(&error.message, 512);
            format!("refused initialize with revision {}: {message} ({})", REVISIONS[0], error.code.0)
        }
        _ => "did not keep to the protocol of initialize".to_owned(),
    }
}

/// Adds a page of tools; tells whether there is no room for more. Fingerprints and schema checks take time in proportion to what
/// the server sent, so they run on a thread that may block.
async fn add_page(mut catalog: Catalog, mut page: Value) -> Result<(Catalog, bool), Down> {
    let Some(Value::Array(tools)) = page.get_mut("tools").map(Value::take) else {
        return Err(Down::new(Code::ToolProtocol, "answered tools/list with something that is no list of tools"));
    };
    let added = tokio::task::spawn_blocking(move || {
        let is_full = !catalog.add(&tools);
        (catalog, is_full)
    });
    added.await.map_err(|_| Down::new(Code::Internal, "lists tools that could not be checked"))
}
