//! A clock that goes with tokio's, so that paused time moves both.

use lockkeeper_domain::Timestamp;
use lockkeeper_ports::Clock;
use std::time::Duration;
use tokio::time::Instant;

/// Starts at a fixed time of day and advances as tokio's time does.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    started: Instant,
    first: Timestamp,
}

impl TokioClock {
    /// The time at which the clock starts: 2026-01-01T00:00:00Z.
    pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    /// A clock that starts now.
    pub fn start() -> Self {
        Self { started: Instant::now(), first: Self::START }
    }

    /// The same clock, set forward by so much.
    #[must_use]
    pub fn set_forward(self, by: Duration) -> Self {
        Self { first: self.first.after(by), ..self }
    }

    /// The same clock, set back by so much.
    #[must_use]
    pub fn set_back(self, by: Duration) -> Self {
        Self { first: self.first.before(by), ..self }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.first.after(self.started.elapsed())
    }
}
