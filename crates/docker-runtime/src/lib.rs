//! Sandboxes as containers of a Docker engine.
//!
//! A sandbox is one container with a profile that leaves it next to nothing (`profile`): a read-only image, no network, no
//! capabilities, few system calls, three small file systems in memory. Its main process is the workspace binary's holder,
//! which ends when no server keeps it alive; the servers of a session run beside it, as another user, each under a
//! supervisor of the same binary that ends all that it started.
//!
//! The runtime is never asked whether something succeeded by the end of a stream: it listens to the engine's events, and
//! what cannot be told for certain is [`ExecStatus::Lost`](lockkeeper_ports::ExecStatus::Lost), after which the sandbox is
//! given up and removed.

mod config;
mod diagnose;
mod engine;
mod events;
mod exec;
pub mod image;
mod names;
mod profile;
mod runtime;
mod sandboxes;
mod shared;

pub use config::Config;
pub use diagnose::{Finding, FindingKind, diagnose};
pub use runtime::{DockerRuntime, SetupError};
