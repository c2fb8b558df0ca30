//! Bodies that must arrive in time.

use crate::slots::Activity;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::{
    error::Error,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// How fast a request's body must arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The time for a body of no bytes.
    pub(crate) grace: Duration,
    /// The rate that each byte adds time for.
    pub(crate) bytes_per_sec: u32,
}

/// A body that fails when it does not keep its [`Pace`]. While it waits, its connection may be closed for others.
pub(crate) struct PacedBody<B> {
    inner: B,
    pace: Pace,
    started: Instant,
    received: u32,
    deadline: Option<Pin<Box<Sleep>>>,
    activity: Activity,
}

impl<B> PacedBody<B> {
    /// The time starts now.
    pub(crate) fn new(inner: B, pace: Pace, activity: Activity) -> Self {
        Self { inner, pace, started: Instant::now(), received: 0, deadline: None, activity }
    }

    fn ends(&self) -> Instant {
        let earned = f64::from(self.received) / f64::from(self.pace.bytes_per_sec.max(1));
        self.started + self.pace.grace + Duration::from_secs_f64(earned)
    }
}

impl<B> Body for PacedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.activity.works();
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                let length = data.map_or(0, |data| u32::try_from(data.len()).unwrap_or(u32::MAX));
                self.received = self.received.saturating_add(length);
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => {
                self.activity.waits();
                let ends = self.ends();
                let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep_until(ends)));
                if deadline.deadline() != ends {
                    deadline.as_mut().reset(ends);
                }
                deadline.as_mut().poll(cx).map(|()| Some(Err("the body did not arrive in time".into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Config, slots::Slots};
    use futures::StreamExt as _;
    use http_body_util::{BodyExt as _, StreamBody};
    use std::convert::Infallible;
    use tokio::time::sleep;

    /// How long the body lasted whose chunks of `size` bytes come every `secs`, and whether it came whole.
    async fn receive(chunks: usize, size: usize, secs: u64) -> (u64, bool) {
        let chunks = futures::stream::iter(0..chunks).then(move |_| async move {
            sleep(Duration::from_secs(secs)).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; size])))
        });
        let pace = Pace { grace: Duration::from_secs(10), bytes_per_sec: 1_000 };
        let slot = Slots::new(&Config::default()).take([192, 0, 2, 1].into(), false);
        let started = Instant::now();
        let body = PacedBody::new(StreamBody::new(Box::pin(chunks)), pace, slot.activity());
        let whole = body.collect().await.is_ok();
        (started.elapsed().as_secs(), whole)
    }

    /// Covers: S1-4
    #[tokio::test(start_paused = true)]
    async fn body_that_drips_is_cut_at_its_deadline() {
        assert_eq!(receive(1_000, 1, 1).await, (10, false));
        assert_eq!(receive(1, 1, 60).await, (10, false));
    }

    #[tokio::test(start_paused = true)]
    async fn long_body_that_keeps_its_rate_arrives_whole() {
        assert_eq!(receive(60, 1_000, 1).await, (60, true));
    }
}
