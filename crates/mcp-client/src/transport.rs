//! The transport between rmcp and a process: lets through what answers a request of ours, deals with the rest itself.

use crate::{
    head::{Head, peek, peek_back},
    lines::{Lines, Read},
    link::{CallTag, Down, Link, Message, Pending},
    message::{Incoming, parse},
};
use lockkeeper_domain::Code;
use rmcp::{
    RoleClient,
    model::{
        ClientRequest, CustomResult, ErrorCode, ErrorData, GetExtensions, GetMeta, InitializeResult, JsonRpcMessage,
        NumberOrString, ServerResult,
    },
    service::TxJsonRpcMessage,
    transport::Transport,
};
use serde_json::{Map, Value, json};
use std::{
    future::ready,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    io::AsyncRead,
    sync::mpsc,
    time::{Instant, sleep_until},
};

/// The revisions of MCP that we speak; all of them begin with `initialize`.
pub(crate) const REVISIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];

const LIST_CHANGED: &str = "notifications/tools/list_changed";

pub(crate) struct BoundedTransport<R> {
    link: Arc<Link>,
    lines: Lines<R>,
    injected: mpsc::UnboundedReceiver<Message>,
    bad_lines: u32,
    garbage: usize,
    window: Window,
    /// A line over the limit is being skipped whose beginning did not tell what it is.
    is_unknown: bool,
}

/// Messages within the current second that nobody asked for.
struct Window {
    since: Instant,
    count: u32,
    bytes: usize,
}

impl Window {
    const LENGTH: Duration = Duration::from_secs(1);

    fn new() -> Self {
        Self { since: Instant::now(), count: 0, bytes: 0 }
    }
}

impl<R: AsyncRead + Send + Unpin + 'static> BoundedTransport<R> {
    pub(crate) fn new(link: Arc<Link>, from: R, injected: mpsc::UnboundedReceiver<Message>) -> Self {
        let lines = Lines::new(from, link.config.max_line_bytes, link.config.max_skipped_bytes);
        Self { link, lines, injected, bad_lines: 0, garbage: 0, window: Window::new(), is_unknown: false }
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    fn accept(&mut self, line: &[u8]) -> Option<Message> {
        match parse(line, self.link.config.max_depth) {
            Incoming::Blank => None,
            Incoming::Garbage => {
                self.bad_line(line);
                None
            }
            Incoming::Result { id, result } => match self.link.take(id) {
                Some((id, request)) => Some(self.answer(id, &request, result)),
                None => self.stray(line.len()),
            },
            Incoming::Error { id, code, message } => match self.link.take(id) {
                Some((id, _)) => Some(error(id, ErrorData::new(ErrorCode(code), message, None))),
                None => self.stray(line.len()),
            },
            Incoming::Request { id, method } => {
                if self.may_look(line.len()) {
                    self.refuse(&id, &method);
                }
                None
            }
            Incoming::Notification { method, params } => {
                // A changed definition is seen however much else is sent; it sets a flag, and costs nothing.
                if self.may_look(line.len()) || method == LIST_CHANGED {
                    self.notified(&method, &params);
                }
                None
            }
        }
    }

    /// A result goes to rmcp as it came: its typed results lose what they do not know.
    fn answer(&self, id: i64, request: &Pending, result: Value) -> Message {
        if !request.is_initialize {
            let result = ServerResult::CustomResult(CustomResult(result));
            return JsonRpcMessage::response(result, NumberOrString::Number(id));
        }
        let revision = result.get("protocolVersion").and_then(Value::as_str).unwrap_or_default();
        let reason = if REVISIONS.contains(&revision) {
            if let Ok(typed) = serde_json::from_value::<InitializeResult>(result.clone()) {
                // There is one `initialize` per connection.
                let _ = self.link.greeting.set(result);
                return JsonRpcMessage::response(ServerResult::InitializeResult(typed), NumberOrString::Number(id));
            }
            "answered initialize with something that is no result of it"
        } else {
            "answered initialize with a revision of MCP that is not spoken here"
        };
        self.link.fail(Down::new(Code::ToolProtocol, reason));
        error(id, ErrorData::internal_error(reason, None))
    }

    /// An answer that nobody waits for (any more).
    fn stray(&mut self, length: usize) -> Option<Message> {
        tracing::debug!(mcp.server = %self.link.server, "dropped an answer that nobody waits for");
        self.may_look(length);
        None
    }

    /// We offer servers nothing but an answer to `ping`.
    fn refuse(&self, id: &Value, method: &str) {
        let answer = if method == "ping" {
            json!({"jsonrpc": "2.0", "id": id, "result": {}})
        } else {
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "not offered by this client"}})
        };
        self.link.send(answer.to_string().into_bytes());
    }

    fn notified(&self, method: &str, params: &Map<String, Value>) {
        match method {
            "notifications/progress" => self.link.progress(params),
            LIST_CHANGED => {
                self.link.list_changed.store(true, Ordering::Release);
                self.link.announced.notify_one();
            }
            _ => {}
        }
    }

    fn bad_line(&mut self, line: &[u8]) {
        self.bad_lines += 1;
        self.garbage += line.len();
        self.link.keep_garbage(line);
        tracing::debug!(mcp.server = %self.link.server, self.bad_lines, "dropped a line that is no MCP message");
        let config = &self.link.config;
        if self.bad_lines > config.max_bad_lines || self.garbage > config.max_garbage_bytes {
            let reason = format!(
                "wrote {} lines, {} bytes, to its standard output that are no MCP messages",
                self.bad_lines, self.garbage
            );
            self.link.fail(Down::new(Code::ToolProtocol, reason));
        }
    }

    fn too_long(&mut self, beginning: &[u8]) {
        let head = peek(beginning);
        self.is_unknown = head == Head::Unknown;
        self.give_up(&head);
    }

    /// The end of a line over the limit: it tells what the message is where its beginning did not.
    fn skipped(&mut self, end: &[u8]) {
        if std::mem::take(&mut self.is_unknown) {
            match peek_back(end) {
                Head::Unknown => self.link.fail_unmatched(),
                head => self.give_up(&head),
            }
        }
    }

    fn give_up(&mut self, head: &Head) {
        match head {
            Head::Answer(id) => self.link.fail_too_large(*id),
            Head::Method => {
                self.may_look(self.link.config.max_line_bytes);
            }
            Head::Unknown => {}
        }
    }

    /// Whether a message of this length that answers nothing is looked at, or dropped because there are too many.
    fn may_look(&mut self, length: usize) -> bool {
        if self.window.since.elapsed() >= Window::LENGTH {
            self.window = Window::new();
        }
        self.window.count = self.window.count.saturating_add(1);
        self.window.bytes = self.window.bytes.saturating_add(length);
        if self.window.count > self.link.config.flood_per_sec {
            let reason = format!("sent {} messages within a second that nobody asked for", self.window.count);
            self.link.fail(Down::new(Code::ToolProtocol, reason));
        }
        self.window.count <= self.link.config.notifications_per_sec
    }
}

impl<R: AsyncRead + Send + Unpin + 'static> Transport<RoleClient> for BoundedTransport<R> {
    type Error = io::Error;

    /// Queues the message at once, so that messages keep their order whenever rmcp polls the future.
    fn send(&mut self, message: TxJsonRpcMessage<RoleClient>) -> impl Future<Output = io::Result<()>> + Send + 'static {
        ready(queue(&self.link, &message))
    }

    async fn receive(&mut self) -> Option<Message> {
        loop {
            if self.link.down().is_some() {
                return None;
            }
            // Reading and parsing what nobody asked for takes processor time from other sessions.
            let is_over = self.window.bytes > self.link.config.unasked_bytes_per_sec;
            let resumes = is_over.then(|| self.window.since + Window::LENGTH);
            let lines = &mut self.lines;
            let read = async {
                if let Some(resumes) = resumes {
                    sleep_until(resumes).await;
                }
                lines.next().await
            };
            let read = tokio::select! {
                biased;
                Some(message) = self.injected.recv() => return Some(message),
                _ = self.link.wait_down() => return None,
                read = read => read,
            };
            match read {
                Read::Line(line) => {
                    if let Some(message) = self.accept(&line) {
                        return Some(message);
                    }
                }
                Read::TooLong(beginning) => self.too_long(&beginning),
                Read::Skipped(end) => self.skipped(&end),
                Read::Endless => {
                    if self.is_unknown {
                        self.link.fail_unmatched();
                    }
                    self.link.fail(Down::new(Code::ToolProtocol, "sent a message without an end"));
                }
                Read::End => {
                    self.link.read_all.cancel();
                    self.link.ended.cancel();
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn queue(link: &Link, message: &TxJsonRpcMessage<RoleClient>) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    let expected = match message {
        JsonRpcMessage::Request(request) => {
            let NumberOrString::Number(id) = request.id else {
                return Err(io::Error::other("rmcp numbers its requests"));
            };
            let token = request.request.get_meta().get_progress_token();
            let pending = Pending {
                is_initialize: matches!(request.request, ClientRequest::InitializeRequest(_)),
                call: request.request.extensions().get::<CallTag>().map(|tag| tag.0.clone()),
                token: token.and_then(|token| match token.0 {
                    NumberOrString::Number(token) => Some(token),
                    NumberOrString::String(_) => None,
                }),
            };
            link.expect(id, pending);
            Some(id)
        }
        _ => None,
    };
    if link.send(text) {
        return Ok(());
    }
    link.take(expected);
    Err(io::Error::new(io::ErrorKind::WouldBlock, "the server does not read its input"))
}

fn error(id: i64, error: ErrorData) -> Message {
    JsonRpcMessage::error(error, Some(NumberOrString::Number(id)))
}
