//! The Socket.IO interface as clients see it: real handlers, a real session manager, and no port.

mod answers;
mod basic;
mod client;
mod closing;
mod conversation;
mod expiry;
mod flaky;
mod hostile;
mod intake;
mod keys;
mod limits;
mod mcp;
mod permissions;
mod polling;
mod powers;
mod refusals;
mod replicas;
mod sessions;
mod slow;
mod stalling;
mod views;
mod world;
