//! Sandboxes that are ready before anyone asks. Each is used by one session at most, and never again.

use crate::{
    roster::Roster,
    sandbox::{Starter, backoff},
};
use lockkeeper_ports::{McpServer, SandboxError, SandboxId, ToolSession};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

/// A sandbox that runs for no session, with its tools.
pub(crate) struct Warm {
    pub(crate) sandbox: SandboxId,
    pub(crate) tools: Arc<dyn ToolSession>,
    /// The MCP servers that it was started with.
    pub(crate) servers: Arc<[McpServer]>,
    since: Instant,
}

/// The sandboxes that are ready now.
pub(crate) struct Pool {
    size: usize,
    state: Mutex<State>,
    /// One was taken, or a start for a session is over.
    changed: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Warm>,
    /// Sessions that wait for a sandbox at this moment.
    starting: usize,
}

/// A session waits for a sandbox, of the pool or of its own: the pool does not compete with it.
pub(crate) struct HoldOff<'a>(&'a Pool);

impl Drop for HoldOff<'_> {
    fn drop(&mut self) {
        self.0.state().starting -= 1;
        self.0.changed.notify_one();
    }
}

impl Pool {
    pub(crate) fn new(size: usize) -> Self {
        Self { size, state: Mutex::default(), changed: Notify::new() }
    }

    /// The oldest one. Another takes its place.
    pub(crate) fn take(&self) -> Option<Warm> {
        let warm = self.state().ready.pop_front()?;
        self.changed.notify_one();
        Some(warm)
    }

    /// Keeps the pool from starting any while this is held.
    pub(crate) fn hold_off(&self) -> HoldOff<'_> {
        self.state().starting += 1;
        HoldOff(self)
    }

    fn wants_one(&self) -> bool {
        let state = self.state();
        state.starting == 0 && state.ready.len() < self.size
    }

    fn put(&self, warm: Warm) {
        self.state().ready.push_back(warm);
    }

    /// One that is too old, or whose MCP servers are not those that hold now.
    fn expired(&self, oldest: Duration, roster: &Roster) -> Option<Warm> {
        let is_over = |warm: &Warm| warm.since.elapsed() >= oldest || !roster.is_current(&warm.servers);
        let mut state = self.state();
        let over = state.ready.iter().position(is_over)?;
        state.ready.remove(over)
    }

    /// Has the pool look whether what it keeps is still wanted.
    pub(crate) fn look_again(&self) {
        self.changed.notify_one();
    }

    /// How long until one is too old, if none comes or goes.
    fn rest(&self, oldest: Duration) -> Duration {
        self.state().ready.front().map_or(oldest, |first| oldest.saturating_sub(first.since.elapsed()))
    }

    /// Each change is one statement, so that a panic elsewhere leaves it right.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fills the pool, one sandbox at a time, and replaces what gets old, until `stop`; then removes what is left. Ends at once
/// where the runtime keeps none in reserve.
pub(crate) async fn keep_warm(starter: Arc<Starter>, oldest: Duration, stop: CancellationToken) {
    let mut failures = 0;
    while !stop.is_cancelled() {
        while let Some(old) = starter.pool.expired(oldest, &starter.roster) {
            starter.discard(old).await;
        }
        if !starter.pool.wants_one() {
            tokio::select! {
                () = stop.cancelled() => {}
                _ = timeout(starter.pool.rest(oldest), starter.pool.changed.notified()) => {}
            }
            continue;
        }
        let runtime = starter.sandboxes.availability();
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = runtime.back() => {}
        }
        match make(&starter, &stop).await {
            Ok(Some(warm)) => {
                failures = 0;
                starter.pool.put(warm);
            }
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "a sandbox for the pool could not be made");
                // Whoever needs one now says more about what is wrong; here there is time.
                let pause = backoff(failures) * 10;
                failures += 1;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
    while let Some(warm) = starter.pool.take() {
        starter.discard(warm).await;
    }
}

/// `None`: the runtime keeps none in reserve, or it is time to stop.
async fn make(starter: &Starter, stop: &CancellationToken) -> Result<Option<Warm>, SandboxError> {
    let Some(sandbox) = starter.sandboxes.reserve().await? else { return Ok(None) };
    let servers = starter.roster.servers();
    let connected = tokio::select! {
        () = stop.cancelled() => None,
        connected = starter.host.connect(None, &sandbox, &servers, Arc::new(|_| {})) => Some(connected),
    };
    match connected {
        Some(Ok(tools)) => Ok(Some(Warm { sandbox, tools, servers, since: Instant::now() })),
        Some(Err(error)) => {
            starter.remove(&sandbox).await;
            Err(SandboxError::Unavailable(Box::new(error)))
        }
        None => {
            starter.remove(&sandbox).await;
            Ok(None)
        }
    }
}
