//! The MCP servers, as they change while the server runs.

use crate::{
    config::{self, Inputs, Loaded, RuntimeKind, mcp_servers},
    reload::{Hangups, Source},
};
use lockkeeper_orchestrator::SessionManager;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// What the servers are read from, and for which sandboxes.
pub(super) struct Offer {
    inputs: Inputs,
    runtime: RuntimeKind,
    file: Option<PathBuf>,
    period: Duration,
}

impl Offer {
    /// What `loaded` was read from.
    pub(super) fn of(loaded: &Loaded, runtime: RuntimeKind) -> Self {
        let period = Duration::from_secs(loaded.config.mcp.reload_secs);
        Self { inputs: loaded.inputs.clone(), runtime, file: file_of(loaded), period }
    }

    /// Reads the servers anew whenever they have changed, and offers them to sandboxes to come where nothing is wrong.
    pub(super) async fn keep_current(self, manager: Arc<SessionManager>, hangups: Hangups, soft: CancellationToken) {
        let mut source = Source::new(hangups, self.file.clone(), self.period);
        while soft.run_until_cancelled(source.is_new()).await.is_some() {
            let again = self.read(&manager);
            source.look_at(file_of(&again));
        }
    }

    fn read(&self, manager: &SessionManager) -> Loaded {
        let loaded = config::load(&self.inputs);
        let executable = match std::env::current_exe() {
            Ok(executable) => executable,
            Err(error) => {
                tracing::error!(%error, "the path of this program cannot be found out; the MCP servers stay as they are");
                return loaded;
            }
        };
        let mut servers = mcp_servers::servers(&loaded, &executable, self.runtime);
        let (notices, mut problems) = servers.tell();
        problems.extend(loaded.problems.iter().cloned());
        for problem in &problems {
            tracing::error!(
                code = "mcp_servers_invalid",
                key = problem.key,
                origin = %problem.origin,
                fix = problem.fix,
                "the MCP servers cannot be changed, and those before stay in force: {}",
                problem.what
            );
        }
        if !problems.is_empty() {
            return loaded;
        }
        let names: Vec<_> = servers.all.iter().map(|server| server.name.to_string()).collect();
        if manager.offer_servers(servers.all.into()) {
            for notice in &notices {
                tracing::warn!("{notice}");
            }
            let names = names.join(", ");
            tracing::info!(names, "the MCP servers have changed; each sandbox from now on gets the new ones");
        }
        loaded
    }
}

fn file_of(loaded: &Loaded) -> Option<PathBuf> {
    loaded.config.mcp.config_file.as_ref().map(|file| loaded.dir.join(file))
}
