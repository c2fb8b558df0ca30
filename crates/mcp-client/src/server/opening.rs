//! One start of a server.

use crate::{
    board::Seat,
    catalog::Catalog,
    connection::{Connection, OpenError, Scope},
    link::Down,
};
use lockkeeper_domain::Code;
use lockkeeper_ports::McpServer;
use std::sync::Arc;

/// Why a server was not started.
pub(super) enum NotOpen {
    SandboxGone,
    Failed(Down),
    HeldBack(Down),
}

/// Starts the server and lists its tools, unless it is held back.
pub(super) async fn open(
    scope: &Scope,
    spec: &McpServer,
    seat: &Seat,
    greeted: &(dyn Fn() + Sync),
) -> Result<(Arc<Connection>, Catalog), NotOpen> {
    if let Err(rest) = seat.admit() {
        let secs = rest.as_secs().max(1);
        let reason = format!("failed to start too often lately; it is tried again in {secs} s at the earliest");
        return Err(NotOpen::HeldBack(Down::new(Code::ToolCrashed, reason)));
    }
    match try_open(scope, spec, greeted).await {
        Ok(opened) => {
            seat.started(true);
            Ok(opened)
        }
        Err(OpenError::SandboxGone) => Err(NotOpen::SandboxGone),
        Err(OpenError::Failed(down)) => {
            seat.started(false);
            Err(NotOpen::Failed(down))
        }
    }
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
            Err(OpenError::Failed(Down { reason, ..down }))
        }
    }
}
