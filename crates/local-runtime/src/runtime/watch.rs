use crate::{config::Config, state_dir::SandboxDir, usage::Quota};
use lockkeeper_ports::SandboxId;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    task::{JoinSet, spawn_blocking},
    time::{MissedTickBehavior, interval},
};

/// Watches over the sizes of workspaces, where the kernel does not bound them.
#[derive(Debug, Default)]
pub(super) struct Watches(Mutex<HashMap<SandboxId, Watch>>);

#[derive(Debug)]
struct Watch {
    overfull: Arc<Mutex<Option<String>>>,
    /// One task, which ends with this.
    _task: JoinSet<()>,
}

impl Watches {
    pub(super) fn add(&self, id: &SandboxId, sandbox: SandboxDir, config: &Config) {
        let overfull = Arc::new(Mutex::new(None));
        let quota = Quota { bytes: config.workspace_bytes, files: config.workspace_files };
        let every = Duration::from_millis(config.workspace_check_ms);
        let mut task = JoinSet::new();
        task.spawn(watch(id.clone(), sandbox, quota, every, overfull.clone()));
        let mut watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watches.insert(id.clone(), Watch { overfull, _task: task });
    }

    pub(super) fn remove(&self, id: &SandboxId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Why nothing may run in the sandbox until something is deleted from it, which is never: it is to be replaced.
    pub(super) fn overfull(&self, id: &SandboxId) -> Option<String> {
        let watches = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        watches.get(id)?.overfull.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn watch(
    id: SandboxId,
    sandbox: SandboxDir,
    quota: Quota,
    every: Duration,
    overfull: Arc<Mutex<Option<String>>>,
) {
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let workspace = sandbox.clone();
        let checked = spawn_blocking(move || {
            let workspaces = [workspace.workspace(), workspace.all_private()];
            workspaces.iter().find_map(|directory| quota.exceeded_by(directory))
        });
        if let Ok(Some(reason)) = checked.await {
            tracing::warn!(sandbox.id = %id, reason, "a workspace is too full: its commands are ended");
            *overfull.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
            // Those that started meanwhile included; there are no more to come.
            while sandbox.ring().unwrap_or(false) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            return;
        }
    }
}
