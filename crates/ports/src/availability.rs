//! Whether a sandbox runtime answers. Runtimes report it, and whoever depends on sandboxes waits for it.

use tokio::sync::watch;

/// What a runtime last reported.
#[derive(Clone, Copy, Debug, Default)]
struct Report {
    is_away: bool,
    outages: u64,
}

/// Reports whether a runtime answers. Each runtime that can be away has one.
#[derive(Debug, Default)]
pub struct AvailabilityReporter(watch::Sender<Report>);

impl AvailabilityReporter {
    /// Reports that the runtime does not answer. Returns whether that is new.
    pub fn away(&self) -> bool {
        self.0.send_if_modified(|report| {
            let is_new = !report.is_away;
            report.is_away = true;
            report.outages += u64::from(is_new);
            is_new
        })
    }

    /// Reports that the runtime answers. Returns whether that is new.
    pub fn back(&self) -> bool {
        self.0.send_if_modified(|report| std::mem::take(&mut report.is_away))
    }

    /// Returns what others watch.
    pub fn observe(&self) -> Availability {
        Availability(Some(self.0.subscribe()))
    }
}

/// Whether a runtime answers. While it is away, nothing is known of its sandboxes, and the silence of a process in one
/// says nothing about the process.
#[derive(Clone, Debug, Default)]
pub struct Availability(Option<watch::Receiver<Report>>);

impl Availability {
    /// Returns the availability of a runtime that is never away.
    pub fn always() -> Self {
        Self(None)
    }

    /// Returns whether the runtime is away now.
    pub fn is_away(&self) -> bool {
        self.0.as_ref().is_some_and(|report| report.borrow().is_away)
    }

    /// Returns how often the runtime has been away, the present outage included. Two equal numbers with the runtime there
    /// both times mean that it was there all the time.
    pub fn outages(&self) -> u64 {
        self.0.as_ref().map_or(0, |report| report.borrow().outages)
    }

    /// Waits until the runtime is there; returns at once if it is. Cancel-safe.
    pub async fn back(&self) {
        let Some(report) = &self.0 else { return };
        if report.clone().wait_for(|report| !report.is_away).await.is_err() && self.is_away() {
            // A runtime that was dropped while it was away does not come back.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the runtime is away. Cancel-safe.
    pub async fn away(&self) {
        let is_away = match &self.0 {
            Some(report) => report.clone().wait_for(|report| report.is_away).await.is_ok(),
            None => false,
        };
        if !is_away {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt as _;

    #[test]
    fn availability_counts_outages_and_ends_waits() {
        let reporter = AvailabilityReporter::default();
        let seen = reporter.observe();
        assert_eq!((seen.is_away(), seen.outages(), seen.away().now_or_never()), (false, 0, None));
        assert!(reporter.away() && !reporter.away(), "an outage is counted once");
        assert_eq!((seen.is_away(), seen.outages(), seen.back().now_or_never()), (true, 1, None));
        assert_eq!(seen.away().now_or_never(), Some(()));
        assert!(reporter.back() && !reporter.back());
        assert_eq!((seen.is_away(), seen.outages(), seen.back().now_or_never()), (false, 1, Some(())));
    }

    #[test]
    fn availability_without_a_reporter_is_never_away() {
        let always = Availability::always();
        assert_eq!((always.is_away(), always.outages()), (false, 0));
        assert_eq!((always.back().now_or_never(), always.away().now_or_never()), (Some(()), None));
    }
}
