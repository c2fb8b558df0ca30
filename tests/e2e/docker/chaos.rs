//! The server dies at any moment of a container's life. What it leaves, the next one finds and removes; what somebody uses,
//! it leaves alone.

use super::setup::until_sandboxes;
use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
    crash::Dice,
    script::{run, script},
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Connect, docker, rounds, seed};
use std::{collections::BTreeMap, rc::Rc, time::Duration};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

pub(crate) fn cases() -> Vec<Case> {
    cases![kill_9_at_any_moment_leaves_no_container_and_harms_no_session;]
}

/// `just chaos-docker` plays a hundred.
const ROUNDS: usize = 10;
const CLIENTS: u64 = 3;
/// A server dies so many steps after it was ready, at most, and then within so many milliseconds: a container's start
/// takes some hundreds.
const STEPS: u64 = 12;
const MILLIS: u64 = 400;
/// How long a round may take that sees fewer steps than it waits for.
const ROUND: Duration = Duration::from_secs(8);
/// How long the last server may take to remove what the others left: two periods of the janitor, and the engine's time.
const CLEAN: Duration = Duration::from_mins(1);

/// What a client was doing when its server died, or had done.
type Step = &'static str;

async fn kill_9_at_any_moment_leaves_no_container_and_harms_no_session(ground: Rc<Ground>) -> Result<()> {
    let (seed, rounds) = (seed(), rounds(ROUNDS));
    eprintln!("seed {seed}, {rounds} rounds; E2E_SEED={seed} E2E_ROUNDS={rounds} replays the choices");
    play(&ground, seed, rounds).await.with_context(|| format!("with E2E_SEED={seed} E2E_ROUNDS={rounds}"))
}

async fn play(ground: &Ground, seed: u64, rounds: usize) -> Result<()> {
    let mut dice = Dice::new(seed);
    let setup = ground.setup().config(
        "session.lease_secs = 2
         session.janitor_period_secs = 1
         session.orphan_grace_secs = 2
         session.approval_ttl_secs = 5
         session.idle_secs = 15",
    );
    let mut deaths: BTreeMap<Step, usize> = BTreeMap::new();
    let mut most = 0;
    for round in 0..rounds {
        let server = setup.start().await.with_context(|| format!("in round {round}"))?;
        let (steps, mut taken) = mpsc::unbounded_channel();
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let name = format!("chaos-{}", dice.below(CLIENTS * 2));
            let name = if client == 0 { format!("new-{round}") } else { name };
            clients.spawn(live(server.connect(), name, Dice::new(dice.next()), steps.clone()));
        }
        let mut last = "nothing yet";
        let wait_for = async {
            for _ in 0..dice.below(STEPS) {
                last = taken.recv().await.unwrap_or(last);
            }
        };
        let _ = timeout(ROUND, wait_for).await;
        sleep(Duration::from_millis(dice.below(MILLIS))).await;
        while let Ok(step) = taken.try_recv() {
            last = step;
        }
        *deaths.entry(last).or_default() += 1;
        server.crash().await?;
        clients.shutdown().await;
        most = most.max(ground.sandboxes()?);
    }
    eprintln!("{rounds} deaths after {deaths:?}; at most {most} containers at once");
    ensure!(most > 0, "there never was a container");
    settle(ground, &setup).await
}

/// One more server: its session goes on while everything else is cleaned away.
async fn settle(ground: &Ground, setup: &lockkeeper_tests::Setup) -> Result<()> {
    let server = setup.start().await?;
    let mut client = server.connect().session("survivor").open().await?;
    let sandbox = client.ready["containerId"].as_str().context("no container")?.to_owned();
    say(&mut client, "echo unharmed > mark").await?;
    let (began, left) = (Instant::now(), ground.sandboxes()?);
    let cleaned = timeout(CLEAN, async {
        // Somebody uses this one all the time, whatever the janitor does meanwhile.
        while ground.sandboxes()? > 1 {
            ensure!(say(&mut client, "cat mark").await?.contains("unharmed"), "the session lost its sandbox");
        }
        anyhow::Ok(())
    });
    cleaned.await.with_context(|| format!("{:?} containers are left", docker::containers(&ground.deployment())))??;
    eprintln!("{} containers were cleaned away in {:?}", left.saturating_sub(1), began.elapsed());
    ensure!(say(&mut client, "cat mark").await?.contains("unharmed"), "the session lost its sandbox at the end");
    let same = server.connect().session("survivor").open().await?;
    ensure!(same.ready["containerId"] == sandbox.as_str(), "the session was given another sandbox: {}", same.ready);
    ensure!(client.call_bare("session:end").await?["ok"] == true);
    until_sandboxes(ground, 0).await
}

/// What a command said.
async fn say(client: &mut Client, command: &str) -> Result<String> {
    client.say(&script(&[run(command)])).await?;
    let events = client.approve_all().await?;
    let output = events.iter().find(|event| event.name == "tool:output").with_context(|| format!("{events:?}"))?;
    Ok(stdout(output))
}

/// A client in a hurry: it opens a session, uses it, ends it, and comes again, until its server is gone.
async fn live(connect: Connect, name: String, mut dice: Dice, steps: mpsc::UnboundedSender<Step>) {
    let connect = connect.session(&name);
    let tell = |step: Step| {
        let _ = steps.send(step);
    };
    loop {
        tell("opening");
        let Ok(mut client) = connect.open().await else {
            // Its lease may be the dead server's for another moment.
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        tell("open");
        for _ in 0..dice.below(3) {
            if client.say(&script(&[run("echo x >> file; sleep 0.1; wc -l < file")])).await.is_err() {
                return;
            }
            tell("asked");
            let Ok(asked) = client.until("tool:approval_required").await else { return };
            let Some(call) = asked.call().map(str::to_owned) else { return };
            tell("approving");
            if client.approve(&call, true).await.is_err() || client.until("turn:completed").await.is_err() {
                return;
            }
            tell("ran");
        }
        if dice.below(2) == 0 {
            tell("ending");
            let _ = client.call_bare("session:end").await;
            tell("ended");
        }
    }
}
