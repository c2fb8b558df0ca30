//! The one writer, and how many writes share one sync of the file.

use crate::{
    Config,
    change::Tables,
    database::Shared,
    failure::{Failure, Halt},
};
use lockkeeper_ports::StoreError;
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{Builder, JoinHandle},
};
use tokio::sync::{mpsc, oneshot};

/// A change that somebody waits for.
pub(crate) trait Job: Send {
    /// Makes the change and keeps its result. It may be made again, in another transaction, when this one comes to
    /// nothing. An error is that of the whole transaction; a refusal is a result.
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), Failure>;

    /// Tells who waits: the result, or that nothing came of it.
    fn answer(&mut self, failure: Option<&Failure>);

    /// About how many bytes it writes.
    fn weight(&self) -> usize;
}

/// Where changes go.
pub(crate) enum Writer {
    /// They are made where they are asked for: there is no file to wait for. It also means that a paused tokio clock
    /// does not run on while another thread works.
    Inline,
    /// They are made by a thread, which ends when the queue is closed.
    Thread { queue: Option<mpsc::Sender<Box<dyn Job>>>, thread: Option<JoinHandle<()>> },
}

struct Pending<T, F> {
    change: F,
    weight: usize,
    result: Option<Result<T, StoreError>>,
    reply: Option<oneshot::Sender<Result<T, StoreError>>>,
}

impl Writer {
    pub(crate) fn start(shared: Arc<Shared>, config: &Config) -> io::Result<Self> {
        let (queue, jobs) = mpsc::channel(config.max_queued_writes.get());
        let (writes, bytes) = (config.max_batch_writes.get(), config.max_batch_bytes);
        let run = move || write_all(&shared, jobs, writes, bytes);
        let thread = Builder::new().name("store-writer".to_owned()).spawn(run)?;
        Ok(Self::Thread { queue: Some(queue), thread: Some(thread) })
    }

    /// Has a change made. It is made even if nobody waits for the answer any more, once it has a place in the queue.
    pub(crate) async fn write<T, F>(&self, shared: &Shared, weight: usize, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&mut Tables<'_>) -> Result<T, Halt> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let mut job: Box<dyn Job> = Box::new(Pending { change, weight, result: None, reply: Some(reply) });
        match self {
            Self::Inline => shared.write(std::slice::from_mut(&mut job)),
            Self::Thread { queue, .. } => {
                let queue = queue.as_ref().ok_or_else(broken_off)?;
                queue.send(job).await.map_err(|_| broken_off())?;
            }
        }
        answer.await.map_err(|_| broken_off())?
    }

    /// Waits until all that is queued is written.
    pub(crate) fn stop(&mut self) {
        if let Self::Thread { queue, thread } = self {
            drop(queue.take());
            if let Some(thread) = thread.take()
                && thread.join().is_err()
            {
                tracing::error!("the store's writer had panicked");
            }
        }
    }
}

/// Takes what waits, writes it, and so on. While a batch is being synced the next one gathers, so batches grow with the
/// load and nobody waits for one to fill.
fn write_all(shared: &Shared, mut jobs: mpsc::Receiver<Box<dyn Job>>, max_writes: usize, max_bytes: usize) {
    while let Some(first) = jobs.blocking_recv() {
        let mut bytes = first.weight();
        let mut batch = vec![first];
        while batch.len() < max_writes
            && bytes < max_bytes
            && let Ok(job) = jobs.try_recv()
        {
            bytes = bytes.saturating_add(job.weight());
            batch.push(job);
        }
        // redb may panic on a file that something else has damaged. Who waits then learns it from its dropped sender.
        if catch_unwind(AssertUnwindSafe(|| shared.write(&mut batch))).is_err() {
            tracing::error!(writes = batch.len(), "the store panicked in a write");
        }
    }
}

fn broken_off() -> StoreError {
    Failure::told("the write was broken off").into()
}

impl<T, F> Job for Pending<T, F>
where
    T: Send,
    F: Fn(&mut Tables<'_>) -> Result<T, Halt> + Send,
{
    fn apply(&mut self, tables: &mut Tables<'_>) -> Result<(), Failure> {
        self.result = Some(match (self.change)(tables) {
            Ok(value) => Ok(value),
            Err(Halt::Refused(error)) => Err(error),
            Err(Halt::Broken(failure)) => return Err(failure),
        });
        Ok(())
    }

    fn answer(&mut self, failure: Option<&Failure>) {
        let result = match failure {
            // Refusals too: they may rest on what came to nothing.
            Some(failure) => Err(failure.clone().into()),
            None => self.result.take().unwrap_or_else(|| Err(broken_off())),
        };
        if let Some(reply) = self.reply.take() {
            // An error here means that nobody waits any more.
            drop(reply.send(result));
        }
    }

    fn weight(&self) -> usize {
        self.weight
    }
}
