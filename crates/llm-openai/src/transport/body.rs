//! The body of an answer on its way from the network to async-openai.

use super::{
    Limits, chain,
    sse::{Frame, Framer},
    timed_out,
};
use crate::{
    failure::{Failure, Report, plain},
    json::has,
};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream, stream::BoxStream};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Semaphore;

/// How many events may lie between the network and the reader.
const READ_AHEAD: usize = 64;
const DONE: &str = "[DONE]";

/// What both ends of a stream know, past async-openai in its middle.
pub(super) struct Link {
    failure: Mutex<Option<Failure>>,
    done: AtomicBool,
    room: Semaphore,
}

impl Default for Link {
    fn default() -> Self {
        Self { failure: Mutex::default(), done: AtomicBool::default(), room: Semaphore::new(READ_AHEAD) }
    }
}

impl Link {
    pub(super) fn fail(&self, failure: Failure) {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn is_done(&self) -> bool {
        self.done.load(Ordering::Acquire)
    }

    /// The reader has taken an event, which makes room for another.
    pub(super) fn taken(&self) {
        self.room.add_permits(1);
    }
}

/// Reads bytes and gives out one whole event at a time.
pub(super) struct Body<E> {
    bytes: BoxStream<'static, Result<Bytes, E>>,
    form: Form,
    frames: VecDeque<Frame>,
    /// Whether an event came, and the beginning of the body, to be shown where none does.
    any: bool,
    head: Vec<u8>,
    limits: Limits,
    read: usize,
    link: Arc<Link>,
}

/// The form of a body. Its first byte tells, whatever its type is said to be.
enum Form {
    /// Nothing but blanks came.
    Unknown { is_json: bool },
    /// Server-sent events.
    Events(Framer),
    /// JSON: one value from a server that does not stream, or one in each line.
    Json { text: Vec<u8>, lines: usize },
    /// Something else.
    Other(&'static str),
}

/// How much of a body without events is shown.
const HEAD: usize = 2_000;

/// Why reading stopped, for its text.
pub(super) trait Broken: Send + 'static {
    fn reason(&self) -> String;
}

impl Broken for reqwest::Error {
    fn reason(&self) -> String {
        chain(self)
    }
}

impl<E: Broken> Body<E> {
    pub(super) fn new(
        bytes: BoxStream<'static, Result<Bytes, E>>,
        is_json: bool,
        limits: Limits,
        link: Arc<Link>,
    ) -> Self {
        let form = Form::Unknown { is_json };
        Self { bytes, form, frames: VecDeque::new(), any: false, head: Vec::new(), limits, read: 0, link }
    }

    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, io::Error>> + Send {
        stream::unfold(Some(self), async |body| {
            let mut body = body?;
            match body.next_event().await {
                Ok(Some(event)) => Some((Ok(event), Some(body))),
                Ok(None) => None,
                Err(failure) => {
                    let error = io::Error::other(failure.error.to_string());
                    body.link.fail(failure);
                    Some((Err(error), None))
                }
            }
        })
    }

    async fn next_event(&mut self) -> Result<Option<Bytes>, Failure> {
        loop {
            while let Some(frame) = self.frames.pop_front() {
                if let Some(event) = self.vet(&frame)? {
                    self.any = true;
                    let room = self.link.room.acquire().await;
                    room.map_err(|_| Failure::cut("nobody reads on"))?.forget();
                    return Ok(Some(event));
                }
            }
            if self.link.is_done() || !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Reads on; false at the end.
    async fn fill(&mut self) -> Result<bool, Failure> {
        let idle = self.limits.idle;
        let next = tokio::time::timeout(idle, self.bytes.next()).await;
        let Some(chunk) = next.map_err(|_| timed_out("the next part of the answer", idle))? else {
            return self.end();
        };
        let chunk = chunk.map_err(|error| Failure::cut(error.reason()))?;
        self.read += chunk.len();
        if self.read > self.limits.answer_bytes {
            let max = self.limits.answer_bytes;
            return Err(Failure::bad_response(format!("an answer of more than {max} bytes")));
        }
        if self.head.len() < HEAD {
            self.head.extend(chunk.iter().take(HEAD - self.head.len()));
        }
        self.take(&chunk).map(|()| true)
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), Failure> {
        let max = self.limits.event_bytes;
        let too_large = || Failure::bad_response(format!("an event of more than {max} bytes"));
        if let Form::Unknown { is_json } = self.form {
            let text = chunk.strip_prefix("\u{feff}".as_bytes()).unwrap_or(chunk);
            let Some(first) = text.iter().find(|byte| !byte.is_ascii_whitespace()) else { return Ok(()) };
            self.form = match first {
                b'{' | b'[' => Form::Json { text: Vec::new(), lines: 0 },
                b'<' => Form::Other("a web page came in place of an answer; is the base URL right?"),
                0x1f | 0x28 => Form::Other("the answer is compressed, although nobody asked for that"),
                _ if is_json && !b"deir:".contains(first) => Form::Json { text: Vec::new(), lines: 0 },
                _ => Form::Events(Framer::new(max)),
            };
        }
        match &mut self.form {
            Form::Unknown { .. } => {}
            Form::Other(problem) => return Err(Failure::bad_response(format!("{problem}{}", said(&self.head)))),
            Form::Events(framer) => framer.push(chunk, &mut self.frames).map_err(|_| too_large())?,
            Form::Json { text, .. } if text.len() + chunk.len() > max => return Err(too_large()),
            Form::Json { text, lines } => {
                text.extend_from_slice(chunk);
                while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                    let line = String::from_utf8_lossy(&text[..end]).into_owned();
                    let is_value = serde_json::from_str::<Value>(&line).is_ok_and(|value| value.is_object());
                    if *lines == 0 && !is_value {
                        break;
                    }
                    // A value that fills the first line is the first of several, or all of it.
                    *lines += 1;
                    text.drain(..=end);
                    self.frames.push_back(frame(line));
                }
            }
        }
        Ok(())
    }

    /// The body is over; whether there is more to read of what came.
    fn end(&mut self) -> Result<bool, Failure> {
        match std::mem::replace(&mut self.form, Form::Unknown { is_json: false }) {
            Form::Json { text, lines } if !text.iter().all(u8::is_ascii_whitespace) => {
                self.frames.push_back(frame(String::from_utf8_lossy(&text).into_owned()));
                if lines == 0 {
                    self.frames.push_back(frame(DONE.to_owned()));
                }
                Ok(true)
            }
            // One value in one line was all of it: the server does not stream.
            Form::Json { lines: 1, .. } => {
                self.frames.push_back(frame(DONE.to_owned()));
                Ok(true)
            }
            Form::Events(_) if !self.any && !self.link.is_done() => match said(&self.head) {
                words if is_only_comments(&self.head) || words.is_empty() => Ok(false),
                words => Err(Failure::cut(format!("it ended without an answer{words}"))),
            },
            _ => Ok(false),
        }
    }

    /// The event as async-openai gets it; none for what says nothing.
    fn vet(&self, frame: &Frame) -> Result<Option<Bytes>, Failure> {
        let data = frame.data.trim();
        if data.is_empty() {
            return Ok(None);
        }
        if data == DONE {
            self.link.done.store(true, Ordering::Release);
            return Ok(Some(Bytes::from_static(b"data: [DONE]\n\n")));
        }
        let mut event: Value = match serde_json::from_str(data) {
            Ok(event) => event,
            Err(_) if frame.event == "error" => json!({"message": data}),
            // It may be what the model said, unless it says itself that it is an error.
            Err(_) if is_plain_error(data) => {
                return Err(Report::of_text(data).into_failure());
            }
            Err(error) => return Err(Failure::bad_response(format!("an event is not JSON: {}", position(&error)))),
        };
        // Some gateways leave the type to the event's name.
        if !frame.event.is_empty()
            && !has(&event, "/type")
            && let Some(fields) = event.as_object_mut()
        {
            fields.insert("type".to_owned(), Value::String(frame.event.clone()));
        }
        Ok(Some(Bytes::from(format!("data: {event}\n\n"))))
    }
}

fn frame(data: String) -> Frame {
    Frame { event: String::new(), data }
}

/// The words of a body that is no answer.
fn said(head: &[u8]) -> String {
    let words = plain(&String::from_utf8_lossy(head));
    let words: String = words.chars().filter(|c| !c.is_control() && *c != char::REPLACEMENT_CHARACTER).collect();
    if words.trim().is_empty() { words } else { format!(": {}", words.trim()) }
}

/// Whether data that is no JSON tells of an error, as `[ERROR] out of memory` does.
fn is_plain_error(data: &str) -> bool {
    let lower = data.to_ascii_lowercase();
    let tells = ["error", "exception", "failed", "failure", "out of memory"].iter().any(|word| lower.contains(word));
    tells && !data.starts_with(['{', '"']) && !data.starts_with("[{")
}

fn is_only_comments(head: &[u8]) -> bool {
    let is_known = |line: &str| {
        line.is_empty() || [":", "data", "event", "id", "retry", "error"].iter().any(|field| line.starts_with(field))
    };
    String::from_utf8_lossy(head).lines().all(|line| is_known(line.trim()))
}

/// Where the JSON is broken, without any of its text.
fn position(error: &serde_json::Error) -> String {
    let kind = if error.is_eof() { "it ends early" } else { "a mistake" };
    format!("{kind} at line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests;
