//! MCP servers started in a sandbox of their own, to look at them.

use crate::{
    bootstrap::{Apart, apart},
    config::Loaded,
    exit::Stop,
    logging, random,
};
use anyhow::{Context as _, anyhow};
use lockkeeper_domain::{Epoch, SessionId};
use lockkeeper_mcp_client::McpToolHost;
use lockkeeper_ports::{
    McpServer, ProgressSink, SandboxError, SandboxId, SandboxSpec, StartProgress, ToolHost as _, ToolSession,
};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long the last things of a sandbox may take.
const GRACE: Duration = Duration::from_secs(15);

/// Connected servers, and how long it took.
pub(super) struct Probe {
    apart: Apart,
    sandbox: SandboxId,
    pub(super) session: Arc<dyn ToolSession>,
    /// What runs the sandbox.
    pub(super) runtime: String,
    /// From the request for a sandbox until it was there.
    pub(super) sandbox_time: Duration,
    /// What was told of the start of the servers.
    pub(super) told: Vec<StartProgress>,
}

/// Starts the servers, or the one of this name, in a sandbox that no session has.
pub(super) async fn probe(mut loaded: Loaded, name: Option<&str>, accepted: bool) -> Result<Probe, Stop> {
    // What goes wrong is told by the command itself.
    if !loaded.is_set("log.level") {
        "off".clone_into(&mut loaded.config.log.level);
    }
    logging::start(&loaded.config.log)?;
    let runtime = crate::bootstrap::runtime(&loaded).await;
    let servers = super::servers(&loaded, runtime)?;
    let wanted: Vec<McpServer> =
        servers.all.iter().filter(|server| name.is_none_or(|name| server.name.as_str() == name)).cloned().collect();
    if wanted.is_empty() {
        return Err(nobody(name, &servers.all).into());
    }
    let apart = apart(&mut loaded, runtime, servers.workspace_program.as_deref(), accepted).await?;
    let sandboxes = Arc::clone(&apart.sandboxes);
    let session = SessionId::parse(format!("probe-{}", random::hex::<8>()?)).context("a session's id")?;
    let asked = Instant::now();
    let spec = SandboxSpec { session, epoch: Epoch::new(1) };
    let sandbox = sandboxes.start(&spec, Arc::new(|_| ())).await.map_err(|error| unavailable(&error))?;
    let sandbox_time = asked.elapsed();
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink: ProgressSink = {
        let told = Arc::clone(&told);
        Arc::new(move |progress| told.lock().unwrap_or_else(PoisonError::into_inner).push(progress))
    };
    let host = McpToolHost::new(Arc::clone(&sandboxes), loaded.config.mcp.limits.clone()).context("`mcp.limits`")?;
    let session = host.connect(None, &sandbox, &wanted, sink).await.context("the servers were not started")?;
    let told = std::mem::take(&mut *told.lock().unwrap_or_else(PoisonError::into_inner));
    let runtime = sandboxes.isolation().runtime;
    Ok(Probe { apart, sandbox, session, runtime, sandbox_time, told })
}

impl Probe {
    /// Ends the servers and their sandbox.
    pub(super) async fn end(self) {
        let ending = async {
            self.session.close().await;
            if let Err(error) = self.apart.sandboxes.stop(&self.sandbox).await {
                eprintln!("lockkeeper: the sandbox was not removed, and ends by itself: {error}");
            }
        };
        let _ = tokio::time::timeout(GRACE, ending).await;
    }
}

fn nobody(name: Option<&str>, all: &[McpServer]) -> anyhow::Error {
    let names: Vec<_> = all.iter().map(|server| server.name.as_str()).collect();
    match name {
        Some(name) => match crate::config::nearest(name, names.iter().copied()) {
            Some(near) => anyhow!("no MCP server is called `{name}`; did you mean `{near}`?"),
            None => anyhow!("no MCP server is called `{name}`; there are: {}", names.join(", ")),
        },
        None => anyhow!("there are no MCP servers; `lockkeeper mcp add NAME -- COMMAND` adds one"),
    }
}

fn unavailable(error: &SandboxError) -> Stop {
    Stop::Unavailable(vec![anyhow!("no sandbox was started: {error} (`lockkeeper doctor sandbox` looks at it)")])
}
