use super::{ExecId, LaunchError, frames::Report, sweep::sweep};
use crate::{engine::Fault, profile::no_binary, sandboxes::Health, shared::Shared};
use lockkeeper_ports::ExecStatus;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long after a process the news may come that it was killed for its memory, or that its container ended.
const NEWS: Duration = Duration::from_millis(300);
const KILL: i32 = 9;

/// Finds out how a process ended. The end of its streams alone says nothing.
pub(super) struct Ending {
    pub(super) shared: Arc<Shared>,
    pub(super) exec: ExecId,
    pub(super) health: watch::Receiver<Health>,
    /// How often the container had been out of memory when the process began.
    pub(super) before: u64,
    pub(super) killed: CancellationToken,
}

impl Ending {
    /// How it ended, given what its supervisor said last.
    pub(super) async fn status(mut self, last: Option<Report>) -> ExecStatus {
        match last {
            Some(Report::Exited(code)) => ExecStatus::Exited(code),
            Some(Report::Signalled(KILL)) if !self.killed.is_cancelled() && self.was_for_memory().await => {
                ExecStatus::Lost(self.out_of_memory())
            }
            Some(Report::Signalled(signal)) => ExecStatus::Signalled(signal),
            _ => self.lost().await,
        }
    }

    /// Why it did not even begin, given what came on standard output instead.
    pub(super) async fn not_started(&self, last: Option<Report>, said: &[u8]) -> LaunchError {
        if let Some(Report::CannotExec(reason)) = last {
            return LaunchError::CannotExec(reason);
        }
        let inspected = self.inspect().await;
        let said = String::from_utf8_lossy(said);
        let said = said.trim();
        match inspected {
            Err(fault) => LaunchError::Fault(fault),
            Ok(Some(126 | 127)) => {
                LaunchError::NotStarted(format!("{} ({said})", no_binary(&self.shared.config.image)))
            }
            Ok(code) => {
                // What it started may have ended it.
                let reason = format!("its supervisor ended before it could say that it runs (status {code:?}) {said}");
                match sweep(&self.shared, &self.exec).await {
                    Ok(true) => {}
                    Ok(false) => self.shared.condemn(&self.exec.sandbox, &reason),
                    Err(fault) => return LaunchError::Fault(fault),
                }
                LaunchError::NotStarted(reason)
            }
        }
    }

    /// Nothing is known of the process but that its supervisor is out of reach: what it started may still run. A server
    /// can end or stop its own supervisor, and must not harm the others by it: then its user's processes are ended, and the
    /// sandbox lives on. In all other cases, and where that fails, the sandbox is given up.
    ///
    /// While the engine is away nothing is known, and nothing is given up. It is found out when the engine answers again.
    async fn lost(mut self) -> ExecStatus {
        match self.settle().await {
            Ok(status) => status,
            Err(fault) => {
                let unsettled = self.exec.sandbox.unsettled();
                self.shared.tasks.clone().spawn(async move {
                    let _unsettled = unsettled;
                    self.settle_later().await;
                });
                ExecStatus::Lost(fault.to_string())
            }
        }
    }

    async fn settle_later(&mut self) {
        const PAUSE: Duration = Duration::from_secs(1);
        let (availability, mut health) = (self.shared.engine.availability(), self.exec.sandbox.health());
        let settled = async {
            loop {
                availability.back().await;
                if self.settle().await.is_ok() {
                    return;
                }
                sleep(PAUSE).await;
            }
        };
        tokio::select! {
            () = settled => {}
            _ = health.wait_for(|health| health.ended.is_some()) => {}
        }
    }

    /// Fails when the engine is away.
    async fn settle(&mut self) -> Result<ExecStatus, Fault> {
        let mut inspected = self.inspect().await;
        if self.health.borrow().ended.is_none()
            && let Err(fault) = inspected
        {
            if fault.is_away() {
                return Err(fault);
            }
            inspected = Err(fault);
        }
        let _ = timeout(NEWS, self.health.wait_for(|health| health.ended.is_some())).await;
        let memory = self.health.borrow().out_of_memory > self.before;
        let known = self.health.borrow().ended.clone();
        if known.is_none() && !memory && inspected.is_ok() && sweep(&self.shared, &self.exec).await? {
            inspected = match inspected {
                Ok(None) => self.inspect().await,
                ended => ended,
            };
            if matches!(inspected, Ok(Some(_))) {
                tracing::warn!(container.id = self.exec.sandbox.container, "a server ended its own supervisor");
                return Ok(ExecStatus::Signalled(KILL));
            }
        }
        let reason = match (known, &inspected) {
            (Some(reason), _) => reason,
            (None, _) if memory => self.out_of_memory(),
            (None, Err(Fault::NotFound(_))) => "the sandbox, or its engine, was replaced".to_owned(),
            (None, Err(fault)) => fault.to_string(),
            (None, Ok(None)) => "it did not end when it was killed".to_owned(),
            (None, Ok(Some(code))) => format!("its supervisor was ended from within the sandbox (status {code})"),
        };
        self.shared.condemn(&self.exec.sandbox, &reason);
        Ok(ExecStatus::Lost(reason))
    }

    /// The supervisor's exit code, once it has one.
    async fn inspect(&self) -> Result<Option<i64>, Fault> {
        const LOOKS: u32 = 20;
        for look in 0..LOOKS {
            let exec = &self.exec.id;
            let found = self.shared.engine.call(async |docker| docker.inspect_exec(exec).await).await?;
            if found.running != Some(true) {
                return Ok(found.exit_code);
            }
            if look + 1 < LOOKS {
                sleep(NEWS / LOOKS).await;
            }
        }
        Ok(None)
    }

    async fn was_for_memory(&mut self) -> bool {
        let before = self.before;
        let more = self.health.wait_for(|health| health.out_of_memory > before);
        matches!(timeout(NEWS, more).await, Ok(Ok(_)))
    }

    fn out_of_memory(&self) -> String {
        out_of_memory(self.shared.config.memory_bytes)
    }
}

/// In words for people.
pub(crate) fn out_of_memory(limit: u64) -> String {
    format!("out of memory: limit {} MiB", limit >> 20)
}
