use crate::tool::clients;
use anyhow::{Context, Result};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak, mpsc},
    thread,
    time::Duration,
};

/// How long the model may take to be loaded.
const START: Duration = Duration::from_mins(2);

/// A language model on loopback that is none of ours: llama.cpp, started by `tests/clients/real-model/serve.py`. It
/// ends with its last handle.
#[derive(Debug)]
pub struct RealModel {
    /// It also ends when its standard input does, so that a test that is killed leaves nothing behind.
    process: Child,
    url: String,
    name: String,
}

impl RealModel {
    /// The model of this process: the one that runs, or else a new one. Blocks until it is ready.
    pub fn shared() -> Result<Arc<Self>> {
        static RUNNING: Mutex<Weak<RealModel>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = running.upgrade() {
            return Ok(model);
        }
        let model = Arc::new(Self::start()?);
        *running = Arc::downgrade(&model);
        Ok(model)
    }

    /// Where it is, as in `http://127.0.0.1:3000`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its name on the wire.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn start() -> Result<Self> {
        let folder = clients().join("real-model");
        let mut command = Command::new(folder.join(".venv/bin/python"));
        command.arg(folder.join("serve.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("the model cannot be started")?;
        let stdout = process.stdout.take().context("the model has no output")?;
        let mut model = Self { process, url: String::new(), name: String::new() };
        let ready = first_line(stdout).recv_timeout(START).context("the model was not ready in time")?;
        let ready: Value = serde_json::from_str(&ready).with_context(|| format!("the model said {ready:?}"))?;
        let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
        (model.url, model.name) = (text("url"), text("model"));
        Ok(model)
    }
}

impl Drop for RealModel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn first_line(output: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, first) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let _ = BufReader::new(output).read_line(&mut line);
        let _ = sender.send(line);
    });
    first
}
