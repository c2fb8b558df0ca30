//! One start of a server.

use crate::{
    board::Seat,
    catalog::Catalog,
    connection::{Connection, OpenError, Scope},
    link::Down,
};
use lockkeeper_domain::Code;
use lockkeeper_ports::{McpServer, SandboxError};
use std::{sync::Arc, time::Duration};

/// Why a server was not started.
pub(super) enum NotOpen {
    SandboxGone,
    Failed(Down),
    HeldBack(Down),
    /// The runtime failed or does not answer, which counts for nothing.
    Unavailable(Down),
}

/// Starts the server and lists its tools, unless it is held back.
pub(super) async fn open(
    scope: &Scope,
    spec: &McpServer,
    seat: &Seat,
    greeted: &(dyn Fn() + Sync),
) -> Result<(Arc<Connection>, Catalog), NotOpen> {
    let start = match seat.admit() {
        Ok(start) => start,
        Err(rest) => return Err(NotOpen::HeldBack(held_back(rest))),
    };
    let outages = scope.patience.availability().outages();
    let opened = match try_open(scope, spec, greeted).await {
        Err(OpenError::Failed(down)) if down.code == Code::OutcomeUnknown => Err(lost(scope, down, outages).await),
        opened => opened,
    };
    match opened {
        Ok(opened) => {
            start.succeeded();
            Ok(opened)
        }
        Err(OpenError::SandboxGone) => Err(NotOpen::SandboxGone),
        Err(OpenError::Unavailable(down)) => Err(NotOpen::Unavailable(down)),
        Err(OpenError::Failed(down)) => {
            start.failed();
            Err(NotOpen::Failed(down))
        }
    }
}

/// Finds out what a process was lost to: its sandbox, the runtime, or what it did itself.
async fn lost(scope: &Scope, down: Down, outages: u64) -> OpenError {
    if scope.ends.soft.is_cancelled() {
        return OpenError::Failed(down);
    }
    match scope.runtime.inspect(&scope.sandbox).await {
        Err(SandboxError::Gone) => OpenError::SandboxGone,
        Err(SandboxError::Unavailable(_) | SandboxError::StartTimeout(_)) => OpenError::Unavailable(down),
        _ if scope.patience.was_away_since(outages).await => OpenError::Unavailable(down),
        _ => OpenError::Failed(down),
    }
}

fn held_back(rest: Duration) -> Down {
    let secs = rest.as_secs().max(1);
    Down::new(
        Code::ToolCrashed,
        format!("failed to start too often lately; it is tried again in {secs} s at the earliest"),
    )
}

async fn try_open(
    scope: &Scope,
    spec: &McpServer,
    greeted: &(dyn Fn() + Sync),
) -> Result<(Arc<Connection>, Catalog), OpenError> {
    let connection = Connection::open(scope, spec).await?;
    greeted();
    match connection.list().await {
        Ok(catalog) => Ok((Arc::new(connection), catalog)),
        Err(down) => {
            let reason = connection.link.problem(&down.reason);
            connection.link.fail(down.clone());
            let down = Down { reason, ..down };
            let is_of_runtime = down.code == Code::SandboxUnavailable;
            Err(if is_of_runtime { OpenError::Unavailable(down) } else { OpenError::Failed(down) })
        }
    }
}
