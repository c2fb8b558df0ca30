//! The store over real servers, which each test starts for itself and ends.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod contract;
mod server;
