//! The end of a server's processes when its supervisor cannot bring it about.

use super::ExecId;
use crate::{engine::Fault, profile, shared::Shared};
use bollard::exec::StartExecOptions;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often it is tried: what is to be ended can end the one that is sent for it, since both have the same user.
const ATTEMPTS: u32 = 3;
/// Between two looks at whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Ends all processes of the server that the exec belongs to, and tells whether they have ended. Those of the
/// sandbox's other servers run on. Fails when the engine is away.
pub(super) async fn sweep(shared: &Shared, exec: &ExecId) -> Result<bool, Fault> {
    for _ in 0..ATTEMPTS {
        match timeout(shared.config.stop_timeout(), attempt(shared, exec)).await {
            Ok(Ok(true)) => return Ok(true),
            Ok(Ok(false)) => {}
            Ok(Err(fault)) if fault.is_away() => return Err(fault),
            // The engine refuses, and does so again; or the sweeper does not end.
            Ok(Err(_)) | Err(_) => return Ok(false),
        }
    }
    Ok(false)
}

async fn attempt(shared: &Shared, exec: &ExecId) -> Result<bool, Fault> {
    let engine = &shared.engine;
    let config = profile::sweep(exec.identity, shared.dialect);
    let created = engine.call(async |docker| docker.create_exec(&exec.sandbox.container, config).await).await?;
    let options = StartExecOptions { detach: true, ..StartExecOptions::default() };
    engine.call(async |docker| docker.start_exec(&created.id, Some(options)).await).await?;
    loop {
        let found = engine.call(async |docker| docker.inspect_exec(&created.id).await).await?;
        match found.exit_code.filter(|_| found.running != Some(true)) {
            Some(code) => return Ok(code == 0),
            None => sleep(LOOK).await,
        }
    }
}
