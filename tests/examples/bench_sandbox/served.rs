//! The other side: a whole server, and a client that connects to it.

use crate::bare;
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Server, Setup, docker};
use serde_json::json;
use std::{
    collections::BTreeSet,
    fmt,
    fs::File,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio::time::{interval, sleep, timeout};

/// How long the engine may take to get where it is waited for.
const PATIENCE: Duration = Duration::from_mins(2);
/// How long a sandbox of the pool is given between the start of its MCP server and the list of its tools.
const SETTLED: Duration = Duration::from_millis(400);
/// The tool that is called, on both sides. It does next to nothing.
pub(crate) const TOOL: &str = "list_files";

/// Where a server keeps its sessions.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Store {
    Memory,
    File,
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::File => "a file",
        })
    }
}

/// A server whose containers are its own.
pub(crate) struct Served {
    server: Server,
    pub(crate) deployment: String,
    /// How many sandboxes wait for sessions.
    warm: usize,
    folder: TempDir,
}

/// How long a call of a tool took, as a client sees it.
pub(crate) struct Call {
    /// From the human's consent to the output.
    pub(crate) approved: Duration,
    /// From the news that it runs to the output.
    pub(crate) ran: Duration,
}

impl Served {
    pub(crate) async fn start(store: Store, warm: usize) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("lockkeeper-bench-").tempdir()?;
        let deployment = folder.path().file_name().context("a folder without a name")?.to_string_lossy().into_owned();
        let store = match store {
            Store::Memory => "memory",
            Store::File => "embedded",
        };
        let setup = Setup::serve(folder.path()).config(&format!(
            "store.kind = '{store}'
             sandbox.runtime = 'docker'
             sandbox.docker.host = 'unix://{}'
             sandbox.docker.image = '{}'
             sandbox.docker.deployment = '{deployment}'
             session.warm_sandboxes = {warm}",
            docker::socket().display(),
            docker::IMAGE,
        ));
        let server = setup.start().await.with_context(|| setup.log())?;
        Ok(Self { server, deployment, warm, folder })
    }

    /// A new file where the store's would be.
    pub(crate) fn file_on_the_same_disk(&self) -> Result<File> {
        Ok(File::create_new(self.folder.path().join("beside"))?)
    }

    /// A session that is ready, and how long that took.
    pub(crate) async fn session(&self) -> Result<(Client, Duration)> {
        let began = Instant::now();
        let client = self.server.connect().unchecked().open().await?;
        Ok((client, began.elapsed()))
    }

    /// The same from the pool, once it is full; no time where the session got a sandbox of its own.
    pub(crate) async fn warm_session(&self) -> Result<(Client, Option<Duration>)> {
        let waiting = self.settle().await?;
        let (client, took) = self.session().await?;
        let name = client.ready["containerId"].as_str().context("a session without a container")?;
        let was_waiting = waiting.contains(&named(name).await?);
        Ok((client, was_waiting.then_some(took)))
    }

    /// Waits until nothing is left but the sandboxes that wait, with their tools connected.
    pub(crate) async fn settle(&self) -> Result<BTreeSet<String>> {
        let mut look = interval(Duration::from_millis(20));
        let waited = timeout(PATIENCE, async {
            loop {
                look.tick().await;
                let containers = docker::containers(&self.deployment)?;
                if containers.len() == self.warm && all_in_use(&containers).await {
                    return anyhow::Ok(containers);
                }
            }
        });
        let containers = waited.await.context("the engine does not get to a rest")??;
        if self.warm > 0 {
            sleep(SETTLED).await;
        }
        Ok(containers.into_iter().collect())
    }

    /// Ends it, with its containers.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.server.terminate()?;
        self.server.ended().await.map(drop)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        docker::sweep_containers(&self.deployment);
    }
}

/// The container of a session that is ready: it gets the session's name soon after.
async fn named(name: &str) -> Result<String> {
    let look = async {
        loop {
            if let Ok(id) = bare::id_of(name).await {
                return id;
            }
        }
    };
    timeout(PATIENCE, look).await.context("the container did not get the session's name")
}

/// Ends a session. Its container goes at once, though not before this returns.
pub(crate) async fn end(client: &mut Client) -> Result<()> {
    let ack = client.call_bare("session:end").await?;
    ensure!(ack["ok"] == true, "the session does not end: {ack}");
    Ok(())
}

/// How long it took to give a sandbox of the pool to the session, as far as the client was told before it was ready.
pub(crate) fn handed_over(client: &Client) -> Option<Duration> {
    let told = client.journal().iter().filter(|event| event.name == "system:progress");
    let done =
        told.map(|event| &event.payload).find(|told| told["stage"] == "connecting" && told["status"] == "done")?;
    done["elapsedMs"].as_u64().map(Duration::from_millis)
}

/// Has the demo provider call the tool, and approves it.
pub(crate) async fn call_tool(client: &mut Client) -> Result<Call> {
    let step = json!([{ "delay_ms": 0, "calls": [{ "name": TOOL, "args": { "path": "." } }] }]);
    client.say(&format!("script: {step}")).await?;
    let call = client.until("tool:approval_required").await?;
    let call = call.call().context("an approval without a call")?.to_owned();
    let approved = Instant::now();
    client.emit("tool:approval", json!({ "callId": call, "approved": true })).await?;
    client.until("tool:started").await?;
    let started = Instant::now();
    client.until("tool:output").await?;
    let call = Call { approved: approved.elapsed(), ran: started.elapsed() };
    client.until("turn:completed").await?;
    Ok(call)
}

async fn all_in_use(containers: &[String]) -> bool {
    for container in containers {
        if !bare::is_in_use(container).await {
            return false;
        }
    }
    true
}
