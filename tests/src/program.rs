use crate::{
    browser::chromium,
    tool::{clients, program},
};
use anyhow::{Context, Result, bail};
use std::{path::Path, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Command,
    time::timeout,
};

/// A client program in another language: it ends with status 0 when all was as it must be, and says on stderr what
/// was not.
#[derive(Debug)]
pub struct Program {
    command: Command,
    name: String,
    patience: Duration,
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

    /// The program `tests/clients/browser/<name>`, which drives a browser. What the browser writes, it writes to `folder`.
    pub fn browser(name: &str, folder: &Path) -> Result<Self> {
        let mut program = Self::javascript_at(&clients().join("browser").join(name))?;
        program.command.env("CHROMIUM", chromium().context("Chromium is not on the PATH")?).env("TMPDIR", folder);
        Ok(Self { patience: Duration::from_mins(3), ..program })
    }

    /// The Python program `tests/clients/python/<name>`.
    pub fn python(name: &str) -> Self {
        let folder = clients().join("python");
        Self::new(&folder.join(".venv/bin/python"), &folder.join(name))
    }

    fn new(interpreter: &Path, file: &Path) -> Self {
        let mut command = Command::new(interpreter);
        command.arg(file).kill_on_drop(true).stdin(Stdio::null());
        Self { command, name: file.display().to_string(), patience: Duration::from_mins(1) }
    }

    /// With this argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.arg(argument);
        self
    }

    /// Runs it to its end, which must be a good one and come in time: within a minute, or three with a browser. What it
    /// wrote to stdout.
    pub async fn run(self) -> Result<String> {
        self.run_with(async |asked| bail!("nobody does what it asks for: {asked}")).await
    }

    /// The same for a program that asks for something by a line `ask: WHAT` on stdout: `act` does it, and then the program
    /// reads `done` from its stdin.
    pub async fn run_with(mut self, act: impl AsyncFnMut(&str) -> Result<()>) -> Result<String> {
        let (name, patience) = (std::mem::take(&mut self.name), self.patience);
        let outcome = timeout(patience, self.converse(act));
        outcome.await.with_context(|| format!("{name} did not end within {patience:?}"))?.context(name)
    }

    async fn converse(mut self, mut act: impl AsyncFnMut(&str) -> Result<()>) -> Result<String> {
        let pipes = self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = pipes.spawn()?;
        let mut stdin = child.stdin.take().context("it has no stdin")?;
        let mut stdout = BufReader::new(child.stdout.take().context("it has no stdout")?).lines();
        let mut stderr = child.stderr.take().context("it has no stderr")?;
        let (mut said, mut complaints) = (String::new(), String::new());
        let listen = async {
            while let Some(line) = stdout.next_line().await? {
                if let Some(asked) = line.strip_prefix("ask: ") {
                    act(asked).await?;
                    stdin.write_all(b"done\n").await?;
                }
                said.push_str(&line);
                said.push('\n');
            }
            anyhow::Ok(())
        };
        let (listened, _) = tokio::join!(listen, stderr.read_to_string(&mut complaints));
        let status = child.wait().await?;
        if !status.success() {
            bail!("it ended with {status}\n{said}{complaints}");
        }
        listened.map(|()| said)
    }
}
