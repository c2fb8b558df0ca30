//! Metrics and traces, read off the ports and the log.
//!
//! Nothing in the use cases counts or measures. [`Telemetry`] wraps the ports that the server puts together: what is asked of
//! a store, a model, a sandbox runtime or an MCP server passes through here, and so does every step of every session on its
//! way into the log. What a session is worth counting for stands in its events.
//!
//! The figures are those of OpenTelemetry's conventions for generative AI and MCP where there are any, and Lockkeeper's own
//! (`lockkeeper.*`) besides; [`METRICS`] lists all of them. Prometheus reads them as a page of text, and they are sent with the
//! traces to a collector by OTLP where one is configured.
//!
//! What users, models and tools say is in none of it, unless [`Config::capture_content`] asks for it.

mod catalog;
mod config;
mod content;
mod courier;
mod instruments;
mod journal;
mod models;
mod names;
mod outcome;
mod sandboxes;
mod store;
mod telemetry;
mod tools;
mod traces;

pub use catalog::{Kind, METRICS, Metric};
pub use config::Config;
pub use instruments::Watched;
pub use telemetry::{SetupError, Telemetry};
