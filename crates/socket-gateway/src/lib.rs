//! Lockkeeper's Socket.IO interface, version 1 of its contract.
//!
//! A connection is a principal's view of one session. Its commands are handled one after the other, in the order in
//! which they came; the session's events reach it through a cursor of its own over the session's log. The log is the
//! truth: a view that is cut off, however, comes back with the id of the last event it saw and misses nothing.
//!
//! [`wire`] says what goes over the connection. The other modules are how:
//! - [`SocketService`] stands in front of Engine.IO and refuses what must not reach it: foreign origins, too many
//!   connections;
//! - `intake` takes a connection's events in the reader's task, before anything can reorder them;
//! - `connection` is the one task per connection: it authenticates, opens the session, and drives `commands` and `view`;
//! - `transports` closes what a connection leaves behind, and counts the packets that are no events.
//!
//! The request that opens a connection carries the client's address as an extension of type [`std::net::SocketAddr`].

mod auth;
mod commands;
mod config;
mod connection;
#[cfg(test)]
mod contract;
mod crowds;
mod gateway;
mod handshake;
mod http;
mod intake;
mod packets;
mod pass;
mod peer;
mod places;
mod rates;
mod shown;
mod tally;
mod transports;
mod view;
pub mod wire;

pub use auth::{IdentitySecret, OpenAuthenticator, ProviderKeyAuthenticator, ShortSecret, StaticAuthenticator};
pub use config::Config;
pub use gateway::{Closed, Gateway};
pub use http::{GatewayService, SocketService};
pub use tally::Tally;
pub use transports::{Guarded, Metered};
