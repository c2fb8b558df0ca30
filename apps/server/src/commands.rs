//! What each command does.

mod audit;
mod chat;
mod completions;
mod config;
mod dev;
mod doctor;
mod image;
mod mcp;
mod policy;
mod serve;
mod sessions;
mod token;

pub(crate) use audit::audit;
pub(crate) use chat::chat;
pub(crate) use completions::completions;
pub(crate) use config::config;
pub(crate) use dev::dev;
pub(crate) use doctor::doctor;
pub(crate) use image::image;
pub(crate) use mcp::mcp;
pub(crate) use policy::policy;
pub(crate) use serve::serve;
pub(crate) use sessions::sessions;
pub(crate) use token::token;

use crate::{
    cli::Cli,
    config::{Inputs, Loaded, load},
    exit::Stop,
};
use std::path::Path;

/// Reads the configuration of this process.
fn loaded(cli: &Cli) -> Result<Loaded, Stop> {
    Ok(load(&inputs(cli)?))
}

/// What the configuration of this process is read from.
fn inputs(cli: &Cli) -> Result<Inputs, Stop> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Ok(Inputs {
        environment,
        dir: std::env::current_dir()?,
        system_file: Some(Path::new("/etc/lockkeeper/config.toml").to_owned()),
        config: cli.config.clone(),
        settings: cli.settings(),
    })
}

/// Where a person reads standard error, the log says no more than it must, unless it was asked to.
fn log_quietly(loaded: &mut Loaded) {
    if !loaded.is_set("log.level") {
        "warn".clone_into(&mut loaded.config.log.level);
    }
}
