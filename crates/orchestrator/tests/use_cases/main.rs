//! The use cases with mocks and small fakes, under paused time.

mod always;
mod approvals;
mod budgets;
mod desk;
mod doubt;
mod expiry;
mod files;
mod grants;
mod holds;
mod intents;
mod keys;
mod keys_elsewhere;
mod mcp;
mod oversight;
mod pins;
mod recovery;
mod replicas;
mod room;
mod rules;
mod sandboxes;
mod sessions;
mod storage;
mod takeover;
mod turns;
mod warm;
