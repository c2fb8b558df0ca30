//! MCP servers in a sandbox, as one merged list of tools.
//!
//! rmcp drives the protocol. Between it and each server's process stands a transport of our own, which bounds what a
//! server can make us hold, lets nothing through that nobody asked for, and answers what we do not offer: servers are
//! strangers, and one harms only its own calls.

mod board;
mod breaker;
mod call;
mod catalog;
mod config;
mod connection;
mod head;
mod host;
mod lines;
mod link;
mod message;
mod outcome;
mod patience;
mod process;
mod restarts;
mod server;
mod session;
mod tenants;
mod text;
mod transport;

pub use config::{Config, InvalidConfig};
pub use host::McpToolHost;
