//! The real binary, spoken to as its peers do.

mod client;
mod commands;
mod files;
mod hold;
mod identity;
mod process;
mod protocol;
mod supervisor;
