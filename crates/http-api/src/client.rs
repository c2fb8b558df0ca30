//! The address of the client behind trusted proxies. Every limit that counts by address uses the result.

mod fields;
mod forwarded;
mod networks;
pub(crate) mod preface;

use axum::http::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;
use std::net::{IpAddr, SocketAddr};

pub use networks::{BadNetwork, Network};

/// The header that trusted proxies write the client's address to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardedHeader {
    /// Whichever of the two a request has. If it has both and they name different clients, neither is believed.
    #[default]
    Auto,
    /// `Forwarded` of RFC 7239.
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
    /// None: only the PROXY protocol names clients.
    None,
}

/// Whether trusted proxies begin their connections with a header of the PROXY protocol, version 1 or 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyProtocol {
    /// They may.
    #[default]
    Auto,
    /// They must: a connection without it is closed.
    Required,
    /// They do not: such a connection is refused as malformed HTTP.
    Off,
}

/// The proxies whose word about the client's address is believed, and how they give it.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// Addresses and networks of the proxies. Empty: no header is believed.
    pub trusted: Vec<Network>,
    /// The header that they write.
    pub header: ForwardedHeader,
    /// Whether they speak the PROXY protocol.
    pub protocol: ProxyProtocol,
}

impl Proxies {
    /// Returns whether `address` belongs to a trusted proxy.
    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// Returns whether connections from `peer` may begin with a header of the PROXY protocol.
    pub(crate) fn reads_preface(&self, peer: IpAddr) -> bool {
        self.protocol != ProxyProtocol::Off && self.trust(peer)
    }

    /// Returns the client that a request from `peer` was sent by: the rightmost hop that is not a trusted proxy. A hop
    /// that is hidden, unknown, or malformed ends the search at the proxy that reported it, so that a forged header
    /// never names another client.
    pub(crate) fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        if !self.trust(peer.ip()) {
            return peer;
        }
        let forwarded = || self.walk(peer, forwarded::hops(headers));
        let x_forwarded_for = || self.walk(peer, fields::hops(headers));
        match self.header {
            ForwardedHeader::None => peer,
            ForwardedHeader::Forwarded => forwarded(),
            ForwardedHeader::XForwardedFor => x_forwarded_for(),
            ForwardedHeader::Auto => {
                match (headers.contains_key(forwarded::NAME), headers.contains_key(fields::NAME)) {
                    (false, false) => peer,
                    (true, false) => forwarded(),
                    (false, true) => x_forwarded_for(),
                    // A proxy replaces one of the two and passes the other one on as the client sent it.
                    (true, true) => Some(forwarded()).filter(|one| one.ip() == x_forwarded_for().ip()).unwrap_or(peer),
                }
            }
        }
    }

    /// Removes the headers if they were believed, so that those that remain were not.
    pub(crate) fn consume(&self, peer: SocketAddr, headers: &mut HeaderMap) {
        if self.client(peer, headers).ip() != peer.ip() {
            for name in [forwarded::NAME, fields::NAME] {
                headers.remove(name);
            }
        }
    }

    /// Follows `hops`, the nearest one first.
    fn walk(&self, peer: SocketAddr, hops: impl IntoIterator<Item = Option<SocketAddr>>) -> SocketAddr {
        let mut client = peer;
        for hop in hops {
            let Some(hop) = hop else { break };
            client = hop;
            if !self.trust(hop.ip()) {
                break;
            }
        }
        client
    }
}

/// Parses a node as proxies write it: an address, perhaps with a zone, in brackets, or with a port.
fn node(text: &str) -> Option<SocketAddr> {
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let address = v6(address)?;
            (address, if port.is_empty() { 0 } else { self::port(port.strip_prefix(':')?)? })
        }
        None => match text.split_once(':') {
            Some((v4, port)) if !port.contains(':') => (IpAddr::V4(v4.parse().ok()?), self::port(port)?),
            Some(_) => (v6(text)?, 0),
            None => (IpAddr::V4(text.parse().ok()?), 0),
        },
    };
    Some(SocketAddr::new(address.to_canonical(), port))
}

/// A zone names an interface of the proxy and says nothing here.
fn v6(text: &str) -> Option<IpAddr> {
    let address = match text.split_once('%') {
        Some((_, "")) => return None,
        Some((address, _)) => address,
        None => text,
    };
    address.parse().ok().map(IpAddr::V6)
}

/// RFC 7239 allows an obfuscated port, as in `_http`.
fn port(text: &str) -> Option<u16> {
    if text.strip_prefix('_').is_some_and(|rest| !rest.is_empty()) { Some(0) } else { text.parse().ok() }
}

#[cfg(test)]
mod tests;
