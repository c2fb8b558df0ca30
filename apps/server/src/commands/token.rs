//! `lockkeeper token`.

use crate::{
    cli::{Cli, TokenCommand, TokenCreateArgs},
    clock::SystemClock,
    config::AuthMode,
    exit::Stop,
    random,
};
use anyhow::Context as _;
use lockkeeper_jwt_auth::{TokenRequest, mint};
use lockkeeper_ports::{Clock as _, Principal};
use secrecy::ExposeSecret as _;
use std::process::ExitCode;

/// Makes tokens.
pub(crate) fn token(cli: &Cli, command: &TokenCommand) -> Result<ExitCode, Stop> {
    let TokenCommand::Create(TokenCreateArgs { name, valid_secs, powers }) = command;
    let name = Principal::id_from(name).with_context(|| format!("{name:?} cannot name a user"))?;
    let loaded = super::loaded(cli)?;
    let auth = &loaded.config.auth;
    if auth.mode() == AuthMode::Jwt {
        let id = random::hex::<8>()?;
        let request = TokenRequest { subject: name.as_str(), secs: *valid_secs, id: &id, powers };
        let token = mint(&auth.jwt, request, SystemClock.now())
            .context("no token was made: `auth.jwt` says which are taken")?;
        println!("{}", token.expose_secret());
        return Ok(ExitCode::SUCCESS);
    }
    let key = toml::Value::String(name.as_str().to_owned());
    println!("{key} = \"{}\"", random::hex::<32>()?);
    eprintln!("lockkeeper: put this line below `[auth.tokens]`, and give the token to its user alone");
    Ok(ExitCode::SUCCESS)
}
