//! One start of a server.

use crate::{
    board::Seat,
    catalog::Catalog,
    connection::{Connection, OpenError, Scope},
    link::Down,
};
use lockkeeper_domain::Code;
use lockkeeper_ports::McpServer;
use std::{sync::Arc, time::Duration};

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
    let start = match seat.admit() {
        Ok(start) => start,
        Err(rest) => return Err(NotOpen::HeldBack(held_back(rest))),
    };
    match try_open(scope, spec, greeted).await {
        Ok(opened) => {
            start.succeeded();
            Ok(opened)
        }
        Err(OpenError::SandboxGone) => Err(NotOpen::SandboxGone),
        Err(OpenError::Failed(down)) => {
            start.failed();
            Err(NotOpen::Failed(down))
        }
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
            Err(OpenError::Failed(Down { reason, ..down }))
        }
    }
}
