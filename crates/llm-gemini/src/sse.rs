//! From the bytes of a response to the data of its events, within limits.

use bytes::Bytes;
use eventsource_stream::{EventStreamError, Eventsource};
use futures::{Stream, StreamExt, stream};
use lockkeeper_ports::LlmError;
use std::{pin::pin, time::Duration};

/// The byte order mark in UTF-8.
const MARK: &[u8] = "\u{feff}".as_bytes();

/// How much, and how slowly, a vendor may send.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The longest silence.
    pub(crate) idle: Duration,
    /// The most bytes of one event.
    pub(crate) event_bytes: usize,
    /// The most bytes of one answer.
    pub(crate) answer_bytes: usize,
}

/// The data of each event of a `text/event-stream` body. An event that is not complete when the body ends is an
/// error and never an event.
pub(crate) fn events(
    body: impl Stream<Item = Result<Bytes, LlmError>>,
    limits: Limits,
) -> impl Stream<Item = Result<String, LlmError>> {
    bounded(body, limits).eventsource().map(|event| event.map(|e| e.data).map_err(unwrap))
}

/// The whole of a body that is not a stream of events.
pub(crate) async fn whole(
    body: impl Stream<Item = Result<Bytes, LlmError>>,
    limits: Limits,
) -> Result<Vec<u8>, LlmError> {
    let limits = Limits { event_bytes: usize::MAX, ..limits };
    let mut body = pin!(paced(body, limits.idle));
    let mut bytes = Vec::new();
    while let Some(chunk) = body.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() > limits.answer_bytes {
            return Err(too_large("answer", limits.answer_bytes));
        }
    }
    Ok(bytes)
}

fn unwrap(error: EventStreamError<LlmError>) -> LlmError {
    match error {
        EventStreamError::Transport(error) => error,
        EventStreamError::Utf8(_) => LlmError::BadResponse("the stream is not UTF-8".to_owned()),
        EventStreamError::Parser(_) => LlmError::BadResponse("the stream is not one of events".to_owned()),
    }
}

fn too_large(what: &str, limit: usize) -> LlmError {
    LlmError::BadResponse(format!("an {what} is larger than {limit} bytes"))
}

/// The body, as long as no silence in it is too long.
fn paced(
    body: impl Stream<Item = Result<Bytes, LlmError>>,
    idle: Duration,
) -> impl Stream<Item = Result<Bytes, LlmError>> {
    stream::unfold(Some(Box::pin(body)), move |body| async move {
        let mut body = body?;
        let Ok(chunk) = tokio::time::timeout(idle, body.next()).await else {
            let silence = LlmError::Timeout(format!("nothing came for {} s", idle.as_secs_f64()));
            return Some((Err(silence), None));
        };
        chunk.map(|chunk| (chunk, Some(body)))
    })
}

/// The body, as long as its events are small enough and whole. The parser behind this keeps what it has not parsed, so
/// the limit has to hold before it.
fn bounded(
    body: impl Stream<Item = Result<Bytes, LlmError>>,
    limits: Limits,
) -> impl Stream<Item = Result<Bytes, LlmError>> {
    let start = Some((Box::pin(paced(body, limits.idle)), Frame::default()));
    stream::unfold(start, move |state| async move {
        let (mut body, mut frame) = state?;
        match body.next().await {
            Some(Ok(chunk)) => {
                let checked = frame.take(chunk, limits);
                Some(checked.map_or_else(|e| (Err(e), None), |chunk| (Ok(chunk), Some((body, frame)))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None if frame.is_open() => Some((Err(LlmError::Cut("it ended within an event".to_owned())), None)),
            None => None,
        }
    })
}

/// Follows where an event ends: at an empty line, whatever the line ends are. Takes a byte order mark away besides, over
/// which the parser (0.2.3) panics.
#[derive(Default)]
struct Frame {
    /// The beginning, as long as it may be a byte order mark.
    beginning: Vec<u8>,
    begun: bool,
    event: usize,
    line: usize,
    after_cr: bool,
    total: usize,
}

impl Frame {
    fn take(&mut self, chunk: Bytes, limits: Limits) -> Result<Bytes, LlmError> {
        let chunk = self.without_mark(chunk);
        self.total = self.total.saturating_add(chunk.len());
        if self.total > limits.answer_bytes {
            return Err(too_large("answer", limits.answer_bytes));
        }
        for &byte in &chunk {
            let second_half = byte == b'\n' && std::mem::take(&mut self.after_cr);
            self.after_cr = byte == b'\r';
            match byte {
                _ if second_half => {}
                b'\n' | b'\r' if self.line == 0 => self.event = 0,
                b'\n' | b'\r' => self.line = 0,
                _ => {
                    self.line += 1;
                    self.event += 1;
                    if self.event > limits.event_bytes {
                        return Err(too_large("event", limits.event_bytes));
                    }
                }
            }
        }
        Ok(chunk)
    }

    fn without_mark(&mut self, chunk: Bytes) -> Bytes {
        if self.begun {
            return chunk;
        }
        self.beginning.extend_from_slice(&chunk);
        while self.beginning.starts_with(MARK) {
            self.beginning.drain(..MARK.len());
        }
        if MARK.starts_with(&self.beginning) {
            return Bytes::new();
        }
        self.begun = true;
        std::mem::take(&mut self.beginning).into()
    }

    fn is_open(&self) -> bool {
        self.event > 0 || !self.beginning.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, TryStreamExt};

    const LIMITS: Limits = Limits { idle: Duration::from_secs(1), event_bytes: 64, answer_bytes: 1_000 };

    fn read(body: &[u8], size: usize) -> Result<Vec<String>, LlmError> {
        let chunks = stream::iter(body.chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))));
        let run = async { events(chunks, LIMITS).try_collect().await };
        // Nothing here waits, so a runtime is needed for the timer alone.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let _inside = runtime.enter();
        run.now_or_never().expect("the chunks are all there")
    }

    #[test]
    fn events_are_the_same_however_the_body_is_cut_into_chunks() {
        let bodies = [
            "data: one\n\n: a comment\n\nevent: x\ndata: two\ndata: lines\n\n",
            "data: one\r\n\r\n: a comment\r\n\r\nevent: x\r\ndata: two\r\ndata: lines\r\n\r\n",
            "\u{feff}\u{feff}data:one\n\n\n\nid: 7\ndata: two\r\ndata: lines\n\r\n",
        ];
        for body in bodies {
            for size in 1..body.len() {
                assert_eq!(read(body.as_bytes(), size), Ok(vec!["one".to_owned(), "two\nlines".to_owned()]), "{size}");
            }
        }
    }

    #[test]
    fn characters_may_be_cut_in_the_middle() {
        assert_eq!(read("data: größe 🔒\n\n".as_bytes(), 1), Ok(vec!["größe 🔒".to_owned()]));
    }

    #[test]
    fn an_event_that_is_not_complete_is_an_error() {
        for body in ["data: one\n\ndata: tw", "data: one\n\ndata: two", "data: one\n\ndata: two\n", "data: two\r\n"] {
            assert!(matches!(read(body.as_bytes(), 3), Err(LlmError::Cut(_))), "{body:?}");
        }
    }

    #[test]
    fn an_event_beyond_the_limit_is_refused_before_it_is_kept() {
        let event = |len: usize| format!("data: {}\n\n", "x".repeat(len));
        assert!(read((event(58) + &event(58)).as_bytes(), 5).is_ok());
        assert!(matches!(read(event(59).as_bytes(), 5), Err(LlmError::BadResponse(m)) if m.contains("64 bytes")));
        let lines = "data: x\n".repeat(10);
        assert!(matches!(read(lines.as_bytes(), 5), Err(LlmError::BadResponse(m)) if m.contains("64 bytes")));
        let many = "data: x\n\n".repeat(200);
        assert!(matches!(read(many.as_bytes(), 50), Err(LlmError::BadResponse(m)) if m.contains("1000 bytes")));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert!(matches!(read(b"data: \xff\xfe\n\n", 2), Err(LlmError::BadResponse(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silence_ends_the_stream() {
        let body = stream::iter([Ok(Bytes::from("data: one\n\n"))]).chain(stream::pending());
        let read: Vec<_> = events(body, LIMITS).collect().await;
        assert!(matches!(&read[..], [Ok(one), Err(LlmError::Timeout(_))] if one == "one"));
    }
}
