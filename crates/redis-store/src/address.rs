//! What an address says, and how it is shown: without its secrets.

use crate::{Config, tls};
use fred::types::config::{Config as Client, ServerConfig};
use secrecy::ExposeSecret as _;
use std::fmt;

/// An address as people may see it, without user and password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address(String);

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why an address is none.
#[derive(Debug, thiserror::Error)]
#[error("`{shown}` is no address of a Redis: {why}")]
pub struct BadAddress {
    shown: String,
    why: String,
}

/// The schemes, and which of them have TLS.
const SCHEMES: &[(&str, bool)] = &[
    ("redis", false),
    ("rediss", true),
    ("redis-sentinel", false),
    ("rediss-sentinel", true),
    ("redis-cluster", false),
    ("rediss-cluster", true),
    ("redis+unix", false),
];

impl Config {
    /// Checks the address. What is wrong is said without its secrets.
    pub fn check_address(&self) -> Result<(), BadAddress> {
        let text = self.url.expose_secret();
        parse(text).map(drop).map_err(|why| BadAddress { shown: shown_text(text), why })
    }

    /// The address as it may be shown: without user, password and parameters.
    pub fn shown_address(&self) -> String {
        let text = self.url.expose_secret();
        parse(text).map_or_else(|_| shown_text(text), |(_, address, _)| address.0)
    }
}

/// What the client needs to know of the address.
pub(crate) fn client_from_config(config: &Config) -> Result<(Client, Address), BadAddress> {
    let text = config.url.expose_secret();
    let bad = |why: String| BadAddress { shown: shown_text(text), why };
    let (mut client, address, has_tls) = parse(text).map_err(bad)?;
    if has_tls {
        client.tls = Some(tls::from_config(config).map_err(bad)?);
    }
    Ok((client, address))
}

/// The client's settings without TLS, the shown address, and whether it has TLS.
fn parse(text: &str) -> Result<(Client, Address, bool), String> {
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme, as in `redis://127.0.0.1:6379`")?;
    let Some((_, has_tls)) = SCHEMES.iter().find(|(known, _)| *known == scheme) else {
        let known: Vec<_> = SCHEMES.iter().map(|(known, _)| *known).collect();
        return Err(format!("the scheme `{scheme}` is none of {}", known.join(", ")));
    };
    // The client would take the system's certificates for each TLS scheme; ours are told apart, in `tls`.
    let plain = format!("{}://{rest}", scheme.replacen("rediss", "redis", 1));
    let client = match scheme {
        "redis+unix" => over_socket(rest)?,
        _ => Client::from_url(&plain).map_err(|error| error.details().to_owned())?,
    };
    if client.server.is_clustered() && client.database.is_some_and(|database| database != 0) {
        return Err("a cluster has no databases but 0".to_owned());
    }
    let address = Address(shown(scheme, &client));
    Ok((client, address, *has_tls))
}

/// A socket's path, and before it a user and a password if there is an `@`.
fn over_socket(rest: &str) -> Result<Client, String> {
    let slash = rest.find('/').filter(|slash| *slash == 0 || rest[..*slash].ends_with('@'));
    let slash = slash.ok_or("a socket's path starts with a slash, as in `redis+unix:///run/redis.sock`")?;
    let (credentials, path) = rest.split_at(slash);
    let mut client = Client::from_url(&format!("redis://{credentials}localhost"))
        .map_err(|_| "its user and password cannot be read: write special characters as in `%40`")?;
    client.server = ServerConfig::new_unix_socket(path);
    Ok(client)
}

fn shown(scheme: &str, client: &Client) -> String {
    let hosts = |hosts: &[fred::types::config::Server]| {
        let hosts: Vec<_> = hosts.iter().map(|server| format!("{}:{}", server.host, server.port)).collect();
        hosts.join(",")
    };
    let database = client.database.map(|database| format!("/{database}")).unwrap_or_default();
    match &client.server {
        ServerConfig::Centralized { server } => format!("{scheme}://{}:{}{database}", server.host, server.port),
        ServerConfig::Clustered { hosts: all, .. } => format!("{scheme}://{}", hosts(all)),
        ServerConfig::Sentinel { hosts: all, service_name, .. } => {
            format!("{scheme}://{}{database} (service {service_name})", hosts(all))
        }
        ServerConfig::Unix { path } => format!("{scheme}://{}", path.display()),
    }
}

/// An address that cannot be read, without what may be a secret in it.
fn shown_text(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match (text.split_once("://"), text.rfind('@')) {
        (Some((scheme, _)), Some(at)) => format!("{scheme}://***@{}", &text[at + 1..]),
        (None, Some(at)) => format!("***@{}", &text[at + 1..]),
        (_, None) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, shown: &str) {
        let config = Config::at(url);
        config.check_address().unwrap();
        assert_eq!(config.shown_address(), shown);
    }

    #[test]
    fn addresses_are_shown_without_their_secrets() {
        check("redis://127.0.0.1", "redis://127.0.0.1:6379");
        check("redis://user:pw@host:1/2", "redis://host:1/2");
        check("rediss://:pw@host", "rediss://host:6379");
        check("redis+unix:///run/r.sock", "redis+unix:///run/r.sock");
        check("redis+unix://u:pw@/run/r.sock", "redis+unix:///run/r.sock");
        check("redis-cluster://u:pw@a:1?node=b:2", "redis-cluster://b:2,a:1");
        check(
            "redis-sentinel://a:1/3?sentinelServiceName=main&sentinelPassword=pw",
            "redis-sentinel://a:1/3 (service main)",
        );
    }

    #[test]
    fn a_bad_address_says_why_and_keeps_its_secrets() {
        for (url, why) in [
            ("127.0.0.1:6379", "no scheme"),
            ("http://u:pw@h", "none of redis"),
            ("redis://:pw@", ""),
            ("redis-sentinel://:pw@h", "service"),
            ("redis-cluster://:pw@h/3", "Clusters"),
            ("redis+unix://run/r.sock", "slash"),
            ("redis://u:pw@h/x", ""),
        ] {
            match Config::at(url).check_address() {
                Err(error) => {
                    let text = error.to_string();
                    assert!(text.contains(why) && !text.contains("pw"), "{url}: {text}");
                }
                Ok(()) => assert_eq!(why, "Clusters", "{url}"),
            }
        }
    }

    #[test]
    fn passwords_and_databases_reach_the_client() {
        let (client, _, has_tls) = parse("rediss://ada:s%40cret@h:7/5").unwrap();
        assert_eq!((client.username.as_deref(), client.password.as_deref()), (Some("ada"), Some("s@cret")));
        let (socket, ..) = parse("redis+unix://:s%40cret@/run/r.sock").unwrap();
        assert_eq!((socket.username, socket.password.as_deref()), (None, Some("s@cret")));
        assert_eq!((client.database, has_tls, client.tls.is_none()), (Some(5), true, true));
    }
}
