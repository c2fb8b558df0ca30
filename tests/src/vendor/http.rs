use serde_json::Value;
use std::{io, time::Instant};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A question as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method and the path.
    pub line: String,
    /// The head of the request, with the line, in lower case.
    pub head: String,
    /// The body.
    pub body: Value,
    /// When it was there.
    pub at: Instant,
}

impl Asked {
    /// Whether this value is in the body, at any depth, as it is.
    pub fn holds(&self, value: &Value) -> bool {
        holds(&self.body, value)
    }

    /// Whether these words are in the body.
    pub fn says(&self, words: &str) -> bool {
        self.body.to_string().contains(words)
    }
}

fn holds(within: &Value, wanted: &Value) -> bool {
    let inside = match within {
        Value::Array(items) => items.iter().any(|item| holds(item, wanted)),
        Value::Object(fields) => fields.values().any(|field| holds(field, wanted)),
        _ => false,
    };
    inside || within == wanted
}

/// What the vendor answers.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
    finish: Finish,
}

/// What comes after the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finish {
    /// Its end, as HTTP has it.
    Whole,
    /// The end of the connection.
    Broken,
    /// Nothing, until the client goes.
    Hang,
}

impl Answer {
    /// A stream of events.
    pub fn stream(body: impl Into<String>) -> Self {
        Self::new(200, "text/event-stream", body.into())
    }

    /// A value.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    fn new(status: u16, kind: &str, body: String) -> Self {
        Self { status, headers: vec![("content-type", kind.to_owned())], body, finish: Finish::Whole }
    }

    /// With this header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// The connection ends within the body.
    #[must_use]
    pub fn broken(self) -> Self {
        Self { finish: Finish::Broken, ..self }
    }

    /// Nothing comes after what there is of the body.
    #[must_use]
    pub fn hanging(self) -> Self {
        Self { finish: Finish::Hang, ..self }
    }
}

/// The request of a connection, if one comes.
pub(super) async fn read(socket: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let line = head.split(" HTTP/").next().unwrap_or_default().to_owned();
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let end = head_end + 4 + length.unwrap_or(0_usize);
    while bytes.len() < end {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[head_end + 4..end]).unwrap_or_default();
    Some(Asked { line, head, body, at: Instant::now() })
}

/// Writes an answer; whether it hung until the client went.
pub(super) async fn write(socket: &mut TcpStream, answer: &Answer) -> io::Result<bool> {
    let mut head = format!("HTTP/1.1 {} -\r\nconnection: close\r\ntransfer-encoding: chunked\r\n", answer.status);
    for (name, value) in &answer.headers {
        head = format!("{head}{name}: {value}\r\n");
    }
    let mut bytes = format!("{head}\r\n");
    if !answer.body.is_empty() {
        bytes = format!("{bytes}{:x}\r\n{}\r\n", answer.body.len(), answer.body);
    }
    if answer.finish == Finish::Whole {
        bytes.push_str("0\r\n\r\n");
    }
    socket.write_all(bytes.as_bytes()).await?;
    if answer.finish != Finish::Hang {
        socket.shutdown().await?;
        return Ok(false);
    }
    let mut rest = [0; 64];
    while socket.read(&mut rest).await.is_ok_and(|read| read > 0) {}
    Ok(true)
}
