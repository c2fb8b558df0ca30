use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

/// A stream that fails once a write has made no progress for too long.
///
/// A peer that keeps its connection open and reads nothing would otherwise hold whoever writes to it for ever: the write
/// never fails, and nothing above it that waits for the write to end can clean up. Reading fails from then on as well, so
/// that a task that only reads learns of it at once.
#[derive(Debug)]
pub(crate) struct StallGuard<S> {
    inner: S,
    patience: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    stalled: bool,
    reader: Option<Waker>,
}

impl<S> StallGuard<S> {
    pub(crate) fn new(inner: S, patience: Duration) -> Self {
        Self { inner, patience, timer: None, stalled: false, reader: None }
    }

    /// Passes a write's outcome on, or the failure once it has waited for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.timer = None;
            return outcome;
        }
        let patience = self.patience;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(timer.as_mut().poll(cx));
        self.stalled = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Err(stalled()))
    }
}

fn stalled() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing")
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.stalled {
            return Poll::Ready(Err(stalled()));
        }
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        if read.is_pending() && !self.reader.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            self.reader = Some(cx.waker().clone());
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.stalled {
            return Poll::Ready(Err(stalled()));
        }
        let written = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.stalled {
            return Poll::Ready(Err(stalled()));
        }
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.stalled {
            return Poll::Ready(Err(stalled()));
        }
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex, split},
        time::Instant,
    };

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_reads_fails_after_its_time_and_so_does_all_that_follows() {
        let (ours, _theirs) = duplex(16);
        let mut guarded = StallGuard::new(ours, Duration::from_secs(3));
        let started = Instant::now();
        let error = guarded.write_all(&[0; 64]).await.expect_err("nobody reads");
        assert_eq!((error.kind(), started.elapsed().as_secs()), (io::ErrorKind::TimedOut, 3));
        assert!(guarded.write_all(&[0]).await.is_err());
        assert!(guarded.flush().await.is_err());
        assert!(guarded.read_u8().await.is_err());
        assert_eq!(started.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_waits_learns_of_it_at_once() {
        let (ours, _theirs) = duplex(16);
        let (mut reader, mut writer) = split(StallGuard::new(ours, Duration::from_secs(3)));
        let started = Instant::now();
        let (read, written) = tokio::join!(reader.read_u8(), async move { writer.write_all(&[0; 64]).await });
        assert!(read.is_err() && written.is_err());
        assert_eq!(started.elapsed().as_secs(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_is_no_peer_that_reads_nothing() {
        let (ours, mut theirs) = duplex(4);
        let mut guarded = StallGuard::new(ours, Duration::from_secs(3));
        let read = async {
            for _ in 0..64 {
                tokio::time::sleep(Duration::from_secs(2)).await;
                theirs.read_u8().await.expect("written");
            }
        };
        let ((), written) = tokio::join!(read, guarded.write_all(&[0; 64]));
        written.expect("it made progress all the time");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_left_alone() {
        let (ours, mut theirs) = duplex(16);
        let mut guarded = StallGuard::new(ours, Duration::from_secs(3));
        guarded.write_u8(1).await.expect("room");
        tokio::time::sleep(Duration::from_hours(1)).await;
        theirs.write_u8(2).await.expect("room");
        assert_eq!(guarded.read_u8().await.expect("sent"), 2);
        guarded.write_u8(3).await.expect("room");
    }
}
