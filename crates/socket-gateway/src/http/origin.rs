use crate::Config;
use http::{HeaderMap, HeaderValue, Uri, header, uri::Authority};
use std::{collections::HashSet, net::IpAddr};

/// Which web pages may connect, and by which names they may reach the server.
///
/// Browsers let any page open a WebSocket to any server, and a page can point its own name at an address of the visitor's
/// machine. The first is what `Origin` is checked for, the second what `Host` is checked for.
#[derive(Debug)]
pub(super) struct Origins {
    allowed: HashSet<String>,
    hosts: HashSet<String>,
}

impl Origins {
    pub(super) fn new(config: &Config) -> Self {
        let allowed: HashSet<_> = config.allowed_origins.iter().map(|origin| origin.to_ascii_lowercase()).collect();
        let of_origins = allowed.iter().filter_map(|origin| Some(authority_of(origin)?.host().to_owned()));
        let hosts = of_origins.chain(config.allowed_hosts.iter().map(|host| host.to_ascii_lowercase())).collect();
        Self { allowed, hosts }
    }

    /// Why a request from `peer` with these headers must not be served, if it must not.
    pub(super) fn check(&self, headers: &HeaderMap, uri: &Uri, peer: Option<IpAddr>) -> Result<(), &'static str> {
        let host = host(headers, uri)?;
        let from_here = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
        if from_here && host.as_ref().is_some_and(|host| !self.is_own_name(host)) {
            return Err("The server is not known by this name; the operator can add it to allowed_hosts.");
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => Ok(()),
            (Some(origin), None) if self.is_allowed(origin, host.as_ref()) => Ok(()),
            _ => Err("Pages of this origin may not connect; the operator can add it to allowed_origins."),
        }
    }

    fn is_own_name(&self, host: &Authority) -> bool {
        is_loopback(host) || address(host).is_some() || self.hosts.contains(&host.host().to_ascii_lowercase())
    }

    fn is_allowed(&self, origin: &HeaderValue, host: Option<&Authority>) -> bool {
        let Ok(origin) = origin.to_str().map(str::to_ascii_lowercase) else { return false };
        if self.allowed.contains(&origin) {
            return true;
        }
        let (Some(page), Some(host)) = (authority_of(&origin), host) else { return false };
        let same = page.as_str().eq_ignore_ascii_case(host.as_str());
        same || (is_loopback(&page) && is_loopback(host))
    }
}

/// Whether `text` is an origin as browsers write it.
pub(crate) fn is_origin(text: &str) -> bool {
    text == "null" || authority_of(text).is_some()
}

/// `name:port` of an origin, without a port where it is the scheme's own.
fn authority_of(origin: &str) -> Option<Authority> {
    let (scheme, rest) = origin.split_once("://")?;
    let well_formed = matches!(scheme, "http" | "https") && !rest.contains(['/', '?', '#', '@', ' ', '*']);
    well_formed.then(|| rest.parse().ok()).flatten()
}

/// The name by which the server was reached, if the client said.
fn host(headers: &HeaderMap, uri: &Uri) -> Result<Option<Authority>, &'static str> {
    if let Some(authority) = uri.authority() {
        return Ok(Some(authority.clone()));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => return Ok(None),
        (Some(host), None) => host.to_str().ok().and_then(|host| host.parse().ok()),
        _ => None,
    };
    host.map(Some).ok_or("The Host header cannot be read.")
}

fn is_loopback(host: &Authority) -> bool {
    let name = host.host();
    name.eq_ignore_ascii_case("localhost") || address(host).is_some_and(|address| address.to_canonical().is_loopback())
}

fn address(host: &Authority) -> Option<IpAddr> {
    host.host().trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(config: &Config, host: &str, origin: Option<&str>, peer: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().expect("a header"));
        }
        let peer = Some(peer.parse().expect("an address"));
        Origins::new(config).check(&headers, &Uri::from_static("/socket.io/"), peer).is_ok()
    }

    #[test]
    fn by_default_the_servers_own_pages_and_local_ones_may_connect() {
        let config = Config::default();
        let local = |origin| check(&config, "127.0.0.1:3000", Some(origin), "127.0.0.1");
        for good in ["http://127.0.0.1:3000", "http://localhost:5173", "http://[::1]:8080", "http://LOCALHOST:1"] {
            assert!(local(good), "{good}");
        }
        let evil =
            ["https://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "null", ""];
        for bad in evil.into_iter().chain(["http://evil@localhost:3000", "file://", "http://localhost:3000/evil", "*"])
        {
            assert!(!local(bad), "{bad}");
        }
        assert!(check(&config, "chat.example.com", Some("https://chat.example.com"), "192.0.2.7"));
        assert!(!check(&config, "chat.example.com", Some("https://evil.example"), "192.0.2.7"));
        assert!(!check(&config, "chat.example.com", Some("http://localhost:3000"), "192.0.2.7"));
        assert!(!check(&config, "chat.example.com:3000", Some("https://chat.example.com:3001"), "192.0.2.7"));
    }

    #[test]
    fn a_client_without_an_origin_is_no_browser() {
        assert!(check(&Config::default(), "127.0.0.1:3000", None, "127.0.0.1"));
        assert!(check(&Config::default(), "chat.example.com", None, "192.0.2.7"));
    }

    #[test]
    fn a_page_that_points_its_own_name_at_this_machine_is_refused() {
        let config = Config::default();
        assert!(!check(&config, "evil.example:3000", Some("http://evil.example:3000"), "127.0.0.1"));
        assert!(!check(&config, "evil.example:3000", None, "127.0.0.1"));
        assert!(check(&config, "192.0.2.1:3000", Some("http://192.0.2.1:3000"), "127.0.0.1"));
    }

    #[test]
    fn what_is_configured_may_connect_and_nothing_else_of_its_kind() {
        let config = Config {
            allowed_origins: vec!["https://chat.example.com".to_owned()],
            allowed_hosts: vec!["inside.example.com".to_owned()],
            ..Config::default()
        };
        let proxied = |host, origin| check(&config, host, origin, "127.0.0.1");
        assert!(proxied("chat.example.com", Some("https://chat.example.com")));
        assert!(proxied("inside.example.com", Some("https://chat.example.com")));
        assert!(proxied("inside.example.com", None));
        for bad in ["http://chat.example.com", "https://chat.example.com:444", "https://a.chat.example.com"] {
            assert!(!proxied("inside.example.com", Some(bad)), "{bad}");
        }
    }

    #[test]
    fn two_origins_or_two_hosts_are_none() {
        let origins = Origins::new(&Config::default());
        let uri = Uri::from_static("/socket.io/");
        for name in [header::ORIGIN, header::HOST] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("localhost"));
            headers.append(&name, HeaderValue::from_static("http://localhost"));
            headers.append(&name, HeaderValue::from_static("http://localhost"));
            assert!(origins.check(&headers, &uri, None).is_err(), "{name}");
        }
    }
}
