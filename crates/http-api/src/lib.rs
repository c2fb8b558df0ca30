//! Lockkeeper's HTTP interface: health, readiness, what operators do, the web console or a page that says how to connect, and the
//! place where Socket.IO is mounted. `docs/openapi.json` describes every route.
//!
//! [`HttpApi::serve`] accepts connections and guards them: a client that reads nothing, or never finishes its request, is
//! cut off, whatever is mounted. Every request carries the client's address as an extension of type
//! [`std::net::SocketAddr`]: the peer's, or the one that a trusted proxy names. Forwarding headers
//! that were believed are removed, so those that a handler sees were not.

mod access;
mod admin;
mod api;
mod client;
mod compact;
mod config;
mod console;
mod headers;
mod health;
mod mcp;
mod metrics;
mod models;
mod pace;
mod page;
mod serve;
mod sessions;
mod slots;
mod stall;

pub use access::PageCheck;
pub use admin::AdminApi;
pub use api::HttpApi;
pub use client::{BadNetwork, ForwardedHeader, Network, Proxies, ProxyProtocol};
pub use config::Config;
pub use metrics::MetricsPage;
pub use models::ModelsApi;
pub use serve::Served;
