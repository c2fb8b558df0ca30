//! One answer: the request, its retries, and the stream that comes of it.

use crate::{
    client::{Client, Source},
    error::Failure,
    reading::Reading,
    request::Request,
};
use futures::{StreamExt, stream};
use lockkeeper_ports::{LlmError, ModelEvent, ModelStream};
use std::collections::VecDeque;

/// Sends a request until the vendor accepts it, and streams the answer. Until the first event reached the caller, a
/// failure that may pass leads to another attempt; after it, every failure ends the stream.
pub(crate) async fn open(client: Client, request: Request) -> Result<ModelStream, LlmError> {
    let (queue, attempt) = (VecDeque::new(), 0);
    let mut answer = Answer { client, request, attempt, source: None, queue, failed: None, yielded: false };
    answer.connect().await?;
    Ok(stream::unfold(answer, |mut answer| async { Some((answer.next().await?, answer)) }).boxed())
}

struct Answer {
    client: Client,
    request: Request,
    attempt: u32,
    /// The body, and what it has said. Dropping it closes the connection.
    source: Option<(Source, Reading)>,
    queue: VecDeque<ModelEvent>,
    /// What comes after the events in the queue.
    failed: Option<Failure>,
    yielded: bool,
}

impl Answer {
    async fn connect(&mut self) -> Result<(), LlmError> {
        loop {
            match self.client.send(&self.request).await {
                Ok((source, form)) => {
                    self.client.remember(&mut self.request);
                    self.queue.extend(self.request.take_notices().into_iter().map(ModelEvent::Notice));
                    self.source = Some((source, Reading::of(form, self.request.decoder())));
                    return Ok(());
                }
                Err(failure) if self.request.concede(&failure.error) => {
                    let code = failure.error.code().as_str();
                    tracing::warn!(code, "the server refuses a feature; again without it");
                }
                Err(failure) => self.pause_after(failure).await?,
            }
        }
    }

    async fn pause_after(&mut self, failure: Failure) -> Result<(), LlmError> {
        let retry = self.client.config().retry();
        let may_retry = failure.retry && !self.yielded;
        let pause = may_retry.then(|| retry.pause(self.attempt, failure.after)).flatten();
        let Some(pause) = pause else { return Err(failure.error) };
        self.attempt += 1;
        let (code, pause_ms) = (failure.error.code().as_str(), pause.as_millis());
        tracing::warn!(code, attempt = self.attempt, pause_ms, "the provider failed before it said anything; again");
        tokio::time::sleep(pause).await;
        Ok(())
    }

    async fn next(&mut self) -> Option<Result<ModelEvent, LlmError>> {
        loop {
            if let Some(mut event) = self.queue.pop_front() {
                self.yielded |= !matches!(event, ModelEvent::Notice(_));
                if let ModelEvent::Completed(completion) = &mut event {
                    self.request.restore(completion);
                    self.source = None;
                }
                return Some(Ok(event));
            }
            let Some(failure) = self.failed.take() else {
                self.read().await?;
                continue;
            };
            if let Err(error) = self.recover(failure).await {
                return Some(Err(error));
            }
        }
    }

    /// Reads on; none where the answer is over.
    async fn read(&mut self) -> Option<()> {
        let (source, reading) = self.source.as_mut()?;
        let idle = self.client.config().idle_timeout();
        let outcome = match tokio::time::timeout(idle, source.next()).await {
            Ok(Some(Ok(bytes))) => reading.take(&bytes, &mut self.queue),
            Ok(Some(Err(error))) => Err(error.into()),
            Ok(None) => reading.finish(&mut self.queue),
            Err(_) => Err(LlmError::Timeout(format!("nothing came for {} s", idle.as_secs_f64())).into()),
        };
        self.failed = outcome.err();
        Some(())
    }

    async fn recover(&mut self, failure: Failure) -> Result<(), LlmError> {
        self.source = None;
        // The vendor may find only within an answer that it does not take the request.
        if self.yielded || !self.request.concede(&failure.error) {
            self.pause_after(failure.masked(self.client.key())).await?;
        }
        self.connect().await
    }
}
