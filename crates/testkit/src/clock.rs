//! A clock that goes with tokio's, so that paused time moves both.

use lockkeeper_domain::Timestamp;
use lockkeeper_ports::Clock;
use tokio::time::Instant;

/// Starts at a fixed time of day and advances as tokio's time does.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    started: Instant,
}

impl TokioClock {
    /// The time at which the clock starts: 2026-01-01T00:00:00Z.
    pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    /// A clock that starts now.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        Self::START.after(self.started.elapsed())
    }
}
