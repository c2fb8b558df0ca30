//! `lockkeeper sessions`: the sessions of a running server, over its admin API.

pub(super) mod api;
mod table;

use crate::{
    beacon,
    chat::Address,
    cli::{Cli, SessionsArgs, SessionsCommand},
    config::Loaded,
    exit::Stop,
};
use anyhow::{Context as _, anyhow};
use api::{ADMIN_TOKEN, AdminClient, Failed};
use secrecy::SecretString;
use serde_json::Value;
use std::{net::IpAddr, process::ExitCode};

/// Lists, shows or ends sessions.
pub(crate) async fn sessions(cli: &Cli, args: &SessionsArgs) -> Result<ExitCode, Stop> {
    let loaded = super::loaded(cli)?;
    let client = client(&loaded, args.url.as_deref(), args.token.as_deref()).await?;
    match &args.command {
        SessionsCommand::List { owner, limit } => {
            let listed = client.list(owner.as_deref(), *limit).await.map_err(stop)?;
            show(args.json, &listed, table::list);
        }
        SessionsCommand::Show { id } => {
            let shown = client.show(id).await.map_err(stop)?;
            show(args.json, &shown, table::session);
        }
        SessionsCommand::End { id } => {
            let ended = client.end(id).await.map_err(stop)?;
            show(args.json, &ended, |_| format!("{id} is ended; its history is kept\n"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(json: bool, answer: &Value, text: impl Fn(&Value) -> String) {
    if json {
        println!("{answer}");
    } else {
        print!("{}", text(answer));
    }
}

/// The one that was given, else where the configuration's server listens.
fn address(loaded: &Loaded, given: Option<&str>) -> Result<Address, Stop> {
    if let Some(url) = given {
        return Ok(Address::parse(url)?);
    }
    let server = &loaded.config.server;
    if server.port == 0 {
        return Err(
            anyhow!("the server's port is taken at its start: say where it is with `--url http://HOST:PORT`").into()
        );
    }
    // A server that listens on every address of its machine is asked on this one.
    let host = match server.host {
        host if !host.is_unspecified() => host,
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(_) => IpAddr::from(std::net::Ipv6Addr::LOCALHOST),
    };
    Ok(Address::parse(&std::net::SocketAddr::new(host, server.port).to_string())?)
}

/// Whom to ask: the server that was named, else the one that has the configured store, else where the configuration has it
/// listen. Without an admin token a server of this machine is asked as its user.
pub(super) async fn client(loaded: &Loaded, url: Option<&str>, given: Option<&str>) -> Result<AdminClient, Stop> {
    let found = if url.is_none() { beacon::find(loaded).await } else { None };
    let (named, user) = match found {
        Some(found) => (Some(found.url), Some(found.token)),
        None => (url.map(str::to_owned), None),
    };
    match (token(loaded, given), user) {
        (Ok(token), _) => Ok(AdminClient::new(address(loaded, named.as_deref())?, token)),
        (Err(_), Some(user)) => {
            Ok(AdminClient::of_user(address(loaded, named.as_deref())?, user.or_else(|| only(loaded))))
        }
        (Err(missing), None) => Err(missing),
    }
}

/// The token of the only user that the configuration knows.
fn only(loaded: &Loaded) -> Option<SecretString> {
    let mut tokens = loaded.config.auth.tokens.values();
    tokens.next().filter(|_| tokens.next().is_none()).cloned()
}

fn token(loaded: &Loaded, given: Option<&str>) -> Result<SecretString, Stop> {
    let configured = loaded.config.http.admin_token.clone();
    let token = given.map(|token| SecretString::from(token.to_owned())).or(configured);
    Ok(token.context(ADMIN_TOKEN)?)
}

/// A server that does not answer is unavailable; whatever else it says is a failure.
pub(super) fn stop(failed: Failed) -> Stop {
    match failed {
        Failed::Unreachable(error) => Stop::Unavailable(vec![error]),
        Failed::Refused(error) => Stop::Failed(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, load};
    use secrecy::ExposeSecret as _;

    fn loaded(variables: &[(&str, &str)]) -> Loaded {
        let dir = std::env::temp_dir().join("lockkeeper-no-such-directory");
        let environment = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        load(&Inputs { environment, dir, system_file: None, config: None, settings: Vec::new() })
    }

    #[test]
    fn the_address_is_given_or_the_configurations() {
        let at = |variables: &[(&str, &str)], given| address(&loaded(variables), given).map(|at| at.to_string());
        assert_eq!(at(&[], None).ok().as_deref(), Some("http://127.0.0.1:3000"));
        let everywhere = [("LOCKKEEPER_SERVER__HOST", "0.0.0.0"), ("PORT", "8080")];
        assert_eq!(at(&everywhere, None).ok().as_deref(), Some("http://127.0.0.1:8080"));
        assert_eq!(at(&[("LOCKKEEPER_SERVER__HOST", "::")], None).ok().as_deref(), Some("http://[::1]:3000"));
        assert_eq!(at(&everywhere, Some("http://there:1")).ok().as_deref(), Some("http://there:1"));
        for (variables, given) in [(&[("PORT", "0")][..], None), (&[], Some("https://there"))] {
            assert!(matches!(at(variables, given), Err(Stop::Failed(_))));
        }
    }

    #[test]
    fn the_token_is_given_or_the_configurations() {
        let set = [("LOCKKEEPER_HTTP__ADMIN_TOKEN", "configured-token")];
        let of = |variables: &[(&str, &str)], given| token(&loaded(variables), given).ok();
        assert_eq!(of(&set, None).expect("a token").expose_secret(), "configured-token");
        assert_eq!(of(&set, Some("given")).expect("a token").expose_secret(), "given");
        assert!(of(&[], None).is_none());
    }
}
