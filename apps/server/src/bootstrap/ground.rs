//! What a server stands on: its socket, its store, its sandboxes. Nothing of it acts by itself.

use crate::{
    clock::SystemClock,
    config::{Config, Kind, Loaded, Mode, Problem, Store, StoreKind, mcp_servers},
    exit::Stop,
};
use anyhow::{Context as _, Result, bail};
use lockkeeper_embedded_store::EmbeddedStore;
use lockkeeper_local_runtime::{LocalRuntime, SetupError};
use lockkeeper_ports::{McpServer, SandboxRuntime, SessionStore};
use std::{fs, net::SocketAddr, path::Path, sync::Arc};
use tokio::{net::TcpListener, task::spawn_blocking};

/// A checked configuration and what could be had of what it names.
pub(crate) struct Ground {
    pub(crate) loaded: Loaded,
    pub(crate) listener: TcpListener,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) sandboxes: Arc<dyn SandboxRuntime>,
    pub(crate) servers: Vec<McpServer>,
    /// Held as long as the sandboxes are used.
    pub(crate) lock: fs::File,
}

/// Where state lies unless it is configured.
const STATE_DIR: &str = ".lockkeeper";

/// Checks the configuration and opens everything, or tells all that is in the way at once.
pub(crate) async fn lay(loaded: Loaded, mode: Mode) -> Result<Ground, Stop> {
    let servers = checked(&loaded, mode)?;
    let config = &loaded.config;
    let (listener, store, sandboxes) = tokio::join!(
        listener_from_config(config),
        async { spawn_blocking(store_from_config(&config.store)).await? },
        sandboxes_from_config(config, servers.workspace_program.as_deref()),
    );
    match (listener, store, sandboxes) {
        (Ok(listener), Ok(store), Ok((sandboxes, lock))) => {
            let servers = servers.all;
            Ok(Ground { loaded, listener, store, sandboxes, servers, lock })
        }
        (listener, store, sandboxes) => {
            Err(Stop::Unavailable([listener.err(), store.err(), sandboxes.err()].into_iter().flatten().collect()))
        }
    }
}

/// The MCP servers, where nothing is wrong with the configuration.
fn checked(loaded: &Loaded, mode: Mode) -> Result<mcp_servers::Servers, Stop> {
    let executable = std::env::current_exe().context("the path of this program cannot be found out")?;
    let mut servers = mcp_servers::servers(loaded, &executable);
    let mut problems = loaded.problems.clone();
    problems.extend(crate::config::check(loaded, mode));
    problems.append(&mut servers.problems);
    if !problems.is_empty() {
        return Err(Stop::Configuration(problems));
    }
    for notice in loaded.notices.iter().chain(&servers.notices) {
        tracing::warn!("{notice}");
    }
    Ok(servers)
}

async fn listener_from_config(config: &Config) -> Result<TcpListener> {
    let address = SocketAddr::new(config.server.host, config.server.port);
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address} (another port: `--port 0` takes a free one)"))
}

/// Blocks until the store's file is checked.
fn store_from_config(store: &Store) -> impl FnOnce() -> Result<Arc<dyn SessionStore>> + Send + 'static {
    let (kind, config) = (store.kind, store.embedded());
    move || {
        if kind == Some(StoreKind::Memory) {
            return Ok(Arc::new(EmbeddedStore::in_memory()));
        }
        if let Some(dir) = config.path.as_deref().and_then(Path::parent).filter(|dir| dir.ends_with(STATE_DIR)) {
            keep_out_of_version_control(dir)?;
        }
        Ok(Arc::new(EmbeddedStore::open(&config)?))
    }
}

/// Sessions hold what users said: nobody should commit them by accident.
fn keep_out_of_version_control(dir: &Path) -> Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {}", dir.display()))?;
    let file = dir.join(".gitignore");
    if !file.exists() {
        fs::write(&file, "*\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

async fn sandboxes_from_config(
    config: &Config,
    workspace: Option<&Path>,
) -> Result<(Arc<dyn SandboxRuntime>, fs::File)> {
    let mut local = config.sandbox.local.clone();
    let lock = lock(&local.state_dir)?;
    local.read_only.extend(workspace.map(Path::to_owned));
    let runtime = LocalRuntime::new(local, Arc::new(SystemClock)).await.map_err(|error| match error {
        SetupError::Config(problems) => anyhow::anyhow!("the sandbox runtime cannot start: {}", problems.join("; ")),
        error @ SetupError::Impossible(_) => error.into(),
    })?;
    Ok((Arc::new(runtime), lock))
}

/// Makes sure that no other server has its sandboxes in the same place: each would take the other's for orphans.
fn lock(sandboxes: &Path) -> Result<fs::File> {
    let path = sandboxes.with_added_extension("lock");
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {}", dir.display()))?;
    }
    let file = fs::File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            bail!("another server has its sandboxes in {}: end it, or set sandbox.local.state_dir", sandboxes.display())
        }
        Err(fs::TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

impl Ground {
    /// The problem that nothing isolates, where it is one.
    pub(crate) fn isolation_problem(&self) -> Option<Problem> {
        let isolation = self.sandboxes.isolation();
        isolation.none.then(|| Problem {
            kind: Kind::Unsafe,
            key: "sandbox.local.isolation".to_owned(),
            origin: self.loaded.origin("sandbox.local.isolation"),
            what: format!("a tool call that you approve can do whatever you can do on this machine ({})", isolation.gaps),
            fix: "install bubblewrap, or allow user namespaces (`sysctl kernel.unprivileged_userns_clone=1`); `dev` goes on \
                  with --accept-no-isolation"
                .to_owned(),
        })
    }
}
