use crate::tool::{clients, program};
use anyhow::{Context, Result, bail};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

/// A client program in another language: it ends with status 0 when all was as it must be, and says on stderr what
/// was not.
#[derive(Debug)]
pub struct Program {
    command: Command,
    name: String,
}

impl Program {
    /// The JavaScript program `tests/clients/js/<name>`.
    pub fn javascript(name: &str) -> Result<Self> {
        Self::javascript_at(&clients().join("js").join(name))
    }

    /// The JavaScript program in this file.
    pub fn javascript_at(file: &Path) -> Result<Self> {
        let node = program("node").context("node is not on the PATH")?;
        Ok(Self::new(&node, file))
    }

    /// The Python program `tests/clients/python/<name>`.
    pub fn python(name: &str) -> Self {
        let folder = clients().join("python");
        Self::new(&folder.join(".venv/bin/python"), &folder.join(name))
    }

    fn new(interpreter: &Path, file: &Path) -> Self {
        let mut command = Command::new(interpreter);
        command.arg(file).kill_on_drop(true).stdin(Stdio::null());
        Self { command, name: file.display().to_string() }
    }

    /// With this argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Runs it to its end, which must be a good one and come within a minute; what it wrote to stdout.
    pub async fn run(mut self) -> Result<String> {
        let output = timeout(Duration::from_mins(1), self.command.output());
        let output = output.await.with_context(|| format!("{} did not end within a minute", self.name))??;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("{} ended with {}\n{stdout}{stderr}", self.name, output.status);
        }
        Ok(stdout)
    }
}
