//! Where a server is, as people write it.

use anyhow::{Result, bail, ensure};
use std::fmt::Write as _;

/// A server's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    /// Host and port, as in `127.0.0.1:3000`.
    authority: String,
}

impl Address {
    /// Reads `http://HOST[:PORT]`, also with `ws` or without a scheme; a path, a query and a fragment are left out,
    /// so that the console's address can be pasted.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let rest = match text.split_once("://") {
            Some(("http" | "ws", rest)) => rest,
            Some(("https" | "wss", _)) => {
                bail!("{text}: this client speaks no TLS; give the http address of the server or of a tunnel to it")
            }
            Some((scheme, _)) => bail!("{text}: `{scheme}` is no scheme of a server; write http://HOST:PORT"),
            None => text,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        ensure!(!authority.is_empty() && authority.chars().all(fits), "{text}: write the address as http://HOST:PORT");
        Ok(Self { authority: authority.to_owned() })
    }

    /// Host and port, as in `127.0.0.1:3000`; the port may be missing.
    pub(crate) fn authority(&self) -> &str {
        &self.authority
    }

    /// Whether the address names a port.
    pub(crate) fn has_port(&self) -> bool {
        let after_host = self.authority.rsplit_once(']').map_or(self.authority.as_str(), |(_, port)| port);
        after_host.contains(':')
    }

    /// The address of the WebSocket for a session.
    pub(super) fn websocket(&self, session: Option<&str>) -> String {
        let mut url = format!("ws://{}/socket.io/?EIO=4&transport=websocket", self.authority);
        if let Some(session) = session {
            let _ = write!(url, "&sessionId={session}");
        }
        url
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

/// Whether `id` may name a session: `[A-Za-z0-9_-]{1,128}`.
pub(crate) fn is_session_id(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_as_people_write_it() {
        for text in
            ["http://127.0.0.1:3000", "ws://127.0.0.1:3000/", "127.0.0.1:3000", "http://127.0.0.1:3000/x?y#token=z"]
        {
            let address = Address::parse(text).expect(text);
            assert_eq!(address.to_string(), "http://127.0.0.1:3000");
        }
        for (text, has_port) in [("a", false), ("a:1", true), ("[::1]", false), ("[::1]:80", true)] {
            assert_eq!(Address::parse(text).expect(text).has_port(), has_port, "{text}");
        }
        let address = Address::parse("http://[::1]:80").expect("IPv6");
        let expected = "ws://[::1]:80/socket.io/?EIO=4&transport=websocket&sessionId=a";
        assert_eq!(address.websocket(Some("a")), expected);
    }

    #[test]
    fn other_addresses_are_refused() {
        for text in ["https://x", "wss://x", "ftp://x", "http://", "", "http://a b", "http://u@h"] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
