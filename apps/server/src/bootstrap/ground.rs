//! What a server stands on: its socket, its store, its sandboxes. Nothing of it acts by itself.

use super::{
    sandboxes::{self, Chosen, Sandboxes},
    stores,
};
use crate::{
    config::{Config, Kind, Loaded, Mode, Problem, RuntimeKind, mcp_servers, policy},
    exit::Stop,
};
use anyhow::{Context as _, Result};
use lockkeeper_domain::Policy;
use lockkeeper_ports::{Isolation, McpServer, SandboxRuntime};
use std::{fs, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;

/// A checked configuration and what could be had of what it names.
pub(crate) struct Ground {
    pub(crate) loaded: Loaded,
    pub(crate) mode: Mode,
    pub(crate) policy: Policy,
    pub(crate) listener: TcpListener,
    pub(crate) store: stores::Opened,
    pub(crate) sandboxes: Arc<dyn SandboxRuntime>,
    /// Of which kind they are.
    pub(crate) runtime: RuntimeKind,
    /// What they are started from, where that has a name.
    pub(crate) image: Option<Arc<str>>,
    /// Why it is these sandboxes, where the configuration did not say.
    pub(crate) why: Option<String>,
    pub(crate) servers: Vec<McpServer>,
    /// Held as long as the sandboxes are used.
    pub(crate) lock: Option<fs::File>,
}

/// Checks the configuration and opens everything, or tells all that is in the way at once.
pub(crate) async fn lay(mut loaded: Loaded, mode: Mode) -> Result<Ground, Stop> {
    let chosen_store = Box::pin(stores::choose(&mut loaded, mode)).await;
    let Chosen { runtime, why } = sandboxes::choose(&loaded).await;
    let servers = checked(&loaded, mode, runtime)?;
    let policy::Rules { policy, problems } = policy::rules(&loaded);
    if !problems.is_empty() {
        return Err(Stop::Configuration(problems));
    }
    let config = &loaded.config;
    let (listener, store, sandboxes) = tokio::join!(
        listener_from_config(config),
        Box::pin(stores::open(config, chosen_store)),
        Box::pin(sandboxes::sandboxes_from_config(&loaded, runtime, servers.workspace_program.as_deref())),
    );
    match (listener, store, sandboxes) {
        (Ok(listener), Ok(store), Ok(Sandboxes { runtime: sandboxes, image, lock })) => {
            let servers = servers.all;
            Ok(Ground { loaded, mode, policy, listener, store, sandboxes, runtime, image, why, servers, lock })
        }
        (_, _, Err(stop @ Stop::Configuration(_))) => Err(stop),
        (listener, store, sandboxes) => {
            let mut errors: Vec<_> = [listener.err(), store.err()].into_iter().flatten().collect();
            match sandboxes {
                Err(Stop::Unavailable(others)) => errors.extend(others),
                Err(Stop::Failed(error)) => errors.push(error),
                Ok(_) | Err(Stop::Configuration(_)) => {}
            }
            Err(Stop::Unavailable(errors))
        }
    }
}

/// The MCP servers, where nothing is wrong with the configuration.
fn checked(loaded: &Loaded, mode: Mode, runtime: RuntimeKind) -> Result<mcp_servers::Servers, Stop> {
    let executable = std::env::current_exe().context("the path of this program cannot be found out")?;
    let mut servers = mcp_servers::servers(loaded, &executable, runtime);
    let mut problems = loaded.problems.clone();
    problems.extend(crate::config::check(loaded, mode));
    let (notices, of_servers) = servers.tell();
    problems.extend(of_servers);
    if !problems.is_empty() {
        return Err(Stop::Configuration(problems));
    }
    for notice in loaded.notices.iter().chain(&notices) {
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

impl Ground {
    /// The problem that nothing isolates, where it is one.
    pub(crate) fn isolation_problem(&self) -> Option<Problem> {
        isolation_problem(&self.loaded, &self.sandboxes.isolation())
    }
}

/// The problem that nothing isolates, where it is one.
pub(super) fn isolation_problem(loaded: &Loaded, isolation: &Isolation) -> Option<Problem> {
    isolation.none.then(|| Problem {
        kind: Kind::Unsafe,
        key: "sandbox.local.isolation".to_owned(),
        origin: loaded.origin("sandbox.local.isolation"),
        what: format!("a tool call that you approve can do whatever you can do on this machine ({})", isolation.gaps),
        fix: "install bubblewrap, or allow user namespaces (`sysctl kernel.unprivileged_userns_clone=1`); `dev` goes on with \
              --accept-no-isolation"
            .to_owned(),
    })
}
