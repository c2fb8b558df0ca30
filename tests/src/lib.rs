//! End-to-end tests of Lockkeeper with real clients.
