//! Sandboxes apart from those of a server that may run with the same configuration.

use super::{ground::isolation_problem, sandboxes};
use crate::{
    config::{Loaded, RuntimeKind},
    exit::Stop,
    random,
};
use lockkeeper_ports::SandboxRuntime;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A runtime whose sandboxes no server knows of. What it wrote goes when it is dropped.
pub(crate) struct Apart {
    pub(crate) sandboxes: Arc<dyn SandboxRuntime>,
    place: PathBuf,
    _lock: Option<File>,
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.place);
    }
}

/// The runtime that a server would take.
pub(crate) async fn runtime(loaded: &Loaded) -> RuntimeKind {
    sandboxes::choose(loaded).await.runtime
}

/// Starts the runtime. Where nothing isolates, that must have been accepted.
pub(crate) async fn apart(
    loaded: &mut Loaded,
    runtime: RuntimeKind,
    workspace: Option<&Path>,
    accepted: bool,
) -> Result<Apart, Stop> {
    let name = random::hex::<8>()?;
    let place = std::env::temp_dir().join(format!("lockkeeper-probe-{name}"));
    loaded.config.sandbox.local.state_dir = place.join("sandboxes");
    let started = sandboxes::start(loaded, runtime, workspace, &format!("probe-{name}")).await?;
    let apart = Apart { sandboxes: started.runtime, place, _lock: started.lock };
    match isolation_problem(loaded, &apart.sandboxes.isolation()) {
        Some(problem) if !accepted => Err(Stop::Configuration(vec![problem])),
        _ => Ok(apart),
    }
}
