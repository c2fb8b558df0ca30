use crate::Config;
use http::{HeaderMap, HeaderValue, Uri, header, uri::Authority};
use std::{collections::HashSet, net::IpAddr};

/// Which web pages may connect, and by which names they may reach the server.
///
/// Browsers let any page send requests to any server, and a page can point its own name at any address that its visitor
/// reaches. `Origin` and `Sec-Fetch-Site` are checked against the first, `Host` against the second.
#[derive(Debug)]
pub(super) struct Origins {
    allowed: HashSet<String>,
    hosts: HashSet<String>,
}

/// `Sec-Fetch-Site`, `-Mode` and `-Dest` tell which page sends a request that has no `Origin`.
const SITE: &str = "sec-fetch-site";
const MODE: &str = "sec-fetch-mode";
const DEST: &str = "sec-fetch-dest";

impl Origins {
    pub(super) fn new(config: &Config) -> Self {
        let allowed: HashSet<_> = config.allowed_origins.iter().map(|origin| origin.to_ascii_lowercase()).collect();
        let of_origins = allowed.iter().filter_map(|origin| Some(authority_of(origin)?.host().to_owned()));
        let hosts = of_origins.chain(config.allowed_hosts.iter().map(|host| host.to_ascii_lowercase())).collect();
        Self { allowed, hosts }
    }

    /// Returns why a request with these headers must not be served, if it must not. A request without `Host` is none of a
    /// browser's.
    pub(super) fn check(&self, headers: &HeaderMap, uri: &Uri) -> Result<(), &'static str> {
        let host = host(headers, uri)?;
        if host.as_ref().is_some_and(|host| !self.is_own_name(host)) {
            return Err("The server is not known by this name; the operator can add it to gateway.allowed_hosts.");
        }
        let mut origins = headers.get_all(header::ORIGIN).iter();
        let may = match (origins.next(), origins.next()) {
            (None, _) => is_own_fetch(headers, uri),
            (Some(origin), None) => self.is_allowed(origin, host.as_ref()),
            _ => false,
        };
        if may {
            return Ok(());
        }
        Err("Pages of this origin may not connect; the operator can add it to gateway.allowed_origins.")
    }

    fn is_own_name(&self, host: &Authority) -> bool {
        let name = host.host().to_ascii_lowercase();
        name == "localhost" || address(host).is_some() || self.hosts.contains(&name)
    }

    /// Another port is another origin, on this machine too: any user may listen there.
    fn is_allowed(&self, origin: &HeaderValue, host: Option<&Authority>) -> bool {
        let Ok(origin) = origin.to_str().map(str::to_ascii_lowercase) else { return false };
        if self.allowed.contains(&origin) {
            return true;
        }
        let (Some(page), Some(host)) = (authority_of(&origin), host) else { return false };
        let default = if origin.starts_with("https:") { 443 } else { 80 };
        let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
        page.host().eq_ignore_ascii_case(host.host()) && port(&page) == port(host)
    }
}

/// Whether a request without `Origin` comes from no page, from the server's own, or from somebody who follows a link to a
/// page of the server's. Browsers send no `Origin` with images, frames, and scripts of foreign pages.
fn is_own_fetch(headers: &HeaderMap, uri: &Uri) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    if !headers.contains_key(SITE) || is(SITE, "same-origin") || is(SITE, "none") {
        return true;
    }
    if is_client_script(uri) {
        return true;
    }
    let is_page = !["/socket.io", "/api/", "/metrics"].iter().any(|path| uri.path().starts_with(path));
    is_page && is(MODE, "navigate") && is(DEST, "document")
}

/// Whether it is Socket.IO's own script, which any page may load: it is public, and browsers say nothing of the page that
/// does.
fn is_client_script(uri: &Uri) -> bool {
    uri.path().strip_prefix("/socket.io/").is_some_and(|file| {
        let (name, extension) = file.rsplit_once('.').unwrap_or_default();
        extension == "js" && !name.contains('/')
    })
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

fn address(host: &Authority) -> Option<IpAddr> {
    host.host().trim_start_matches('[').trim_end_matches(']').parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str, others: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().expect("a header"));
        for (name, value) in others {
            headers.append(*name, value.parse().expect("a header"));
        }
        headers
    }

    fn check(config: &Config, host: &str, origin: Option<&str>) -> bool {
        let origin = origin.map(|origin| ("origin", origin));
        let headers = headers(host, origin.as_slice());
        Origins::new(config).check(&headers, &Uri::from_static("/socket.io/")).is_ok()
    }

    /// Covers: S2-7
    #[test]
    fn page_of_the_same_host_and_port_may_connect() {
        let config = Config::default();
        let local = |origin| check(&config, "127.0.0.1:3000", Some(origin));
        assert!(local("http://127.0.0.1:3000"));
        assert!(check(&config, "LOCALHOST:3000", Some("http://localhost:3000")));
        assert!(check(&config, "[::1]:3000", Some("http://[::1]:3000")));
        let evil =
            ["https://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "null", ""];
        let near = ["http://127.0.0.1:9999", "http://127.0.0.1", "http://localhost:3000", "http://127.0.0.2:3000"];
        for bad in evil.into_iter().chain(near).chain([
            "http://evil@127.0.0.1:3000",
            "file://",
            "http://127.0.0.1:3000/x",
            "*",
        ]) {
            assert!(!local(bad), "{bad}");
        }
    }

    /// Covers: S2-7
    #[test]
    fn name_that_is_not_configured_is_refused() {
        let config = Config { allowed_hosts: vec!["Chat.example.com".to_owned()], ..Config::default() };
        assert!(check(&config, "chat.example.com", Some("https://chat.example.com")));
        assert!(check(&config, "chat.example.com", Some("https://chat.example.com:443")));
        assert!(check(&config, "chat.example.com:443", Some("https://chat.example.com")));
        assert!(check(&config, "chat.example.com", None));
        assert!(!check(&config, "chat.example.com", Some("https://evil.example")));
        assert!(!check(&config, "chat.example.com", Some("http://localhost:3000")));
        assert!(!check(&config, "chat.example.com:3000", Some("https://chat.example.com:3001")));
        for evil in ["evil.example", "evil.example:3000", "chat.example.com.", "localhost.", "a.chat.example.com"] {
            assert!(!check(&config, evil, None), "{evil}");
            assert!(!check(&config, evil, Some(&format!("http://{evil}"))), "{evil}");
        }
        for probe in ["10.1.2.3:3000", "[fd00::1]:3000", "localhost"] {
            assert!(check(&config, probe, None), "{probe}");
        }
    }

    #[test]
    fn configured_origin_may_connect_and_none_like_it() {
        let config = Config {
            allowed_origins: vec!["https://chat.example.com".to_owned(), "http://localhost:5173".to_owned()],
            allowed_hosts: vec!["inside.example.com".to_owned()],
            ..Config::default()
        };
        assert!(check(&config, "chat.example.com", Some("https://chat.example.com")));
        assert!(check(&config, "inside.example.com", Some("https://chat.example.com")));
        assert!(check(&config, "127.0.0.1:3000", Some("http://localhost:5173")));
        for bad in ["http://chat.example.com", "https://chat.example.com:444", "https://a.chat.example.com"] {
            assert!(!check(&config, "inside.example.com", Some(bad)), "{bad}");
        }
    }

    /// Covers: S2-7
    #[test]
    fn fetch_of_a_foreign_page_without_origin_is_refused() {
        let origins = Origins::new(&Config::default());
        let may = |path: &'static str, fetch: &[(&'static str, &str)]| {
            origins.check(&headers("localhost:3000", fetch), &Uri::from_static(path)).is_ok()
        };
        for site in ["cross-site", "same-site", "nonsense"] {
            let link = [(SITE, site), (MODE, "navigate"), (DEST, "document")];
            for path in ["/", "/healthz", "/socket.io/", "/metrics", "/api/models"] {
                assert!(!may(path, &[(SITE, site)]), "{site} {path}");
                assert!(!may(path, &[(SITE, site), (MODE, "no-cors"), (DEST, "image")]), "{site} {path}");
                assert!(!may(path, &[(SITE, site), (MODE, "navigate"), (DEST, "iframe")]), "{site} {path}");
                assert_eq!(may(path, &link), matches!(path, "/" | "/healthz"), "{site} {path}");
            }
        }
        for site in ["same-origin", "none"] {
            assert!(may("/socket.io/", &[(SITE, site)]), "{site}");
        }
        let script = [(SITE, "cross-site"), (MODE, "no-cors"), (DEST, "script")];
        assert!(may("/socket.io/socket.io.js", &script), "a public script");
        assert!(!may("/socket.io/", &script) && !may("/socket.io/a/b.js", &script) && !may("/metrics.js", &script));
    }

    #[test]
    fn two_origins_or_two_hosts_are_refused() {
        let origins = Origins::new(&Config::default());
        let uri = Uri::from_static("/socket.io/");
        for name in ["origin", "host"] {
            let two = headers("localhost", &[(name, "http://localhost"), (name, "http://localhost")]);
            assert!(origins.check(&two, &uri).is_err(), "{name}");
        }
    }
}
