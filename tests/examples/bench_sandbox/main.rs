//! What Lockkeeper costs over the bare calls of the engine's API, in one run on one machine.
//!
//! ```text
//! cargo run --release -p lockkeeper-tests --example bench_sandbox -- [--rounds N] [--calls N] [--seconds N]
//! ```
//!
//! The bare side is what no server could do without: create, start, exec, `initialize`, `tools/list`, with the container
//! and the MCP server that Lockkeeper itself asks for. The two sides take turns, so that whatever else the machine does
//! meets both. Figures that are not as wanted are said and are no failure: the exit code is 1 for wrong use alone, and 70
//! when something could not be measured.

mod bare;
mod figures;
mod served;

use anyhow::{Context, Result};
use bare::{Process, Profile};
use figures::{Samples, per, row, verdict};
use lockkeeper_tests::{Client, Tool, docker};
use served::{Served, Store, TOOL, call_tool, end};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

/// How many sandboxes a server keeps ready by default.
const WARM: usize = 2;
/// How many clients come at once to find out how many sessions a second there can be: as many as containers are started
/// at once.
const CLIENTS: usize = 4;
/// How many windows each side gets for that, in turns.
const WINDOWS: usize = 2;
const USAGE: &str = "usage: bench_sandbox [--rounds N] [--calls N] [--seconds N]";

/// How long all this is to take.
struct Effort {
    /// How many sessions each side starts.
    rounds: usize,
    /// How many tool calls each side makes.
    calls: usize,
    /// How long each window of sessions in a row is.
    seconds: u64,
}

/// Removes what the bare side left, however this ends.
struct Sweep(String);

impl Drop for Sweep {
    fn drop(&mut self) {
        docker::sweep_containers(&self.0);
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let Some(effort) = Effort::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(1);
    };
    if let Some(missing) = Tool::Docker.missing() {
        eprintln!("{missing}");
        return ExitCode::from(69);
    }
    match measure(&effort).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(70)
        }
    }
}

impl Effort {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut effort = Self { rounds: 40, calls: 300, seconds: 15 };
        while let Some(name) = arguments.next() {
            let number: usize = arguments.next()?.parse().ok().filter(|number| *number > 0)?;
            match name.as_str() {
                "--rounds" => effort.rounds = number,
                "--calls" => effort.calls = number,
                "--seconds" => effort.seconds = u64::try_from(number).ok()?,
                _ => return None,
            }
        }
        Some(effort)
    }
}

async fn measure(effort: &Effort) -> Result<()> {
    docker::need_image()?;
    if cfg!(debug_assertions) {
        println!("The server was built without optimisation: with --release it is faster.");
    }
    let in_file = Served::start(Store::File, 0).await?;
    let owner = Sweep(format!("{}-bare", in_file.deployment));
    let (mut client, _) = in_file.session().await?;
    let container = client.ready["containerId"].as_str().context("a session without a container")?;
    let profile = Profile::of(container, &owner.0).await?;
    figures::head();
    calls(effort, &profile, &mut client).await?;
    end(&mut client).await?;
    drop(client);
    cold(effort, &profile, &in_file).await?;
    let profile = Arc::new(profile);
    let in_file = Arc::new(in_file);
    sustained(effort, &profile, &in_file).await?;
    Arc::into_inner(in_file).context("a client is left")?.stop().await?;
    for store in [Store::Memory, Store::File] {
        warm(effort, &profile, &owner.0, store).await?;
    }
    Ok(())
}

async fn cold(effort: &Effort, profile: &Profile, served: &Served) -> Result<()> {
    let (mut bare, mut whole) = (Samples::default(), Samples::default());
    // The first of each is not counted: caches are cold only once.
    for round in 0..=effort.rounds {
        served.settle().await?;
        let began = Instant::now();
        let (container, process) = profile.start().await?;
        let took = began.elapsed();
        drop(process);
        container.remove().await?;
        let (mut client, connected) = served.session().await?;
        end(&mut client).await?;
        if round > 0 {
            bare.add(took);
            whole.add(connected);
        }
    }
    served.settle().await?;
    let ratio = whole.median() / bare.median();
    row("cold: create, start, exec, initialize, list", &bare, "");
    row("cold: connect to ready", &whole, &verdict(&format!("x {ratio:.3}"), "at most 1.10", ratio <= 1.10));
    Ok(())
}

/// Beside it the one call of the engine's API that hands a container over, and what the server says of its own.
async fn warm(effort: &Effort, profile: &Profile, owner: &str, store: Store) -> Result<()> {
    let served = Served::start(store, WARM).await?;
    let (container, process) = profile.start().await?;
    let (mut renamed, mut handed, mut samples, mut missed) =
        (Samples::default(), Samples::default(), Samples::default(), 0);
    for round in 0..=effort.rounds {
        served.settle().await?;
        let began = Instant::now();
        container.rename(&format!("{owner}-{store:?}-{round}")).await?;
        let took = began.elapsed();
        let (mut client, connected) = served.warm_session().await?;
        let adopted = served::handed_over(&client);
        end(&mut client).await?;
        if round == 0 {
            continue;
        }
        renamed.add(took);
        match connected {
            Some(connected) => samples.add(connected),
            None => missed += 1,
        }
        if let Some(adopted) = adopted {
            handed.add(adopted);
        }
    }
    let is_met = samples.median() < 10.0 && samples.p95() < 30.0;
    row("warm: the engine's rename alone", &renamed, "");
    row("warm: the server's hand-over", &handed, "");
    let figure = format!("{missed} found the pool empty");
    let what = format!("warm: connect to ready, sessions in {store}");
    row(&what, &samples, &verdict(&figure, "median under 10, p95 under 30", is_met));
    drop(process);
    container.remove().await?;
    served.stop().await
}

/// One session in a file, one in memory, and the bare MCP server, in turns.
async fn calls(effort: &Effort, profile: &Profile, in_file: &mut Client) -> Result<()> {
    let served = Served::start(Store::Memory, 0).await?;
    let (mut in_memory, _) = served.session().await?;
    let (container, mut process) = profile.start().await?;
    let (mut bare, mut synced) = (Samples::default(), Samples::default());
    let mut whole: [(Samples, Samples); 2] = Default::default();
    let mut disk = served.file_on_the_same_disk()?;
    for round in 0..=effort.calls {
        let took = call_bare(&mut process).await?;
        let syncs = tokio::task::block_in_place(|| sync_twice(&mut disk))?;
        let calls = [call_tool(&mut in_memory).await?, call_tool(in_file).await?];
        if round > 0 {
            bare.add(took);
            synced.add(syncs);
            for (samples, call) in whole.iter_mut().zip(calls) {
                samples.0.add(call.ran);
                samples.1.add(call.approved);
            }
        }
    }
    row("tool call: exec round trip", &bare, "");
    row("tool call: two syncs of a file", &synced, "");
    for (place, (ran, approved)) in [Store::Memory, Store::File].into_iter().zip(&whole) {
        // No bound: the news that it runs may reach the client together with the output.
        row(&format!("tool call: started to output, sessions in {place}"), ran, "");
        let more = approved.median() - bare.median();
        // The decision, and then the result, are on the disk before anything follows from them.
        let (disk, which) = match place {
            Store::Memory => (0.0, ""),
            Store::File => (synced.median(), " without the syncs"),
        };
        let figure = format!("{more:+.2} ms, {:+.2} ms{which}", more - disk);
        let verdict = verdict(&figure, "at most +0.5", more - disk <= 0.5);
        row(&format!("tool call: approval to output, sessions in {place}"), approved, &verdict);
    }
    drop(process);
    container.remove().await?;
    end(&mut in_memory).await?;
    served.stop().await
}

/// What a file costs that has to last, at the least: a page of it, written through to the disk twice.
fn sync_twice(file: &mut File) -> Result<Duration> {
    let began = Instant::now();
    for byte in 0..2 {
        file.write_all_at(&[byte; 4 << 10], 0)?;
        file.sync_data()?;
    }
    Ok(began.elapsed())
}

async fn call_bare(process: &mut Process) -> Result<Duration> {
    let began = Instant::now();
    let params = serde_json::json!({ "name": TOOL, "arguments": { "path": "." } });
    let result = process.request("tools/call", &params).await?;
    anyhow::ensure!(result["isError"] != true, "the tool failed: {result}");
    Ok(began.elapsed())
}

/// Sessions from nothing to nothing, as many as the engine can do.
async fn sustained(effort: &Effort, profile: &Arc<Profile>, served: &Arc<Served>) -> Result<()> {
    let window = Duration::from_secs(effort.seconds);
    let (mut bare, mut whole) = ((0, 0.0), (0, 0.0));
    for _ in 0..WINDOWS {
        let began = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let profile = Arc::clone(profile);
            clients.spawn(async move {
                let (mut count, mut removals) = (0, JoinSet::new());
                while began.elapsed() < window {
                    let (container, process) = profile.start().await?;
                    drop(process);
                    // As the server does: nobody waits for it until the end.
                    removals.spawn(container.remove());
                    count += 1;
                }
                while let Some(removed) = removals.join_next().await {
                    removed??;
                }
                anyhow::Ok(count)
            });
        }
        bare = (bare.0 + total(clients).await?, bare.1 + began.elapsed().as_secs_f64());

        let began = Instant::now();
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let served = Arc::clone(served);
            clients.spawn(async move {
                let mut count = 0;
                while began.elapsed() < window {
                    let (mut client, _) = served.session().await?;
                    end(&mut client).await?;
                    count += 1;
                }
                anyhow::Ok(count)
            });
        }
        let count = total(clients).await?;
        // A session is over when its container is gone.
        served.settle().await?;
        whole = (whole.0 + count, whole.1 + began.elapsed().as_secs_f64());
    }
    let share = per(whole.0, whole.1) / per(bare.0, bare.1);
    figures::rate("sessions in a row: the engine alone", bare.0, bare.1, "");
    figures::rate("sessions in a row: the server", whole.0, whole.1, &format!("x {share:.3} of the engine's limit"));
    Ok(())
}

async fn total(mut clients: JoinSet<Result<usize>>) -> Result<usize> {
    let mut total = 0;
    while let Some(count) = clients.join_next().await {
        total += count??;
    }
    Ok(total)
}
