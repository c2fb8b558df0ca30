//! Sandboxes as isolated local processes, for machines without Docker.
//!
//! A sandbox is a directory below [`Config::state_dir`] that holds its workspace and a note of whose it is. A command of
//! it runs in namespaces of its own with the workspace mounted at `/workspace`; two commands of one sandbox share that
//! directory and nothing else. Where namespaces are not to be had, Landlock and seccomp confine the command, and the
//! workspace keeps its path on the host. So that one configuration serves everywhere, `{workspace}` in a command's
//! arguments stands for the workspace's path as the command sees it.
//!
//! An executable that embeds this crate must hand over to [`launcher_main`] when its first argument is
//! [`LAUNCHER_ARGUMENT`].
//!
//! What a command gets: an empty environment but for `PATH`, `HOME`, `LANG` and what its own specification says
//! (and `TMPDIR` where `/tmp` is not its own); the system's programs, read-only; no network but an empty loopback. A command
//! that does not exist or cannot be executed is [`SandboxError::CannotExec`](lockkeeper_ports::SandboxError::CannotExec),
//! never an exit status. When a command ends, whatever it started ends with it.

mod cgroup;
mod config;
mod exec;
mod isolation;
mod launcher;
mod layout;
mod runtime;
mod state_dir;
mod usage;
mod wire;

pub use config::{Config, IsolationChoice};
pub use launcher::{LAUNCHER_ARGUMENT, launcher_main};
pub use runtime::{LocalRuntime, SetupError};
