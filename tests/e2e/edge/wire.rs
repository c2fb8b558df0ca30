use anyhow::{Context, Result, bail, ensure};
use lockkeeper_tests::{PATIENCE, Server};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

/// The bits and operations of a frame's first byte (RFC 6455, section 5.2).
pub(super) const FINAL: u8 = 0x80;
pub(super) const TEXT: u8 = 0x1;
pub(super) const BINARY: u8 = 0x2;
pub(super) const MASKED: u8 = 0x80;

/// A WebSocket whose bytes are written by hand, right or wrong.
pub(super) struct Wire {
    stream: TcpStream,
    /// What came in and was not looked at.
    unread: Vec<u8>,
}

/// How an upgrade went: the connection, or the head of the refusal.
pub(super) enum Upgrade {
    Done(Wire),
    Refused(String),
}

impl Wire {
    /// Asks for the upgrade of a new connection, which keeps little for its reader.
    pub(super) async fn ask(server: &Server, query: &str) -> Result<Upgrade> {
        let address: SocketAddr = server.url().trim_start_matches("http://").trim_end_matches('/').parse()?;
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(64 << 10)?;
        let mut stream = timeout(PATIENCE, socket.connect(address)).await??;
        stream.set_nodelay(true)?;
        let head = format!(
            "GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut wire = Self { stream, unread: Vec::new() };
        let head = wire.until(b"\r\n\r\n").await.context("no answer to the upgrade")?;
        let head = String::from_utf8_lossy(&head).into_owned();
        if head.starts_with("HTTP/1.1 101") { Ok(Upgrade::Done(wire)) } else { Ok(Upgrade::Refused(head)) }
    }

    /// Connects, up to `system:ready` of this session.
    pub(super) async fn ready(server: &Server, session: &str) -> Result<Self> {
        match Self::ask(server, &format!("&sessionId={session}")).await? {
            Upgrade::Refused(head) => bail!("the upgrade was refused: {head}"),
            Upgrade::Done(mut wire) => {
                wire.text("40{}").await?;
                wire.until(b"\"system:ready\"").await?;
                Ok(wire)
            }
        }
    }

    /// Sends a text frame.
    pub(super) async fn text(&mut self, text: &str) -> Result<()> {
        self.bytes(&frame(FINAL | TEXT, text.as_bytes())).await
    }

    /// Sends bytes as they are.
    pub(super) async fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(timeout(PATIENCE, self.stream.write_all(bytes)).await??)
    }

    /// Reads up to the end of the first `wanted`, and hands out everything up to there.
    pub(super) async fn until(&mut self, wanted: &[u8]) -> Result<Vec<u8>> {
        self.until_any(&[wanted]).await
    }

    /// The same with the first of several.
    pub(super) async fn until_any(&mut self, wanted: &[&[u8]]) -> Result<Vec<u8>> {
        let longest = wanted.iter().map(|wanted| wanted.len()).max().unwrap_or_default();
        let mut seen: usize = 0;
        loop {
            let from = seen.saturating_sub(longest);
            let end = |wanted: &&[u8]| {
                let at = self.unread[from..].windows(wanted.len()).position(|found| found == *wanted)?;
                Some(from + at + wanted.len())
            };
            if let Some(end) = wanted.iter().filter_map(end).min() {
                let rest = self.unread.split_off(end);
                return Ok(std::mem::replace(&mut self.unread, rest));
            }
            seen = self.unread.len();
            let said = || {
                format!("while waiting for {:?}", wanted.iter().map(|w| String::from_utf8_lossy(w)).collect::<Vec<_>>())
            };
            ensure!(self.read().await.with_context(said)? > 0, "the server closed the connection {}", said());
        }
    }

    /// Reads up to the connection's end.
    pub(super) async fn until_closed(&mut self) -> Result<()> {
        loop {
            match self.read().await {
                Ok(0) => return Ok(()),
                Ok(_) => self.unread.clear(),
                Err(error) if error.is::<std::io::Error>() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends the connection as a machine does that forgot of it: with a reset, and not with a farewell.
    pub(super) fn reset(self) -> Result<()> {
        Ok(self.stream.set_zero_linger()?)
    }

    async fn read(&mut self) -> Result<usize> {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
        Ok(read.context("nothing came in time")??)
    }
}

/// A frame of a client, whose mask changes nothing.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

/// The head of a frame that claims to have so many bytes.
pub(super) fn header(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..126), _) => header.push(MASKED | length),
        (_, Ok(length)) => {
            header.push(MASKED | 0x7e);
            header.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            header.push(MASKED | 0x7f);
            header.extend_from_slice(&length.to_be_bytes());
        }
    }
    header.extend_from_slice(&[0; 4]);
    header
}
