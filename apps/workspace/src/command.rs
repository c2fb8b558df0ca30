//! `execute_command`: a shell command in a process group of its own.

mod capture;
mod group;

use std::{
    env, io,
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    pin::pin,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

use self::capture::{HeadTail, drain};
pub(crate) use self::{capture::Captured, group::ProcessGroup};
use crate::{files::Workspace, limits::Limits, tool_error::ToolError};

/// What a command sees of the server's environment, and what it gets where the
/// server has none.
const ENVIRONMENT: [(&str, &str); 3] =
    [("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/tmp"), ("LANG", "C.UTF-8")];

/// What a command sees besides where the server has it.
const TEMPORARY: &str = "TMPDIR";

/// How long output is still awaited once the shell itself has ended: what is in
/// the pipes takes no time, and a background process may hold them for ever.
const LINGER: Duration = Duration::from_millis(200);

/// The arguments of `execute_command`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ExecuteCommand {
    command: String,
    cwd: Option<String>,
    timeout_ms: Option<u64>,
}

impl ExecuteCommand {
    /// The time after which the command is ended.
    pub(crate) fn timeout(&self, limits: &Limits) -> Result<Duration, ToolError> {
        let millis = self.timeout_ms.unwrap_or(limits.timeout_ms);
        if millis == 0 || millis > limits.max_timeout_ms {
            return Err(ToolError::new(format!(
                "timeout_ms must be between 1 and {}, not {millis}.",
                limits.max_timeout_ms
            )));
        }
        Ok(Duration::from_millis(millis))
    }
}

/// How a command ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None` if it could not be reaped in time after a KILL.
    pub(crate) status: Option<ExitStatus>,
    pub(crate) timed_out: bool,
    pub(crate) stdout: Captured,
    pub(crate) stderr: Captured,
    pub(crate) duration: Duration,
    /// Set if processes of the command live on in the background.
    pub(crate) background: Option<ProcessGroup>,
}

enum Ending {
    Exited(io::Result<ExitStatus>),
    TimedOut,
    Cancelled,
}

/// Runs the command until it ends, its time is up, or `cancelled` resolves; in
/// the latter two cases its whole process group is ended.
pub(crate) async fn execute(
    workspace: &Workspace,
    limits: &Limits,
    request: &ExecuteCommand,
    cancelled: impl Future<Output = ()>,
) -> Result<Outcome, ToolError> {
    let time_limit = request.timeout(limits)?;
    let started = Instant::now();
    let mut child = spawn(workspace, request)?;
    let mut group =
        ProcessGroup::of(&child).ok_or_else(|| ToolError::new("The command ended before it could be watched."))?;

    let most = limits.max_output_bytes as usize;
    let (mut stdout, mut stderr) = (HeadTail::new(most), HeadTail::new(most));
    let pipes = (child.stdout.take(), child.stderr.take());
    let reading = async {
        tokio::join!(drain(pipes.0, &mut stdout), drain(pipes.1, &mut stderr));
    };
    let running = async {
        let ending = tokio::select! {
            status = child.wait() => return Ending::Exited(status),
            () = cancelled => Ending::Cancelled,
            () = sleep(time_limit) => Ending::TimedOut,
        };
        group.end(&mut child, limits.kill_grace()).await;
        ending
    };
    let ending = while_reading(running, reading).await;

    let timed_out = matches!(ending, Ending::TimedOut);
    let status = match ending {
        Ending::Exited(status) => {
            Some(status.map_err(|error| ToolError::new(format!("The command was lost: {error}.")))?)
        }
        Ending::TimedOut => child.try_wait().ok().flatten(),
        Ending::Cancelled => return Err(ToolError::new("The command was cancelled and ended.")),
    };
    Ok(Outcome {
        status,
        timed_out,
        stdout: stdout.finish(),
        stderr: stderr.finish(),
        duration: started.elapsed(),
        background: group.into_background(),
    })
}

/// Reads for as long as the command runs or is being ended, since it must not
/// block on a full pipe and may print its last words, and a little longer.
async fn while_reading<T>(running: impl Future<Output = T>, reading: impl Future<Output = ()>) -> T {
    let (mut running, mut reading) = (pin!(running), pin!(reading));
    tokio::select! {
        ending = &mut running => {
            // Elapsed: a background process holds the pipes.
            let _ = timeout(LINGER, reading).await;
            ending
        }
        () = &mut reading => running.await,
    }
}

impl Outcome {
    /// The signal that ended the command's shell, if one did.
    pub(crate) fn signal(&self) -> Option<i32> {
        self.status.and_then(|status| status.signal())
    }

    pub(crate) fn exit_code(&self) -> Option<i32> {
        self.status.and_then(|status| status.code())
    }

    pub(crate) fn succeeded(&self) -> bool {
        !self.timed_out && self.status.is_some_and(|status| status.success())
    }
}

fn spawn(workspace: &Workspace, request: &ExecuteCommand) -> Result<Child, ToolError> {
    let dir = workspace.open_dir(request.cwd.as_deref().unwrap_or("."))?;
    // The handle, not the path: what was checked is where the command starts.
    let cwd = PathBuf::from(format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd()));
    for shell in [&["sh"][..], &["busybox", "sh"]] {
        let mut command = Command::new(shell[0]);
        command
            .args(&shell[1..])
            .arg("-c")
            .arg(&request.command)
            .current_dir(&cwd)
            .env_clear()
            .envs(ENVIRONMENT.map(|(name, fallback)| (name, inherited(name).unwrap_or_else(|| fallback.into()))))
            .envs(inherited(TEMPORARY).map(|directory| (TEMPORARY, directory)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        match command.spawn() {
            Ok(child) => return Ok(child),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(ToolError::new(format!("The shell could not be started: {error}.")));
            }
        }
    }
    Err(ToolError::new(if Path::new("/proc/self/fd").is_dir() {
        "There is no shell in this sandbox: neither sh nor busybox is on the PATH."
    } else {
        "Commands cannot run in this sandbox: /proc is not mounted."
    }))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the sandbox's own environment is what its commands inherit; there is no configuration to read"
)]
fn inherited(name: &str) -> Option<std::ffi::OsString> {
    env::var_os(name)
}
