//! A server on loopback that answers as a test wrote down, one connection to a request.
#![expect(dead_code, reason = "each test executable uses its own part of the server")]

use futures::future::BoxFuture;
use serde_json::Value;
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    chunks: Vec<Vec<u8>>,
    end: End,
}

/// What happens after the last chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The body ends as HTTP has it.
    Whole,
    /// The connection ends within the body.
    Broken,
    /// Nothing, until the client goes.
    Hang,
    /// Not even the status comes.
    Mute,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, chunks: vec![body.into()], end: End::Whole }
    }

    pub(crate) fn stream(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, "text/event-stream", body)
    }

    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    pub(crate) fn mute() -> Self {
        Self { end: End::Mute, ..Self::stream("") }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// In chunks of `size` bytes.
    pub(crate) fn chunked(mut self, size: usize) -> Self {
        self.chunks = self.chunks.concat().chunks(size).map(<[u8]>::to_vec).collect();
        self
    }

    /// Only the first `end` bytes.
    pub(crate) fn cut(mut self, end: usize) -> Self {
        let mut body = self.chunks.concat();
        body.truncate(end);
        self.chunks = vec![body];
        self
    }

    pub(crate) fn broken(self) -> Self {
        Self { end: End::Broken, ..self }
    }

    pub(crate) fn hang(self) -> Self {
        Self { end: End::Hang, ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} -\r\nconnection: close\r\ntransfer-encoding: chunked\r\n", self.status);
        for (name, value) in &self.headers {
            bytes = format!("{bytes}{name}: {value}\r\n");
        }
        let mut bytes = format!("{bytes}\r\n").into_bytes();
        for chunk in self.chunks.iter().filter(|chunk| !chunk.is_empty()) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        if self.end == End::Whole {
            bytes.extend(b"0\r\n\r\n");
        }
        bytes
    }
}

/// A request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Value,
}

impl Request {
    /// The method and the path.
    pub(crate) fn line(&self) -> &str {
        self.head.split(" HTTP/").next().unwrap_or_default()
    }
}

type Answerer = dyn Fn(&Request) -> Reply + Send + Sync;

/// The server. It ends with its last handle.
pub(crate) struct Server {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    /// How many connections clients have closed on a reply that hangs.
    left: watch::Receiver<usize>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// A server that gives these replies, one to each request, and then 418.
    pub(crate) async fn scripted(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Mutex<VecDeque<Reply>> = Mutex::new(replies.into_iter().collect());
        let next = move || replies.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        Self::answering(move |_| next().unwrap_or_else(|| Reply::new(418, "text/plain", "the script is over"))).await
    }

    /// A server that answers as `answer` says.
    pub(crate) async fn answering(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (leave, left) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::new(answer), Arc::clone(&requests), leave));
        Self { url, requests, left, _tasks: tasks }
    }

    /// All requests so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `count` clients have closed their connection on a reply that hangs.
    pub(crate) async fn until_left(&self, count: usize) {
        self.left.clone().wait_for(|left| *left >= count).await.expect("the server runs");
    }
}

async fn accept(
    listener: TcpListener,
    answer: Arc<Answerer>,
    requests: Arc<Mutex<Vec<Request>>>,
    leave: watch::Sender<usize>,
) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((socket, _)) = listener.accept().await else { continue };
        connections.spawn(serve(socket, Arc::clone(&answer), Arc::clone(&requests), leave.clone()));
    }
}

fn serve(
    mut socket: TcpStream,
    answer: Arc<Answerer>,
    requests: Arc<Mutex<Vec<Request>>>,
    leave: watch::Sender<usize>,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        let Some(request) = read(&mut socket).await else { return };
        let reply = answer(&request);
        requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        if reply.end != End::Mute && socket.write_all(&reply.bytes()).await.is_err() {
            return;
        }
        match reply.end {
            End::Whole | End::Broken => drop(socket.shutdown().await),
            End::Hang | End::Mute => {
                let mut rest = [0; 64];
                while socket.read(&mut rest).await.is_ok_and(|n| n > 0) {}
                leave.send_modify(|left| *left += 1);
            }
        }
    })
}

/// The next request of a connection; none at its end.
pub(crate) async fn read(socket: &mut TcpStream) -> Option<Request> {
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
    let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let end = head_end + 4 + length.unwrap_or(0_usize);
    while bytes.len() < end {
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[head_end + 4..end]).unwrap_or_default();
    Some(Request { head, body })
}
