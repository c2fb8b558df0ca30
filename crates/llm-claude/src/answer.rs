//! One answer: the request, its retries, and the stream that comes of it.

use crate::{client::Client, decode::Decoder, error::Failure, retry::Retry};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use lockkeeper_ports::{LlmError, ModelEvent, ModelStream};
use std::collections::VecDeque;

/// What a vendor's body consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// The data of an event of a stream.
    Event(String),
    /// A whole answer, from a gateway that does not stream.
    Whole(Vec<u8>),
}

pub(crate) type Source = BoxStream<'static, Result<Payload, LlmError>>;

/// Sends a request until the vendor accepts it, and streams the answer. Until the first event reached the caller, a
/// failure that may pass leads to another attempt; after it, every failure ends the stream.
pub(crate) async fn open(client: Client, request: crate::client::Request) -> Result<ModelStream, LlmError> {
    let mut answer = Answer {
        decoder: request.decoder(),
        client,
        request,
        attempt: 0,
        source: None,
        queue: VecDeque::new(),
        yielded: false,
    };
    answer.connect().await?;
    Ok(stream::unfold(answer, |mut answer| async { Some((answer.next().await?, answer)) }).boxed())
}

struct Answer {
    client: Client,
    request: crate::client::Request,
    attempt: u32,
    /// Dropping it closes the connection.
    source: Option<Source>,
    decoder: Decoder,
    queue: VecDeque<ModelEvent>,
    yielded: bool,
}

impl Answer {
    async fn connect(&mut self) -> Result<(), LlmError> {
        loop {
            match self.client.send(&self.request).await {
                Ok(source) => {
                    self.source = Some(source);
                    self.decoder = self.request.decoder();
                    return Ok(());
                }
                Err(failure) => self.pause_after(failure).await?,
            }
        }
    }

    async fn pause_after(&mut self, failure: Failure) -> Result<(), LlmError> {
        let retry: Retry = self.client.retry();
        let pause = failure.retry.then(|| retry.pause(self.attempt, failure.after)).flatten();
        let Some(pause) = pause else { return Err(failure.error) };
        self.attempt += 1;
        let (code, pause_ms) = (failure.error.code().as_str(), pause.as_millis());
        tracing::warn!(code, attempt = self.attempt, pause_ms, "the provider failed before it said anything; again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    async fn next(&mut self) -> Option<Result<ModelEvent, LlmError>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                self.yielded = true;
                if matches!(event, ModelEvent::Completed(_)) {
                    self.source = None;
                }
                return Some(Ok(event));
            }
            let step = match self.source.as_mut()?.next().await {
                Some(Ok(Payload::Event(data))) => self.decoder.event(&data, &mut self.queue),
                Some(Ok(Payload::Whole(body))) => self.decoder.whole(&body, &mut self.queue),
                Some(Err(error)) => Err(error.into()),
                None => self.decoder.end(&mut self.queue),
            };
            if let Err(failure) = step
                && let Err(error) = self.recover(failure).await
            {
                return Some(Err(error));
            }
        }
    }

    async fn recover(&mut self, failure: Failure) -> Result<(), LlmError> {
        self.source = None;
        self.queue.clear();
        let failure = failure.masked(self.client.key());
        if self.yielded {
            return Err(failure.error);
        }
        self.pause_after(failure).await?;
        self.connect().await
    }
}
