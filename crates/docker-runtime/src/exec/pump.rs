use super::{
    ExecId, LaunchError,
    frames::{LARGEST, Order, Report, WINDOW, decode, encode},
    outcome::Ending,
};
use crate::{sandboxes::Health, shared::Shared};
use bollard::{container::LogOutput, errors::Error};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use lockkeeper_ports::ExecStatus;
use std::{pin::Pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    sync::{Semaphore, oneshot, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// What the engine sends.
pub(super) type Output = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;
/// What it takes.
pub(super) type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// After the supervisor has ended, what it wrote is on its way for so long at most.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// And is no more than this, of which pipes and sockets on the way hold a part each.
const MOST_LAST_WORDS: usize = 4 << 20;
/// What is kept of standard output while it may be the engine's own complaint.
const COMPLAINT: usize = 2048;
/// No engine complains at such length; a reader's buffer holds more.
const LONGEST_COMPLAINT: usize = 16 << 10;

/// The other ends of what the user of the process holds.
pub(super) struct Ends {
    pub(super) from_user: DuplexStream,
    pub(super) to_stdout: DuplexStream,
    pub(super) to_stderr: DuplexStream,
    pub(super) started: Option<oneshot::Sender<Result<(), LaunchError>>>,
    pub(super) killed: CancellationToken,
    pub(super) died: CancellationToken,
}

/// Moves bytes between one process and its user, never more than the user takes.
pub(super) struct Pump {
    pub(super) shared: Arc<Shared>,
    pub(super) exec: ExecId,
    pub(super) health: watch::Receiver<Health>,
    pub(super) ends: Ends,
}

impl Pump {
    /// Returns when the process has ended, with how.
    pub(super) async fn run(self, output: Output, input: Input) -> ExecStatus {
        let Self { shared, exec, health, ends } = self;
        let Ends { from_user, to_stdout, to_stderr, started, killed, died } = ends;
        let before = health.borrow().out_of_memory;
        let ending = Ending { shared, exec, health, before, killed: killed.clone() };
        let credit = Semaphore::new(WINDOW);
        let incoming = Receiver {
            to_stdout: Some(to_stdout),
            to_stderr: Some(to_stderr),
            started,
            killed: &killed,
            credit: &credit,
            reports: BytesMut::new(),
            complaint: Vec::new(),
            before_start: 0,
            last: None,
        };
        let limit = ending.shared.config.stop_timeout();
        let finished = incoming.run(output, &died, limit);
        let sent = async {
            send(from_user, input, &credit, &killed).await;
            std::future::pending::<()>().await;
        };
        let mut over = tokio::select! {
            finished = finished => finished,
            () = sent => return ExecStatus::Lost("the runtime is gone".into()),
        };
        let (started, complaint) = (over.started.take(), std::mem::take(&mut over.complaint));
        let last = over.last.take();
        if let Some(started) = started {
            let error = ending.not_started(last, &complaint).await;
            drop(started.send(Err(error)));
            return ExecStatus::Lost("it did not start".into());
        }
        // The readers see the end of the streams when the process has ended, and not before.
        let status = ending.status(last).await;
        drop(over);
        status
    }
}

/// Passes on the user's bytes, as many as the process takes, until the user wants the process to end.
async fn send(mut from_user: DuplexStream, mut input: Input, credit: &Semaphore, killed: &CancellationToken) {
    let mut buffer = vec![0; LARGEST / 2];
    let pass_on = async {
        loop {
            let read = from_user.read(&mut buffer).await.unwrap_or(0);
            let order = if read == 0 { Order::EndOfInput } else { Order::Input(&buffer[..read]) };
            if let Ok(permits) = credit.acquire_many(u32::try_from(read).unwrap_or(u32::MAX)).await {
                permits.forget();
            }
            if write(&mut input, order).await.is_err() || read == 0 {
                // What became of the process is for the other direction to say.
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        biased;
        () = killed.cancelled() => {}
        () = pass_on => {}
    }
    // A frame may have been cut in two by this: then the end of the stream is what the supervisor understands.
    let last = async {
        drop(write(&mut input, Order::Kill).await);
        drop(input.shutdown().await);
    };
    drop(timeout(LAST_WORDS, last).await);
}

async fn write(input: &mut Input, order: Order<'_>) -> std::io::Result<()> {
    input.write_all(&encode(order)).await?;
    input.flush().await
}

/// What comes from the engine, taken apart.
struct Receiver<'a> {
    to_stdout: Option<DuplexStream>,
    to_stderr: Option<DuplexStream>,
    started: Option<oneshot::Sender<Result<(), LaunchError>>>,
    killed: &'a CancellationToken,
    credit: &'a Semaphore,
    reports: BytesMut,
    complaint: Vec<u8>,
    /// How many bytes of standard output came before the process was known to run.
    before_start: usize,
    last: Option<Report>,
}

impl Receiver<'_> {
    /// Takes all that comes, until nothing more can.
    async fn run(mut self, mut output: Output, died: &CancellationToken, limit: Duration) -> Self {
        let killed = self.killed.clone();
        let overdue = async {
            killed.cancelled().await;
            sleep(limit).await;
        };
        tokio::pin!(overdue);
        let mut last_words = 0;
        loop {
            let is_over = self.last.is_some() || died.is_cancelled();
            if last_words > MOST_LAST_WORDS {
                return self;
            }
            let item = tokio::select! {
                biased;
                item = output.next() => item,
                // A process that got away from its supervisor may hold the stream open for ever.
                () = sleep(LAST_WORDS), if is_over => return self,
                () = died.cancelled(), if !is_over => continue,
                () = &mut overdue => return self,
            };
            if let (true, Some(Ok(item))) = (is_over, &item) {
                last_words += item.as_ref().len();
            }
            let took = match item {
                Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => self.stdout(message).await,
                Some(Ok(LogOutput::StdErr { message })) => self.stderr(&message).await,
                Some(Ok(LogOutput::StdIn { .. })) => true,
                Some(Err(_)) | None => false,
            };
            if !took {
                return self;
            }
        }
    }

    async fn stdout(&mut self, bytes: Bytes) -> bool {
        if self.started.is_some() {
            self.before_start += bytes.len();
            let room = COMPLAINT.saturating_sub(self.complaint.len());
            self.complaint.extend(bytes.iter().take(room));
            // The streams overtake each other. What says so much runs, and nobody reads it before that is known.
            if self.before_start > LONGEST_COMPLAINT {
                self.start();
            }
        }
        pass_on(&mut self.to_stdout, &bytes, self.killed).await;
        true
    }

    fn start(&mut self) {
        if let Some(started) = self.started.take() {
            drop(started.send(Ok(())));
        }
    }

    async fn stderr(&mut self, bytes: &[u8]) -> bool {
        self.reports.extend_from_slice(bytes);
        loop {
            match decode(&mut self.reports) {
                Ok(None) => return true,
                Ok(Some(Report::Started)) => self.start(),
                Ok(Some(Report::Stderr(bytes))) => pass_on(&mut self.to_stderr, &bytes, self.killed).await,
                Ok(Some(Report::Taken(bytes))) => self.credit.add_permits((bytes as usize).min(WINDOW)),
                Ok(Some(last)) => self.last = Some(last),
                // No supervisor of ours speaks there.
                Err(_) => return false,
            }
        }
    }
}

/// Waits until the reader has room, and not at all when there is no reader or the process is to end.
async fn pass_on(to: &mut Option<DuplexStream>, bytes: &[u8], killed: &CancellationToken) {
    let Some(stream) = to else { return };
    let written = tokio::select! {
        biased;
        () = killed.cancelled() => None,
        written = stream.write_all(bytes) => written.ok(),
    };
    if written.is_none() {
        *to = None;
    }
}

#[cfg(test)]
mod tests;
