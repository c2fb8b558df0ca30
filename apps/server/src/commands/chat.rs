//! `lockkeeper chat`.

use super::dev::accept_isolation;
use crate::{
    beacon,
    bootstrap::{self, Running},
    chat::{self, Address, Target, Wish},
    cli::{ChatArgs, Cli},
    config::{Mode, Setting},
    exit::Stop,
    logging,
};
use secrecy::SecretString;
use std::process::ExitCode;

/// Talks with a server: the one that was named, or one for this conversation alone.
pub(crate) async fn chat(cli: &Cli, args: &ChatArgs) -> Result<ExitCode, Stop> {
    let wish = |address, token| Wish {
        target: Target { address, token, session: args.session.clone() },
        yes: args.yes,
        text: (!args.text.is_empty()).then(|| args.text.join(" ")),
    };
    let token = args.token.clone().map(SecretString::from);
    if let Some(url) = &args.url {
        return Ok(chat::run(wish(Address::parse(url)?, token)).await?);
    }
    // One that has the store already, and the sessions with it.
    if let Some(found) = beacon::find(&super::loaded(cli)?).await {
        eprintln!("lockkeeper: a server runs at {}; talking to it", found.url);
        return Ok(chat::run(wish(Address::parse(&found.url)?, token.or(found.token))).await?);
    }
    let running = Box::pin(own_server(cli, args.accept_no_isolation)).await?;
    let token = token.or_else(|| running.token().cloned());
    let outcome = chat::run(wish(Address::parse(running.url())?, token)).await;
    running.end().await;
    Ok(outcome?)
}

async fn own_server(cli: &Cli, accept_no_isolation: bool) -> Result<Running, Stop> {
    let mut inputs = super::inputs(cli)?;
    let setting =
        |path: &str, value: &str| Setting { flag: "chat".to_owned(), path: path.to_owned(), value: value.to_owned() };
    inputs.settings.push(setting("server.host", "127.0.0.1"));
    inputs.settings.push(setting("server.port", "0"));
    let mut loaded = crate::config::load(&inputs);
    super::log_quietly(&mut loaded);
    logging::start(&loaded.config.log)?;
    let ground = bootstrap::lay(loaded, Mode::Dev).await.map_err(explain)?;
    accept_isolation(&ground, accept_no_isolation)?;
    bootstrap::start(ground).await
}

/// A store that is in use is most likely a server's that runs already.
fn explain(stop: Stop) -> Stop {
    let Stop::Unavailable(mut errors) = stop else { return stop };
    errors.push(anyhow::anyhow!("if a server runs already, talk to it: lockkeeper chat --url http://127.0.0.1:3000"));
    Stop::Unavailable(errors)
}
