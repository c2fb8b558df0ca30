//! The `serve` command: one MCP session on standard input and output.

use std::{path::PathBuf, pin::pin, sync::Arc};

use anyhow::{Context as _, Result};
use rmcp::{
    ServiceExt as _,
    service::ServerInitializeError,
    transport::{async_rw::AsyncRwTransport, io::stdio_pipes},
};

use crate::{files::Workspace, limits::Limits, server::WorkspaceServer, stops::Stops};

/// Threads for file access; each call holds one for as long as it reads or writes.
const FILE_THREADS: usize = 8;

#[derive(clap::Args)]
pub(crate) struct ServeArgs {
    /// The directory to serve. No file outside of it can be reached by the file tools.
    #[arg(long, value_name = "DIR", default_value = "/workspace")]
    root: PathBuf,
    #[command(flatten)]
    limits: Limits,
}

/// Serves until standard input ends or a signal asks it to stop. Commands that still run
/// then are ended.
pub(crate) fn serve(args: ServeArgs) -> Result<()> {
    args.limits.check()?;
    let workspace =
        Workspace::open(&args.root).with_context(|| format!("cannot open the workspace {}", args.root.display()))?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(FILE_THREADS).build()?;
    let outcome = runtime.block_on(session(workspace, args.limits));
    // A thread may be blocked on a read of standard input for good.
    runtime.shutdown_background();
    outcome
}

async fn session(workspace: Workspace, limits: Limits) -> Result<()> {
    let mut stops = Stops::new()?;
    let (reader, writer) = stdio_pipes();
    let transport = AsyncRwTransport::new_server(reader, writer).with_max_line_length(limits.max_line_bytes());
    let server = Arc::new(WorkspaceServer::new(workspace, limits));

    let running = tokio::select! {
        started = Arc::clone(&server).serve(transport) => match started {
            Ok(running) => running,
            Err(ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
            Err(error) => return Err(error).context("the session did not start"),
        },
        () = stops.recv() => return Ok(()),
    };
    let stop = running.cancellation_token();
    let mut closed = pin!(running.waiting());
    tokio::select! {
        quit = &mut closed => quit.map(drop)?,
        () = stops.recv() => {
            stop.cancel();
            closed.await?;
        }
    }
    server.end_commands().await;
    Ok(())
}
