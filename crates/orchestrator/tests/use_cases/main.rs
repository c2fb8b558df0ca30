//! The use cases with mocks and small fakes, under paused time.

mod approvals;
mod desk;
mod expiry;
mod keys;
mod recovery;
mod sandboxes;
mod turns;
mod warm;
