use super::{Finding, Level};
use crate::{
    clock::SystemClock,
    config::{RuntimeKind, Sandbox},
    random,
};
use anyhow::Result;
use lockkeeper_local_runtime::LocalRuntime;
use lockkeeper_ports::{Isolation, SandboxRuntime as _};
use std::{fs, sync::Arc};

/// Whether the configuration says Docker.
pub(super) fn is_docker(sandbox: &Sandbox) -> bool {
    sandbox.runtime == Some(RuntimeKind::Docker)
}

/// Whether Docker may be what runs the sandboxes.
pub(super) fn may_be_docker(sandbox: &Sandbox) -> bool {
    sandbox.runtime != Some(RuntimeKind::Local)
}

/// What isolates here without a container engine.
pub(super) async fn examine(sandbox: &Sandbox) -> Finding {
    if is_docker(sandbox) {
        return Finding::new("sandbox", Level::Ok, "docker, as the configuration says");
    }
    let install = "install bubblewrap, or allow user namespaces, or install Docker";
    match isolation(sandbox).await {
        Ok(found) if found.none => {
            let level = if sandbox.runtime.is_some() { Level::Fail } else { Level::Warn };
            Finding::new("sandbox", level, format!("local: nothing isolates ({})", found.gaps)).fix(install)
        }
        Ok(found) if found.gaps.is_empty() => Finding::new("sandbox", Level::Ok, format!("local: {}", found.holds)),
        Ok(found) => Finding::new("sandbox", Level::Warn, format!("local: {}; not held: {}", found.holds, found.gaps)),
        Err(error) => Finding::new("sandbox", Level::Fail, format!("local: {error:#}")).fix(install),
    }
}

/// Finds out in a place of its own, so that a server that runs is not disturbed.
async fn isolation(sandbox: &Sandbox) -> Result<Isolation> {
    let mut config = sandbox.local.clone();
    let place = std::env::temp_dir().join(format!("lockkeeper-doctor-{}", random::hex::<8>()?));
    config.state_dir.clone_from(&place);
    let runtime = LocalRuntime::new(config, Arc::new(SystemClock)).await;
    let _ = fs::remove_dir_all(&place);
    Ok(runtime?.isolation())
}
