//! A server on loopback that answers as a test says, down to the bytes.

use serde_json::Value;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicUsize, Ordering},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The request line and the headers.
    pub(crate) head: String,
    /// The body; null where it is not JSON.
    pub(crate) body: Value,
}

/// What happens after a body was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// The body ends as HTTP has it.
    Proper,
    /// The connection ends within the body.
    Cut,
    /// Nothing, until the client goes away.
    Hang,
}

/// What a request is answered with.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// The headers, besides those about the body's length.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
    /// How many bytes of it are sent at once.
    pub(crate) chunk: usize,
    /// What happens then.
    pub(crate) end: End,
}

impl Reply {
    /// A body of this type.
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("content-type".to_owned(), content_type.to_owned())];
        Self { status, headers, body: body.into(), chunk: usize::MAX, end: End::Proper }
    }

    /// A stream of events.
    pub(crate) fn sse(body: impl Into<Vec<u8>>) -> Self {
        Self::new(200, "text/event-stream", body)
    }

    /// JSON.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// With this header, too.
    #[must_use]
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this end.
    #[must_use]
    pub(crate) fn end(self, end: End) -> Self {
        Self { end, ..self }
    }
}

/// The server; it ends when it is dropped.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    left: watch::Receiver<usize>,
    connections: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

type Script = Arc<dyn Fn(usize, &Seen) -> Reply + Send + Sync>;

impl Server {
    /// Answers each request with what `script` makes of its number, from 0, and of the request.
    pub(crate) async fn new(script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (seen, (leave, left)) = (Arc::<Mutex<Vec<Seen>>>::default(), watch::channel(0));
        let (script, log): (Script, _) = (Arc::new(script), seen.clone());
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut running = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                running.spawn(serve(socket, script.clone(), log.clone(), leave.clone()));
            }
        });
        Self { url, seen, left, connections, _tasks: tasks }
    }

    /// Answers the n-th request with the n-th of `replies`, and all after it with the last.
    pub(crate) async fn replying(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies: Vec<Reply> = replies.into_iter().collect();
        Self::new(move |n, _| replies.get(n).or(replies.last()).cloned().expect("a reply")).await
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Waits until a client has closed a connection on which the server was still sending.
    pub(crate) async fn left(&mut self) {
        self.left.wait_for(|count| *count > 0).await.expect("the server lives");
    }
}

async fn serve(mut socket: TcpStream, script: Script, log: Arc<Mutex<Vec<Seen>>>, left: watch::Sender<usize>) {
    while let Some(seen) = read(&mut socket).await {
        let reply = {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            let reply = script(log.len(), &seen);
            log.push(seen);
            reply
        };
        // A client that went away is no failure of the test.
        let written = write(&mut socket, &reply).await;
        match reply.end {
            End::Proper if written.is_ok() => {}
            End::Proper | End::Cut => break,
            End::Hang => {
                while socket.read(&mut [0; 64]).await.is_ok_and(|count| count > 0) {}
                left.send_modify(|count| *count += 1);
                break;
            }
        }
    }
}

async fn read(socket: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = socket.read(&mut buffer).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if bytes.len() >= end + 4 + length.unwrap_or(0) {
            let body = serde_json::from_slice(&bytes[end + 4..]).unwrap_or_default();
            return Some(Seen { head, body });
        }
    }
}

async fn write(socket: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} X\r\ntransfer-encoding: chunked\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    head.push_str("\r\n");
    socket.write_all(head.as_bytes()).await?;
    for chunk in reply.body.chunks(reply.chunk) {
        let framed = [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat();
        socket.write_all(&framed).await?;
    }
    match reply.end {
        End::Proper => socket.write_all(b"0\r\n\r\n").await?,
        End::Cut => socket.shutdown().await?,
        End::Hang => socket.flush().await?,
    }
    Ok(())
}
