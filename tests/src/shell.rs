use crate::{Binaries, environment, repository};
use anyhow::{Context, Result, ensure};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

/// Runs lines of shell in `folder`, which must end well and within two minutes; what they wrote to stdout. The programs
/// under test come first in the `PATH`.
pub async fn run_shell(lines: &str, folder: &Path) -> Result<String> {
    let mut command = command(lines, folder)?;
    let output = timeout(Duration::from_mins(2), command.kill_on_drop(true).output()).await;
    let output = output.context("the commands did not end in time")??;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{lines}ended with {}\n{stdout}{stderr}", output.status);
    Ok(stdout)
}

/// The shell that runs these lines as a user's would, from the root of the repository, with `folder` as its home.
pub(crate) fn command(lines: &str, folder: &Path) -> Result<Command> {
    let programs = Binaries::find()?.server.parent().context("a program lies in a folder")?.to_owned();
    let mut shell = Command::new("bash");
    shell.args(["-euo", "pipefail", "-c", lines]).current_dir(repository()).stdin(Stdio::null());
    shell.env("PATH", format!("{}:{}", programs.display(), environment::path()));
    // All that it writes goes to the test's folder, and no port is taken from anybody.
    shell.env("LOCKKEEPER_SERVER__PORT", "0");
    shell.env("LOCKKEEPER_STORE__EMBEDDED__PATH", folder.join("store.redb"));
    shell.env("LOCKKEEPER_SANDBOX__LOCAL__STATE_DIR", folder.join("sandboxes"));
    // Nor is a Docker engine used that this machine may have.
    let nobody = folder.join("no-engine.sock");
    shell.env("LOCKKEEPER_SANDBOX__DOCKER__HOST", format!("unix://{}", nobody.display()));
    Ok(shell)
}
