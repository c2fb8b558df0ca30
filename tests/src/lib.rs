//! What the end-to-end tests of Lockkeeper are made of: a server of one's own, a client that minds every frame, the
//! tools of other languages, and the judge of a session's log.

mod binaries;
mod browser;
mod client;
mod collector;
mod contract;
pub mod docker;
mod engine;
mod environment;
mod event;
mod fences;
mod links;
mod oracle;
mod program;
mod proxy;
mod real_model;
mod redis;
mod remains;
mod server;
mod shell;
mod tool;
mod vendor;

pub use binaries::Binaries;
pub use client::{Client, Connect, PATIENCE};
pub use collector::{Collector, Received, attribute};
pub use engine::Engine;
pub use environment::{chaos_rounds, hostile_rounds, is_ci, rounds, seed};
pub use event::{Event, EventId};
pub use fences::{Fence, fences};
pub use links::{Broken, broken_links};
pub use oracle::Oracle;
pub use program::Program;
pub use proxy::Proxy;
pub use real_model::RealModel;
pub use redis::{Redis, RedisCluster, RedisLink, ask_redis};
pub use remains::sweep;
pub use server::{Server, Setup};
pub use shell::run_shell;
pub use tool::{Tool, asyncapi, package, program, repository, typescript};
pub use vendor::{Answer, Asked, End, Speech, Vendor, Wire, vendor_settings};
