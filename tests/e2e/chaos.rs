//! Two servers on one Redis, and each of the three dies again and again, or is away for a while, while clients of both servers
//! talk, decide and come back.

mod away;
mod cluster;
mod crowd;
mod holders;
mod witness;

use crate::{
    case::{Case, Ground, cases},
    crash::{Dice, Driver},
};
use anyhow::{Context, Result, ensure};
use cluster::Cluster;
use crowd::Crowd;
use lockkeeper_tests::{Event, EventId, Oracle, chaos_rounds, seed};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};
use tokio::time::sleep;
use witness::{Ran, Witness};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        two_servers_and_their_redis_killed_at_any_moment needs Redis;
        two_servers_and_their_redis_away_for_a_while needs Redis;
    ]
}

/// How often servers are killed, and how often Redis is, unless `LOCKKEEPER_CHAOS_ROUNDS` says otherwise.
const ROUNDS: usize = 4;
const CLIENTS: usize = 20;
/// Two clients each: both talk, and both answer for every call, often not the same.
const SESSIONS: usize = CLIENTS / 2;
/// The most events that clients see before something dies.
const BEFORE: u64 = 300;
/// The most that they see of a server alone.
const ALONE: u64 = 600;
/// The longest that Redis stays away, in milliseconds.
const AWAY_MS: u64 = 400;
const BEGINNING: EventId = EventId { epoch: 0, seq: 0 };

/// What dies in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Server,
    Redis,
}

/// Nothing that was acknowledged may be lost, nothing may happen twice, no answer may flip, and every client must have seen
/// what is in the log.
async fn two_servers_and_their_redis_killed_at_any_moment(ground: Rc<Ground>) -> Result<()> {
    let (seed, kills) = (seed(), chaos_rounds(ROUNDS));
    eprintln!("seed {seed}; E2E_SEED={seed} LOCKKEEPER_CHAOS_ROUNDS={kills} replays the choices");
    let witness = Witness::new(&ground.folder().join("witness"))?;
    let mut cluster = Cluster::start(&ground, witness.folder()).await?;
    let outcome = rounds(&mut cluster, witness, seed, kills).await;
    outcome.with_context(|| format!("with E2E_SEED={seed}; the servers said:\n{}\n", cluster.said()))
}

async fn rounds(cluster: &mut Cluster, witness: Witness, seed: u64, kills: usize) -> Result<()> {
    let mut dice = Dice::new(seed);
    let mut crowd = Crowd::start(cluster, &witness, &mut dice);
    let mut idle = 0;
    for (round, victim) in victims(kills, &mut dice).into_iter().enumerate() {
        idle += usize::from(!crowd.goes_on(dice.below(BEFORE)).await);
        strike(victim, cluster, &mut crowd, &mut dice).await.with_context(|| format!("round {round}"))?;
        crowd.is_there().with_context(|| format!("in round {round}"))?;
    }
    ensure!(idle < kills, "in {idle} of {} rounds nothing happened at all", 2 * kills);
    let done = crowd.finish().await?;
    judge(cluster, &done, &witness.end()?).await?;
    let sum = |count: fn(&Driver) -> usize| done.iter().map(count).sum::<usize>();
    let (connections, messages) = (sum(Driver::connections), sum(Driver::acknowledged));
    eprintln!("{kills} kills of servers and {kills} of Redis, {connections} connections, {messages} messages");
    ensure!(messages >= CLIENTS + kills, "only {messages} messages: the rounds were idle");
    let silences = sum(Driver::silences);
    ensure!(silences == 0, "{silences} connections stayed open, and nothing came");
    Ok(())
}

/// Whoever is away and comes back has lost nothing that it had no need to lose.
async fn two_servers_and_their_redis_away_for_a_while(ground: Rc<Ground>) -> Result<()> {
    let (seed, strikes) = (seed(), chaos_rounds(away::ROUNDS));
    eprintln!("seed {seed}; E2E_SEED={seed} LOCKKEEPER_CHAOS_ROUNDS={strikes} replays the choices");
    let witness = Witness::new(&ground.folder().join("witness"))?;
    let mut cluster = Cluster::start(&ground, witness.folder()).await?;
    let outcome = away::rounds(&mut cluster, witness, seed, strikes).await;
    outcome.with_context(|| format!("with E2E_SEED={seed}; the servers said:\n{}\n", cluster.said()))
}

/// As many of each, in an order by chance.
fn victims(kills: usize, dice: &mut Dice) -> Vec<Victim> {
    let mut victims = [vec![Victim::Server; kills], vec![Victim::Redis; kills]].concat();
    for last in (1..victims.len()).rev() {
        victims.swap(last, dice.index(last + 1));
    }
    victims
}

async fn strike(victim: Victim, cluster: &mut Cluster, crowd: &mut Crowd, dice: &mut Dice) -> Result<()> {
    match victim {
        Victim::Server => {
            let which = dice.index(2);
            cluster.kill_server(which).await?;
            crowd.tell(cluster);
            // The other one goes on for a while, alone.
            crowd.goes_on(dice.below(ALONE)).await;
            cluster.start_server(which).await?;
        }
        Victim::Redis => {
            cluster.redis.crash()?;
            // Nothing happens that could be waited for: how long it is away is what the dice say.
            sleep(Duration::from_millis(dice.below(AWAY_MS))).await;
            // Sometimes a server dies meanwhile.
            let which = dice.index(8);
            if which < 2 {
                cluster.kill_server(which).await?;
            }
            cluster.redis.start_again()?;
            if which < 2 {
                crowd.tell(cluster);
                cluster.start_server(which).await?;
            }
        }
    }
    crowd.tell(cluster);
    Ok(())
}

/// By what the clients were told and shown, and by the log as each server gives it now. Returns the log of each session.
async fn judge<'a>(cluster: &Cluster, drivers: &'a [Driver], ran: &[Ran]) -> Result<BTreeMap<&'a str, Oracle>> {
    let mut sessions: BTreeMap<&str, Oracle> = BTreeMap::new();
    for driver in drivers {
        sessions.entry(driver.session()).or_default().join(&driver.oracle);
    }
    let (mut events, mut told, mut owners) = (0, 0, 0);
    for (session, oracle) in &mut sessions {
        for server in cluster.servers() {
            let mut reader = server.connect().session(session).resume_after(BEGINNING).open().await?;
            let last: EventId = reader.ready["lastEventId"].as_str().context("no last event")?.parse()?;
            while reader.last_id() < Some(last) {
                reader.next().await?;
            }
            oracle.saw(Some(BEGINNING), reader.journal());
            let log = reader.journal().iter().filter_map(Event::id).count();
            ensure!(log == oracle.len(), "{session}: the log has {log} events, and clients saw {}", oracle.len());
        }
        let verdict = oracle.verdict();
        ensure!(verdict.is_empty(), "{session}: {verdict:#?}");
        told += witness::judge(oracle, ran).with_context(|| format!("in {session}"))?;
        events += oracle.len();
        owners += oracle.log().filter_map(Event::id).map(|id| id.epoch).collect::<BTreeSet<_>>().len();
    }
    ensure!(told == ran.len(), "{} calls ran that no log knows", ran.len() - told);
    eprintln!(
        "{events} events by {owners} owners: none lost, none twice, the same to all; {told} calls ran, each once"
    );
    Ok(sessions)
}
