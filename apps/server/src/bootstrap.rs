//! The wiring: from a checked configuration to a running server, straight down.

mod agents;
mod apart;
mod audit;
mod choices;
mod ground;
mod identity;
mod logins;
mod rules;
mod running;
mod sandboxes;
mod servers;
mod stores;

pub(crate) use apart::{Apart, apart, runtime};
pub(crate) use ground::{Ground, lay};
pub(crate) use identity::known_audit_key;
pub(crate) use running::{Running, forget_ready, start};
pub(crate) use stores::{open_for_reading, store};
