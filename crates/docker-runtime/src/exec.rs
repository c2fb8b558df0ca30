//! A process of a container as the port wants it: three streams and a status.
//!
//! `docker exec` alone cannot end what it started, and tells a missing program from one that ran only afterwards. So the
//! process runs under the workspace binary's supervisor (`run --framed`), with which this module speaks: frames on the
//! supervisor's standard input carry the process's input and the order to end everything, frames on its standard error
//! carry the process's standard error and how it fares. Standard output is the process's own.

mod frames;
mod outcome;
mod pump;
mod sweep;

use crate::{
    engine::Fault,
    profile::{self, Identity},
    sandboxes::Sandbox,
    shared::Shared,
};
use bollard::exec::{StartExecOptions, StartExecResults};
use futures::FutureExt;
use lockkeeper_ports::{Exec, ExecSpec, ExecStatus};
pub(crate) use outcome::out_of_memory;
use pump::{Ends, Pump};
use std::sync::Arc;
use tokio::{io::duplex, sync::oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What is held of each stream until somebody reads it.
const BUFFER: usize = 64 << 10;

/// Why a process does not run.
#[derive(Debug)]
pub(crate) enum LaunchError {
    /// The command is at fault.
    CannotExec(String),
    /// The container or the engine is.
    Fault(Fault),
    /// The supervisor did not begin, for this reason.
    NotStarted(String),
}

impl From<Fault> for LaunchError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Starts a process, and waits until it runs. Dropping the future ends it.
pub(crate) async fn launch(shared: &Arc<Shared>, sandbox: &Arc<Sandbox>, spec: &ExecSpec) -> Result<Exec, LaunchError> {
    let number = sandbox.number_of(&spec.server).ok_or_else(|| {
        let servers = shared.config.servers;
        let reason =
            format!("its sandbox has users for {servers} MCP servers, all taken: raise sandbox.docker.servers");
        LaunchError::CannotExec(reason)
    })?;
    let identity = Identity { group: sandbox.user, number };
    let config = profile::exec(spec, identity, shared.dialect);
    let created = shared.engine.call(async |docker| docker.create_exec(&sandbox.container, config).await).await?;
    let health = sandbox.health();
    let died = sandbox.watch_exec(&created.id);
    let id = ExecId { sandbox: sandbox.clone(), id: created.id, identity };
    let options = StartExecOptions { detach: false, tty: false, output_capacity: Some(BUFFER) };
    let attached = shared.engine.call(async |docker| docker.start_exec(&id.id, Some(options)).await).await?;
    let StartExecResults::Attached { output, input } = attached else {
        return Err(LaunchError::NotStarted("the engine did not attach to the process".into()));
    };

    let (stdin, from_user) = duplex(BUFFER);
    let (stdout, to_stdout) = duplex(BUFFER);
    let (stderr, to_stderr) = duplex(BUFFER);
    let (started, starts) = oneshot::channel();
    let (ended, status) = oneshot::channel();
    let killed = CancellationToken::new();
    let kill = killed.clone().drop_guard();
    let ends = Ends { from_user, to_stdout, to_stderr, started: Some(started), killed, died };
    let pump = Pump { shared: shared.clone(), exec: id, health, ends };
    shared.tasks.spawn(async move {
        // Nobody may wait for it.
        drop(ended.send(pump.run(output, input).await));
    });
    let no_pump = || LaunchError::NotStarted("the runtime is being shut down".into());
    starts.await.map_err(|_| no_pump())??;
    Ok(Exec {
        stdin: Box::new(stdin),
        stdout: Box::new(stdout),
        stderr: Box::new(stderr),
        status: status.map(|status| status.unwrap_or_else(|_| ExecStatus::Lost("the runtime is gone".into()))).boxed(),
        kill: kill_with(kill),
    })
}

/// Ends the process when it is called, and also when it is dropped.
fn kill_with(guard: DropGuard) -> Box<dyn FnOnce() + Send> {
    Box::new(move || drop(guard))
}

/// A process that the events are watched for.
#[derive(Debug)]
struct ExecId {
    sandbox: Arc<Sandbox>,
    id: String,
    identity: Identity,
}

impl Drop for ExecId {
    fn drop(&mut self) {
        self.sandbox.forget_exec(&self.id);
    }
}
