//! What the tasks of one connection share.

mod down;
mod flight;

pub(crate) use down::Down;
pub(crate) use flight::{Call, CallTag, Pending};

use crate::{Config, text};
use lockkeeper_domain::{Code, ServerName};
use rmcp::{RoleClient, model::ErrorData, model::JsonRpcMessage, model::NumberOrString, service::RxJsonRpcMessage};
use serde_json::{Map, Value, json};
use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How many messages wait for a server to read them.
const QUEUE: usize = 64;
const PROBLEM_TAIL: usize = 1024;

pub(crate) type Message = RxJsonRpcMessage<RoleClient>;

#[derive(Debug, Default)]
struct Requests {
    pending: HashMap<i64, Pending>,
    /// Progress tokens, by the request that they go with.
    tokens: HashMap<i64, i64>,
}

/// The state of a connection that its transport, its process's tasks and its calls share.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) server: ServerName,
    pub(crate) config: Arc<Config>,
    /// The server said that its tools changed.
    pub(crate) list_changed: AtomicBool,
    /// It has just said so.
    pub(crate) announced: Notify,
    /// A stream of the process has ended.
    pub(crate) ended: CancellationToken,
    /// All of its output was read.
    pub(crate) read_all: CancellationToken,
    /// The server's answer to `initialize`, as it came.
    pub(crate) greeting: OnceLock<Value>,
    requests: Mutex<Requests>,
    /// Messages that rmcp is to see as if the server had sent them. One for each request at most.
    injected: mpsc::UnboundedSender<Message>,
    outgoing: mpsc::Sender<Vec<u8>>,
    queued: AtomicUsize,
    down: watch::Sender<Option<Arc<Down>>>,
    stderr: Mutex<VecDeque<u8>>,
    garbage: Mutex<Vec<u8>>,
}

/// The ends of a link that belong to one task each.
pub(crate) struct LinkEnds {
    pub(crate) injected: mpsc::UnboundedReceiver<Message>,
    pub(crate) outgoing: mpsc::Receiver<Vec<u8>>,
}

impl Link {
    pub(crate) fn new(server: ServerName, config: Arc<Config>) -> (Arc<Self>, LinkEnds) {
        let (injected, injected_end) = mpsc::unbounded_channel();
        let (outgoing, outgoing_end) = mpsc::channel(QUEUE);
        let link = Self {
            server,
            config,
            list_changed: AtomicBool::new(false),
            announced: Notify::new(),
            ended: CancellationToken::new(),
            read_all: CancellationToken::new(),
            greeting: OnceLock::new(),
            requests: Mutex::default(),
            injected,
            outgoing,
            queued: AtomicUsize::new(0),
            down: watch::Sender::new(None),
            stderr: Mutex::default(),
            garbage: Mutex::default(),
        };
        (Arc::new(link), LinkEnds { injected: injected_end, outgoing: outgoing_end })
    }

    /// Ends the connection, unless it is over: the first reason holds.
    pub(crate) fn fail(&self, down: Down) {
        self.down.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                // `OutcomeUnknown` is what our own close gives to calls that are still in flight.
                if down.code == Code::OutcomeUnknown {
                    tracing::debug!(mcp.server = %self.server, "the connection to an MCP server was closed");
                } else {
                    tracing::warn!(mcp.server = %self.server, code = %down.code, "the connection to an MCP server is over");
                }
                *current = Some(Arc::new(down));
            }
            first
        });
    }

    /// Why the connection is over, if it is.
    pub(crate) fn down(&self) -> Option<Arc<Down>> {
        self.down.borrow().clone()
    }

    /// Waits for the end of the connection.
    pub(crate) async fn wait_down(&self) -> Arc<Down> {
        let mut down = self.down.subscribe();
        match down.wait_for(Option::is_some).await.map(|down| down.clone()) {
            Ok(Some(down)) => down,
            // The sender is this very link.
            _ => std::future::pending().await,
        }
    }

    /// Queues a line for the server. False when it does not read and too much waits.
    pub(crate) fn send(&self, mut line: Vec<u8>) -> bool {
        line.push(b'\n');
        let length = line.len();
        // Room for the largest arguments twice, and for what goes around them.
        let room = 2 * self.config.max_request_bytes + (64 << 10);
        let reserve = |queued: usize| (queued + length <= room).then_some(queued + length);
        if self.queued.fetch_update(Ordering::AcqRel, Ordering::Acquire, reserve).is_err() {
            return false;
        }
        let sent = self.outgoing.try_send(line).is_ok();
        if !sent {
            self.written(length);
        }
        sent
    }

    /// A queued line of this length left the queue.
    pub(crate) fn written(&self, length: usize) {
        self.queued.fetch_sub(length, Ordering::AcqRel);
    }

    pub(crate) fn expect(&self, id: i64, request: Pending) {
        let mut requests = self.requests();
        if let Some(token) = request.token {
            requests.tokens.insert(token, id);
        }
        requests.pending.insert(id, request);
    }

    /// The request that an answer is for. Each request is taken once; nobody waits for an answer without one.
    pub(crate) fn take(&self, id: Option<i64>) -> Option<(i64, Pending)> {
        let id = id?;
        let mut requests = self.requests();
        let request = requests.pending.remove(&id)?;
        if let Some(token) = request.token {
            requests.tokens.remove(&token);
        }
        Some((id, request))
    }

    /// How many calls are in flight.
    pub(crate) fn calls(&self) -> usize {
        self.requests().pending.values().filter(|request| request.call.is_some()).count()
    }

    /// Gives up a request: tells the server and rmcp. Without effect on one that was answered.
    pub(crate) fn abandon(&self, id: i64, reason: &str) {
        if self.take(Some(id)).is_none() {
            return;
        }
        let params = json!({"requestId": id, "reason": reason});
        let line = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).to_string();
        if !self.send(line.into_bytes()) {
            tracing::debug!(mcp.server = %self.server, "no room to tell a server of a cancelled call");
        }
        self.inject_error(id, "given up");
    }

    /// Fails the request that a line over the limit answers.
    pub(crate) fn fail_too_large(&self, id: i64) {
        let Some((id, request)) = self.take(Some(id)) else { return };
        if let Some(call) = &request.call {
            call.overran();
        }
        self.inject_error(id, "the answer is over the limit");
    }

    /// Fails what a line over the limit may answer where neither end of it tells its id. A single request must be the one;
    /// of several, nobody knows which ran, so the server is told to stop all of them.
    pub(crate) fn fail_unmatched(&self) {
        let ids: Vec<i64> = self.requests().pending.keys().copied().collect();
        if let [id] = ids[..] {
            return self.fail_too_large(id);
        }
        for id in ids {
            if let Some(call) = self.requests().pending.get(&id).and_then(|request| request.call.as_ref()) {
                call.lost();
            }
            self.abandon(id, "an answer over the limit could not be matched");
        }
    }

    /// Passes a progress notification to the call that it is about.
    pub(crate) fn progress(&self, params: &Map<String, Value>) {
        let Some(token) = params.get("progressToken").and_then(crate::message::own_id) else { return };
        let call = {
            let requests = self.requests();
            let request = requests.tokens.get(&token).and_then(|id| requests.pending.get(id));
            request.and_then(|request| request.call.clone())
        };
        if let Some(call) = call {
            call.progressed(params);
        }
    }

    /// Keeps the end of what the process writes to its standard error.
    pub(crate) fn keep_stderr(&self, bytes: &[u8]) {
        let mut ring = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        ring.extend(bytes);
        let over = ring.len().saturating_sub(self.config.stderr_bytes);
        ring.drain(..over);
    }

    /// Keeps the beginning of the last line that was no message: a runtime may tell there why a program did not start.
    pub(crate) fn keep_garbage(&self, line: &[u8]) {
        let mut garbage = self.garbage.lock().unwrap_or_else(PoisonError::into_inner);
        garbage.clear();
        garbage.extend_from_slice(&line[..line.len().min(PROBLEM_TAIL)]);
    }

    /// `reason` with what the process said last.
    pub(crate) fn problem(&self, reason: &str) -> String {
        let mut problem = reason.to_owned();
        let garbage = text::tail(&self.garbage.lock().unwrap_or_else(PoisonError::into_inner), PROBLEM_TAIL);
        let stderr = {
            let mut ring = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
            text::tail(ring.make_contiguous(), PROBLEM_TAIL)
        };
        for (stream, said) in [("standard output", garbage), ("standard error", stderr)] {
            if !said.is_empty() {
                problem += "; its ";
                problem += stream;
                problem += " ends with: ";
                problem += &said;
            }
        }
        problem
    }

    fn inject_error(&self, id: i64, message: &'static str) {
        let error = ErrorData::internal_error(message, None);
        // It fails when the connection is over, and rmcp with it.
        let _ = self.injected.send(JsonRpcMessage::error(error, Some(NumberOrString::Number(id))));
    }

    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m7_only_the_last_64_kib_of_standard_error_are_kept() {
        let (link, _ends) = Link::new(ServerName::new("a"), Arc::new(Config::default()));
        for byte in [b'a', b'b', b'c'] {
            link.keep_stderr(&vec![byte; 30 << 10]);
        }
        let ring: Vec<u8> = link.stderr.lock().expect("no panic").iter().copied().collect();
        assert_eq!(ring.len(), 64 << 10);
        assert_eq!((ring[0], ring[4 << 10], ring[ring.len() - 1]), (b'a', b'b', b'c'));
    }
}
