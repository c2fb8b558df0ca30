//! Lockkeeper's HTTP interface: health, readiness, what operators do, the web console or a page that says how to connect, and the
//! place where Socket.IO is mounted. `docs/openapi.json` describes every route.
//!
//! [`HttpApi::serve`] accepts connections and guards them: a client that reads nothing, or never finishes its request, is
//! cut off, whatever is mounted. Every request carries the peer's address as an extension of type
//! [`std::net::SocketAddr`].

mod access;
mod admin;
mod api;
mod compact;
mod config;
mod console;
mod headers;
mod health;
mod mcp;
mod metrics;
mod models;
mod page;
mod serve;
mod stall;

pub use access::PageCheck;
pub use admin::AdminApi;
pub use api::HttpApi;
pub use config::Config;
pub use metrics::MetricsPage;
pub use models::ModelsApi;
pub use serve::Served;
