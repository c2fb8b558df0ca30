use crate::Config;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// When a server that ended may be started again.
#[derive(Debug)]
pub(crate) struct Restarts {
    max: usize,
    window: Duration,
    backoff: Duration,
    started: VecDeque<Instant>,
}

impl Restarts {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            max: config.max_restarts,
            window: Duration::from_secs(config.restart_window_secs),
            backoff: Duration::from_millis(config.restart_backoff_ms),
            started: VecDeque::new(),
        }
    }

    /// From when on a server that ended at `ended` may be started; `None` when it was started too often.
    pub(crate) fn not_before(&mut self, ended: Instant, now: Instant) -> Option<Instant> {
        while self.started.front().is_some_and(|start| now.duration_since(*start) >= self.window) {
            self.started.pop_front();
        }
        let doubled = u32::try_from(self.started.len()).map_or(u32::MAX, |restarts| 1_u32 << restarts.min(16));
        (self.started.len() < self.max).then(|| ended + self.backoff * doubled)
    }

    /// Whether it was started too often for another time now.
    pub(crate) fn is_exhausted(&mut self) -> bool {
        let now = Instant::now();
        self.not_before(now, now).is_none()
    }

    /// Counts a restart.
    pub(crate) fn count(&mut self, now: Instant) {
        self.started.push_back(now);
    }

    /// The last restart does not count: the runtime failed it.
    pub(crate) fn forget_last(&mut self) {
        self.started.pop_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restarts_wait_longer_each_time_and_end() {
        let mut restarts = Restarts::new(&Config::default());
        let start = Instant::now();
        for wait in [250, 500, 1000, 2000, 4000] {
            assert_eq!(restarts.not_before(start, start), Some(start + Duration::from_millis(wait)));
            restarts.count(start);
        }
        assert_eq!(restarts.not_before(start, start), None);
        let later = start + Duration::from_mins(10);
        assert_eq!(restarts.not_before(later, later), Some(later + Duration::from_millis(250)));
    }
}
