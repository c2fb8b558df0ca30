//! Time that a server has for something. It does not count while the sandbox runtime is away: then the silence is the
//! runtime's, and says nothing about the server.

use lockkeeper_ports::{Availability, SandboxError, SandboxId, SandboxRuntime};
use std::{
    fmt,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// A runtime that takes this long to answer was away.
const SLOW: Duration = Duration::from_secs(1);

/// Who is responsible for what did not come in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Late {
    /// The server: the runtime was there all the time.
    Server,
    /// The runtime was away, or does not answer now.
    Runtime,
}

/// Waits for servers of one sandbox.
#[derive(Clone)]
pub(crate) struct Patience {
    runtime: Arc<dyn SandboxRuntime>,
    sandbox: SandboxId,
    availability: Availability,
}

impl Patience {
    pub(crate) fn new(runtime: Arc<dyn SandboxRuntime>, sandbox: SandboxId) -> Self {
        let availability = runtime.availability();
        Self { runtime, sandbox, availability }
    }

    /// Whether the runtime answers.
    pub(crate) fn availability(&self) -> &Availability {
        &self.availability
    }

    /// Waits until it is done, as long as it takes while the runtime is away, and for `limit` while the runtime is there.
    /// `None` when the server is late. After an outage the server has the whole time again.
    pub(crate) async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut is_known_there = !self.availability.is_away();
        loop {
            if !is_known_there {
                tokio::select! {
                    biased;
                    done = &mut work => return Some(done),
                    () = self.back() => {}
                }
            }
            is_known_there = false;
            match self.attempt(limit, work.as_mut()).await {
                Ok(done) => return Some(done),
                Err(Late::Server) => return None,
                Err(Late::Runtime) => {}
            }
        }
    }

    /// Waits until the runtime answers. It may be away without having noticed.
    pub(crate) async fn back(&self) {
        self.availability.back().await;
        while self.does_not_answer().await {
            sleep(SLOW).await;
            self.availability.back().await;
        }
    }

    /// Waits for `limit` at most, and finds out who is late when it is not done by then.
    pub(crate) async fn attempt<T>(
        &self,
        limit: Duration,
        mut work: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, Late> {
        let (was_away, outages) = (self.availability.is_away(), self.availability.outages());
        let late = async {
            sleep(limit).await;
            if was_away || self.was_away_since(outages).await { Late::Runtime } else { Late::Server }
        };
        tokio::select! {
            biased;
            done = &mut work => Ok(done),
            late = late => Err(late),
        }
    }

    /// Returns whether the runtime is away or was since there were so many outages. It is asked, since it may not have
    /// noticed.
    pub(crate) async fn was_away_since(&self, outages: u64) -> bool {
        let was_away = || self.availability.is_away() || self.availability.outages() != outages;
        was_away() || self.does_not_answer().await || was_away()
    }

    /// An answer that is slow to come was held up as well, and what it was asked about may have come with it.
    async fn does_not_answer(&self) -> bool {
        let asked = Instant::now();
        let found = self.runtime.inspect(&self.sandbox).await;
        asked.elapsed() >= SLOW || matches!(found, Err(SandboxError::Unavailable(_) | SandboxError::StartTimeout(_)))
    }
}

impl fmt::Debug for Patience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Patience").field("sandbox", &self.sandbox).finish_non_exhaustive()
    }
}
