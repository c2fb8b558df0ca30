//! The server's side of a running command.

use crate::{
    launcher,
    wire::{self, Launch, Report},
};
use futures::FutureExt;
use lockkeeper_ports::{Exec, ExecStatus};
use rustix::pipe::{PipeFlags, pipe_with};
use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    path::Path,
    pin::Pin,
    process::Stdio,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{
            OwnedReadHalf,
            pipe::{Receiver, Sender},
        },
    },
    process::{Child, Command},
};

/// Why a command does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// The command itself is at fault.
    #[error("{0}")]
    CannotExec(String),
    /// The sandbox could not be made.
    #[error("{0}")]
    Failed(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Starts the supervisor of a command, and waits until the command runs. Dropping the future ends both.
pub(crate) async fn launch(launcher: &Path, launch: &Launch) -> Result<Exec, LaunchError> {
    let (stdin_read, stdin_write) = pipe()?;
    let (stdout_read, stdout_write) = pipe()?;
    let (stderr_read, stderr_write) = pipe()?;
    let (stdin, stdout) = (Sender::from_owned_fd(stdin_write)?, Receiver::from_owned_fd(stdout_read)?);
    let mut stderr = Receiver::from_owned_fd(stderr_read)?;

    let (control, supervisor) = start_supervisor(launcher)?;
    let body = wire::encode_launch(launch)?;
    wire::send_head(&control, &body, &[stdin_read, stdout_write, stderr_write])?;
    control.set_nonblocking(true)?;
    let (mut reports, mut orders) = UnixStream::from_std(control)?.into_split();
    orders.write_all(&body).await?;

    match next_report(&mut reports).await? {
        Some(Report::Started) => {}
        Some(Report::CannotExec(reason)) => return Err(LaunchError::CannotExec(reason)),
        Some(Report::Failed(reason)) => return Err(LaunchError::Failed(reason + &said(&mut stderr).await)),
        Some(Report::Exited(_) | Report::Signalled(_)) | None => {
            return Err(LaunchError::Failed(
                "the sandbox ended before the command began".to_owned() + &said(&mut stderr).await,
            ));
        }
    }
    Ok(Exec {
        stdin: Box::new(Stdin(Some(stdin))),
        stdout: Box::new(stdout),
        stderr: Box::new(stderr),
        status: status(reports, supervisor).boxed(),
        // The end of what it can read is the supervisor's order to end everything.
        kill: Box::new(move || drop(orders)),
    })
}

fn start_supervisor(launcher: &Path) -> io::Result<(StdUnixStream, Child)> {
    let (control, theirs) = StdUnixStream::pair()?;
    let mut command = Command::new(launcher);
    command.args(launcher::supervise_arguments()).env_clear().current_dir("/");
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn()?;
    Ok((control, child))
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(pipe_with(PipeFlags::CLOEXEC)?)
}

async fn status(mut reports: OwnedReadHalf, mut supervisor: Child) -> ExecStatus {
    let status = match next_report(&mut reports).await {
        Ok(Some(Report::Exited(code))) => ExecStatus::Exited(code),
        Ok(Some(Report::Signalled(signal))) => ExecStatus::Signalled(signal),
        Ok(Some(Report::Failed(reason) | Report::CannotExec(reason))) => ExecStatus::Lost(reason),
        Ok(Some(Report::Started) | None) => ExecStatus::Lost("its supervisor is gone".into()),
        Err(error) => ExecStatus::Lost(error.to_string()),
    };
    // It reports when nothing of the command is left, and has nothing more to do.
    drop(supervisor.wait().await);
    status
}

async fn next_report(reports: &mut OwnedReadHalf) -> io::Result<Option<Report>> {
    let mut length = [0; 4];
    match reports.read_exact(&mut length).await {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    let mut body = vec![0; wire::body_length(length)?];
    reports.read_exact(&mut body).await?;
    Ok(Some(serde_json::from_slice(&body)?))
}

/// What was written to standard error by what could not start: the reason, where `bwrap` is that.
async fn said(stderr: &mut Receiver) -> String {
    let mut bytes = Vec::new();
    match stderr.take(2048).read_to_end(&mut bytes).await {
        Ok(read) if read > 0 => format!(" ({})", String::from_utf8_lossy(&bytes).trim().replace('\n', "; ")),
        _ => String::new(),
    }
}

/// A pipe to standard input that closes when it is shut down, which the pipe alone does only when it is dropped.
struct Stdin(Option<Sender>);

impl AsyncWrite for Stdin {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Some(pipe) => Pin::new(pipe).poll_write(context, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A pipe holds nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0 = None;
        Poll::Ready(Ok(()))
    }
}
