//! All of Lockkeeper's store ports in one local file, or in memory.
//!
//! [`EmbeddedStore`] keeps sessions, histories and logs in a [redb](https://www.redb.org) file that one process alone may
//! have open. What is acknowledged survives `kill -9` and power loss, as far as the disk keeps what it was told to
//! sync. The variant in memory is the same code over memory, and is gone with the process.
//!
//! How it works:
//! - **Writes** go to one thread, which takes what waits, applies each change by itself in one transaction, syncs once,
//!   and then answers each of them (the module `writer`). A change that is refused leaves the others alone. In memory there is
//!   nothing to sync, and changes are made where they are asked for.
//! - **Reads** see what is committed, whole steps only, and wait for no writer.
//! - **Followers** are cursors into the log; a writer only tells them to look again (the module `follow`).
//! - **Leases** end with the process: the file has one user, so whoever opens it knows that the holders are gone. Epochs
//!   are drawn from one counter of the file and never come again, not even for a session that was deleted and made
//!   anew.
//! - **Other servers** there are none: the file has one user. [`PeerHub`] joins servers of one process, as tests need it.

mod audit;
mod budgets;
mod change;
mod config;
mod database;
mod failure;
#[cfg(test)]
mod faults;
mod follow;
mod open;
mod peers;
mod ports;
mod query;
mod schema;
mod store;
mod writer;

pub use config::Config;
pub use open::OpenError;
pub use peers::PeerHub;
pub use store::EmbeddedStore;
