//! The body of an answer on its way from the network to async-openai.

use super::{
    Limits, chain,
    sse::{Frame, Framer},
    timed_out,
};
use crate::{failure::Failure, json::has};
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
    framer: Framer,
    frames: VecDeque<Frame>,
    /// The whole of a body that is one JSON value: the server does not stream.
    whole: Option<Vec<u8>>,
    limits: Limits,
    read: usize,
    link: Arc<Link>,
}

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
        let framer = Framer::new(limits.event_bytes);
        let whole = is_json.then(Vec::new);
        Self { bytes, framer, frames: VecDeque::new(), whole, limits, read: 0, link }
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
            return Ok(self.end_of_whole());
        };
        let chunk = chunk.map_err(|error| Failure::cut(error.reason()))?;
        self.read += chunk.len();
        if self.read > self.limits.answer_bytes {
            let max = self.limits.answer_bytes;
            return Err(Failure::bad_response(format!("an answer of more than {max} bytes")));
        }
        let max = self.limits.event_bytes;
        let too_large = || Failure::bad_response(format!("an event of more than {max} bytes"));
        match &mut self.whole {
            Some(whole) if whole.len() + chunk.len() > max => return Err(too_large()),
            Some(whole) => whole.extend_from_slice(&chunk),
            None => self.framer.push(&chunk, &mut self.frames).map_err(|_| too_large())?,
        }
        Ok(true)
    }

    /// A body that was one value becomes one event and the marker of the end.
    fn end_of_whole(&mut self) -> bool {
        let Some(whole) = self.whole.take().filter(|whole| !whole.is_empty()) else { return false };
        let frame = |data: String| Frame { event: String::new(), data };
        self.frames.extend([frame(String::from_utf8_lossy(&whole).into_owned()), frame(DONE.to_owned())]);
        true
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

/// Where the JSON is broken, without any of its text.
fn position(error: &serde_json::Error) -> String {
    let kind = if error.is_eof() { "it ends early" } else { "a mistake" };
    format!("{kind} at line {}, column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests;
