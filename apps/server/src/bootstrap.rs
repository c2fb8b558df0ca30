//! The wiring: from a checked configuration to a running server, straight down.

mod choices;
mod ground;
mod running;

pub(crate) use ground::{Ground, lay};
pub(crate) use running::{Running, start};
