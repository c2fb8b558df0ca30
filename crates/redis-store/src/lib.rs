//! All of Lockkeeper's store ports over Redis: one server, one behind sentinels, or a cluster.
//!
//! How it works:
//! - **Each operation is one script** on the keys of one session, which share a slot: it checks the fence, and writes events,
//!   messages and record together or not at all (the modules `script` and `keys`).
//! - **Each attempt has a deadline**, and is made again where that is safe, which it always is: a script knows what it has
//!   done before (the module `connection`).
//! - **Indexes are hints**, written before the record and checked against it (the module `indexes`).
//! - **Followers read the log**; a message between servers only tells them to look (the modules `hub` and `follow`).
//! - **Epochs are microseconds** of the server's clock, or the next number where that is not higher, so that none comes again
//!   though a session was deleted or a failover lost its last claim.

mod address;
mod audit;
mod budgets;
mod config;
mod connect;
mod connection;
mod failure;
mod follow;
mod hub;
mod indexes;
mod keys;
mod log;
mod occupied;
mod owners;
mod peers;
mod ports;
mod random;
mod record;
mod reply;
mod rules;
mod script;
mod sessions;
mod step;
mod store;
mod tls;

pub use address::BadAddress;
pub use config::Config;
pub use connect::ConnectError;
pub use store::RedisStore;
