//! The use cases with mocks and small fakes, under paused time.

mod approvals;
mod desk;
mod doubt;
mod expiry;
mod files;
mod keys;
mod keys_elsewhere;
mod mcp;
mod recovery;
mod replicas;
mod sandboxes;
mod takeover;
mod turns;
mod warm;
