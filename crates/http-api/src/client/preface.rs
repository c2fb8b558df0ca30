//! The PROXY protocol, versions 1 and 2: what a trusted proxy writes before the first request of a connection.

use super::ProxyProtocol;
use ppp::{HeaderResult, v1, v2};
use std::{
    io::{self, Cursor},
    net::{IpAddr, SocketAddr},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, with its end.
const MAX_V1: usize = 107;
/// The head of version 2, which holds the length of the rest.
const V2_HEAD: usize = 16;
/// The longest header of version 2 that is read. Addresses take at most 216 bytes; the rest is for extensions.
const MAX_V2: usize = 4 << 10;

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Preface {
    /// A header of this length, and the client that it names. `None`: the proxy speaks for itself, or for no address.
    Header(usize, Option<SocketAddr>),
    /// The beginning of one.
    Partial,
    /// No header.
    Absent,
    /// It begins as one and is malformed.
    Malformed,
}

/// Parses the first bytes of a connection.
pub(crate) fn parse(bytes: &[u8]) -> Preface {
    let begins = |signature: &[u8]| {
        let shared = bytes.len().min(signature.len());
        bytes.get(..shared) == signature.get(..shared)
    };
    if begins(V1) {
        return parse_v1(bytes);
    }
    if begins(V2) { parse_v2(bytes) } else { Preface::Absent }
}

fn parse_v1(bytes: &[u8]) -> Preface {
    let line = bytes.get(..bytes.len().min(MAX_V1)).unwrap_or_default();
    let Some(end) = line.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < MAX_V1 { Preface::Partial } else { Preface::Malformed };
    };
    let length = end + 2;
    match HeaderResult::parse(bytes.get(..length).unwrap_or_default()) {
        HeaderResult::V1(Ok(header)) => Preface::Header(length, source_v1(&header.addresses)),
        _ => Preface::Malformed,
    }
}

fn parse_v2(bytes: &[u8]) -> Preface {
    let Some([high, low]) = bytes.get(V2_HEAD - 2..V2_HEAD) else { return Preface::Partial };
    let length = V2_HEAD + usize::from(u16::from_be_bytes([*high, *low]));
    if length > MAX_V2 {
        return Preface::Malformed;
    }
    let Some(header) = bytes.get(..length) else { return Preface::Partial };
    match HeaderResult::parse(header) {
        HeaderResult::V2(Ok(header)) if header.command == v2::Command::Local => Preface::Header(length, None),
        HeaderResult::V2(Ok(header)) => Preface::Header(length, source_v2(&header.addresses)),
        _ => Preface::Malformed,
    }
}

fn source_v1(addresses: &v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Tcp4(ip) => Some(client(ip.source_address, ip.source_port)),
        v1::Addresses::Tcp6(ip) => Some(client(ip.source_address, ip.source_port)),
        v1::Addresses::Unknown => None,
    }
}

fn source_v2(addresses: &v2::Addresses) -> Option<SocketAddr> {
    match addresses {
        v2::Addresses::IPv4(ip) => Some(client(ip.source_address, ip.source_port)),
        v2::Addresses::IPv6(ip) => Some(client(ip.source_address, ip.source_port)),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    }
}

fn client(address: impl Into<IpAddr>, port: u16) -> SocketAddr {
    SocketAddr::new(address.into().to_canonical(), port)
}

/// Reads the header of a connection from `peer`, a trusted proxy. Returns the address that the connection counts for,
/// and what was read beyond the header.
pub(crate) async fn read<S: AsyncRead + Unpin>(
    stream: &mut S,
    peer: SocketAddr,
    protocol: ProxyProtocol,
) -> io::Result<(SocketAddr, Vec<u8>)> {
    let malformed = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let mut bytes = Vec::with_capacity(256);
    loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match parse(&bytes) {
            Preface::Header(length, client) => return Ok((client.unwrap_or(peer), bytes.split_off(length))),
            Preface::Absent if protocol == ProxyProtocol::Auto => return Ok((peer, bytes)),
            Preface::Absent => return Err(malformed("the PROXY protocol is required, and its header is missing")),
            Preface::Malformed => return Err(malformed("the header of the PROXY protocol is malformed")),
            Preface::Partial => {}
        }
    }
}

/// A stream that first returns bytes that were read from it before.
#[derive(Debug)]
pub(crate) struct Rewound<S> {
    before: Cursor<Vec<u8>>,
    inner: S,
}

impl<S> Rewound<S> {
    pub(crate) fn new(before: Vec<u8>, inner: S) -> Self {
        Self { before: Cursor::new(before), inner }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        let read = Pin::new(&mut self.before).poll_read(cx, buf);
        if read.is_ready() && buf.filled().len() > filled {
            return read;
        }
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).expect("short").to_be_bytes();
        [V2, &[0x20 | command, family], &length, body].concat()
    }

    /// Covers: S1-3
    #[test]
    fn proxy_protocol_names_the_client_in_both_versions() {
        let client = "192.0.2.1:4711".parse().expect("an address");
        let line = b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n";
        assert_eq!(parse(&[line.as_slice(), b"GET /"].concat()), Preface::Header(line.len(), Some(client)));
        let body = [192, 0, 2, 1, 198, 51, 100, 1, 0x12, 0x67, 1, 187];
        assert_eq!(parse(&v2(1, 0x11, &body)), Preface::Header(28, Some(client)));
        assert_eq!(parse(&v2(0, 0, &[])), Preface::Header(16, None));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Preface::Header(15, None));
        for end in 0..line.len() {
            assert_eq!(parse(&line[..end]), Preface::Partial, "{end}");
        }
    }

    #[test]
    fn proxy_header_that_is_malformed_is_refused() {
        assert_eq!(parse(b"POST / HTTP/1.1\r\n"), Preface::Absent);
        for bad in ["PROXY TCP4 evil 198.51.100.1 1 2\r\n", "PROXY TCP4 192.0.2.1\r\n", "PROXY \r\n"] {
            assert_eq!(parse(bad.as_bytes()), Preface::Malformed, "{bad}");
        }
        assert_eq!(parse(&[b"PROXY ".as_slice(), &[b'x'; 200]].concat()), Preface::Malformed);
        assert_eq!(parse(&[V2, &[0x21, 0x11, 0xff, 0xff]].concat()), Preface::Malformed);
        assert_eq!(parse(&v2(1, 0x11, &[1, 2])), Preface::Malformed);
    }
}
