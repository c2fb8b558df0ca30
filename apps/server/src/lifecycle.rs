//! From the first signal to the end.

use std::{future::Future, io, time::Duration};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How long tasks may take to end once they are told to.
const TASK_GRACE: Duration = Duration::from_secs(10);

/// The tasks of the process and the word to end: softly, so that they finish what they do, then hard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lifecycle {
    pub(crate) tasks: TaskTracker,
    pub(crate) soft: CancellationToken,
    pub(crate) hard: CancellationToken,
}

impl Lifecycle {
    /// Runs a task until it ends by itself or is told to end hard.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let hard = self.hard.clone();
        self.tasks.spawn(async move {
            let _ = hard.run_until_cancelled_owned(task).await;
        });
    }

    /// Tells all tasks to end, and waits until they have.
    pub(crate) async fn end(&self) {
        self.soft.cancel();
        self.tasks.close();
        if timeout(TASK_GRACE, self.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.tasks.len(), "tasks did not end in time");
            self.hard.cancel();
            self.tasks.wait().await;
        }
    }
}

/// SIGTERM and SIGINT.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes both from now on.
    pub(crate) fn take() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next one.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::sync::oneshot;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_listens_ends_softly() {
        let lifecycle = Lifecycle::default();
        let (done, finished) = oneshot::channel();
        let soft = lifecycle.soft.clone();
        lifecycle.spawn(async move {
            soft.cancelled().await;
            let _ = done.send(());
        });
        lifecycle.end().await;
        assert!(finished.await.is_ok());
        assert!(!lifecycle.hard.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_listen_is_ended_hard() {
        let lifecycle = Lifecycle::default();
        lifecycle.spawn(pending());
        lifecycle.end().await;
        assert!(lifecycle.hard.is_cancelled());
    }
}
