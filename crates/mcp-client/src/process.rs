//! The tasks that look after a server's process: one writes, one drains its standard error, one waits for its end.

use crate::{
    link::{Down, Link},
    patience::Patience,
};
use futures::future::BoxFuture;
use lockkeeper_domain::Code;
use lockkeeper_ports::ExecStatus;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

const STDERR_CHUNK: usize = 8 << 10;
const STDERR_LINE: usize = 512;

/// When a process is to end.
#[derive(Clone, Debug)]
pub(crate) struct Ends {
    /// Its input is closed, and it is killed after a grace.
    pub(crate) soft: CancellationToken,
    /// It is killed.
    pub(crate) hard: CancellationToken,
}

/// Writes the queued lines, each within its deadline, and closes the input when `stop` says so.
pub(crate) async fn write(
    link: Arc<Link>,
    mut queue: mpsc::Receiver<Vec<u8>>,
    mut stdin: Box<dyn AsyncWrite + Send + Unpin>,
    patience: Patience,
    stop: CancellationToken,
) {
    loop {
        let queued = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            queued = queue.recv() => queued,
        };
        let Some(message) = queued else { break };
        let write = async {
            stdin.write_all(&message).await?;
            stdin.flush().await
        };
        let written = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            written = patience.within(link.config.write(), write) => written,
        };
        link.written(message.len());
        match written {
            Some(Ok(())) => {}
            // Its end comes, and with it the reason.
            Some(Err(_)) => {
                link.ended.cancel();
                return;
            }
            None => {
                let reason = format!("did not read its standard input for {} s", link.config.write_secs);
                link.fail(Down::new(Code::ToolTimeout, reason));
                return;
            }
        }
    }
    // The half-close that well-behaved servers take as the wish to end. One that does not read may block it.
    let _ = timeout(link.config.close_grace(), stdin.shutdown()).await;
}

/// Reads the standard error, so that the process never blocks on it, and keeps and logs the end of it.
pub(crate) async fn drain_stderr(
    link: Arc<Link>,
    mut stderr: Box<dyn AsyncRead + Send + Unpin>,
    end: CancellationToken,
) {
    let mut chunk = vec![0; STDERR_CHUNK];
    let (mut since, mut logged) = (Instant::now(), 0);
    loop {
        let read = tokio::select! {
            biased;
            () = end.cancelled() => return,
            read = stderr.read(&mut chunk) => read,
        };
        let length = match read {
            Ok(length) if length > 0 => length,
            _ => return,
        };
        link.keep_stderr(&chunk[..length]);
        if since.elapsed() >= Duration::from_secs(1) {
            (since, logged) = (Instant::now(), 0);
        }
        for line in chunk[..length].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if logged < link.config.stderr_lines_per_sec {
                logged += 1;
                let text = crate::text::clean(&String::from_utf8_lossy(line), STDERR_LINE);
                tracing::debug!(mcp.server = %link.server, stderr = %text);
            }
        }
    }
}

/// Waits for the end of the process, or ends it.
pub(crate) async fn supervise(
    link: Arc<Link>,
    mut status: BoxFuture<'static, ExecStatus>,
    kill: Box<dyn FnOnce() + Send>,
    ends: Ends,
    stop_writing: CancellationToken,
) {
    let grace = link.config.exit_grace();
    let closed = || Down::new(Code::OutcomeUnknown, "was ended with its session");
    tokio::select! {
        biased;
        () = ends.hard.cancelled() => link.fail(closed()),
        status = &mut status => {
            // Answers may still be in the pipe; a child of the process may hold it open for good.
            let _ = timeout(grace, link.read_all.cancelled()).await;
            link.fail(Down::ended(&status));
        }
        () = link.ended.cancelled() => match timeout(grace, &mut status).await {
            Ok(status) => {
                // Its last answers may still be in the pipe, also where it is our write that failed first.
                let _ = timeout(grace, link.read_all.cancelled()).await;
                link.fail(Down::ended(&status));
            }
            Err(_) => link.fail(Down::new(Code::ToolCrashed, "closed its standard input or output and went on")),
        },
        () = ends.soft.cancelled() => {
            link.fail(closed());
            stop_writing.cancel();
            tokio::select! {
                _ = timeout(link.config.close_grace(), &mut status) => {}
                () = ends.hard.cancelled() => {}
            }
        }
        _ = link.wait_down() => {}
    }
    stop_writing.cancel();
    kill();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use lockkeeper_domain::ServerName;
    use std::{fmt, io::Cursor, sync::Mutex};
    use tracing::{Event, Metadata, Subscriber, field, span};

    /// Keeps what is logged as the field `stderr`.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<String>>>);

    impl field::Visit for Log {
        fn record_debug(&mut self, field: &field::Field, value: &dyn fmt::Debug) {
            if field.name() == "stderr" {
                self.0.lock().expect("no panic").push(format!("{value:?}"));
            }
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            event.record(&mut self.clone());
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    #[tokio::test(start_paused = true)]
    async fn m7_twenty_lines_a_second_of_standard_error_are_logged_and_cleaned() {
        let log = Log::default();
        let _logged = tracing::subscriber::set_default(log.clone());
        let (link, _ends) = Link::new(ServerName::new("a"), Arc::new(Config::default()));
        let flood = "no\u{202e}ise \u{1b}[31m\n".repeat(10_000).into_bytes();
        drain_stderr(link, Box::new(Cursor::new(flood)), CancellationToken::new()).await;
        let lines = log.0.lock().expect("no panic");
        assert_eq!(lines.len(), 20);
        assert!(lines.iter().all(|line| line.starts_with(r"no\u{202E}ise") && !line.contains('\u{1b}')), "{lines:?}");
    }
}
