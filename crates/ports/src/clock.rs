use lockkeeper_domain::Timestamp;

/// The time of day. Timers are tokio's own, which tests can pause; this is for times that are stored or shown.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}
