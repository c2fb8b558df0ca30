//! Two servers on one Redis, and each of the three dies again and again, while clients of both servers talk, decide and come
//! back.

mod cluster;
mod witness;

use crate::{
    case::{Case, Ground, cases},
    crash::{Dice, Driver, Orders},
};
use anyhow::{Context, Result, bail, ensure};
use cluster::Cluster;
use lockkeeper_tests::{Event, EventId, Oracle, chaos_rounds, seed};
use std::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use witness::Witness;

pub(crate) fn cases() -> Vec<Case> {
    cases![two_servers_and_their_redis_killed_at_any_moment needs Redis;]
}

/// How often servers are killed, and how often Redis is, unless `LOCKKEEPER_CHAOS_ROUNDS` says otherwise.
const ROUNDS: usize = 4;
const CLIENTS: usize = 20;
/// Two clients each: both talk, and both answer for every call, often not the same.
const SESSIONS: usize = CLIENTS / 2;
/// How long a round may take that sees fewer events than it waits for.
const ROUND: Duration = Duration::from_secs(4);
/// The most events that clients see before something dies.
const BEFORE: u64 = 300;
/// The most that they see of a server alone.
const ALONE: u64 = 600;
/// The longest that Redis stays away, in milliseconds.
const AWAY_MS: u64 = 400;
/// How long the clients may need to bring what they began to its end.
const REST: Duration = Duration::from_mins(3);
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
    let (orders, _) = watch::channel(Orders { urls: cluster.urls(), last: false });
    let (counter, mut events) = watch::channel(0_u64);
    let mut drivers = JoinSet::new();
    for number in 0..CLIENTS {
        let (name, session) = (format!("c{number}"), format!("chaos-{}", number % SESSIONS));
        let driver = Driver::new(name, session, Dice::new(dice.next()), counter.clone());
        let driver = driver.witnessed_by(witness.pipe());
        drivers.spawn(driver.run(orders.subscribe()));
    }
    let mut idle = 0;
    for (round, victim) in victims(kills, &mut dice).into_iter().enumerate() {
        let before = *events.borrow();
        until_later(&mut events, dice.below(BEFORE)).await;
        idle += usize::from(*events.borrow() == before);
        strike(victim, cluster, &orders, &mut events, &mut dice).await.with_context(|| format!("round {round}"))?;
        if let Some(ended) = drivers.try_join_next() {
            ended?.with_context(|| format!("in round {round}"))?;
            bail!("a client gave up in round {round}");
        }
    }
    ensure!(idle < kills, "in {idle} of {} rounds nothing happened at all", 2 * kills);
    orders.send_modify(|orders| orders.last = true);
    let mut done = Vec::new();
    while !drivers.is_empty() {
        let driver = timeout(REST, drivers.join_next()).await.ok().flatten();
        done.push(driver.with_context(|| format!("only {} clients came to an end", done.len()))???);
    }
    judge(cluster, &done, &witness.end()?).await?;
    let sum = |count: fn(&Driver) -> usize| done.iter().map(count).sum::<usize>();
    let (connections, messages) = (sum(Driver::connections), sum(Driver::acknowledged));
    eprintln!("{kills} kills of servers and {kills} of Redis, {connections} connections, {messages} messages");
    ensure!(messages >= CLIENTS + kills, "only {messages} messages: the rounds were idle");
    let silences = sum(Driver::silences);
    ensure!(silences == 0, "{silences} connections stayed open, and nothing came");
    Ok(())
}

/// As many of each, in an order by chance.
fn victims(kills: usize, dice: &mut Dice) -> Vec<Victim> {
    let mut victims = [vec![Victim::Server; kills], vec![Victim::Redis; kills]].concat();
    for last in (1..victims.len()).rev() {
        victims.swap(last, dice.index(last + 1));
    }
    victims
}

/// Waits for so many more events, wherever the servers are then. With none to be had, for the end of a round.
async fn until_later(events: &mut watch::Receiver<u64>, more: u64) {
    let until = *events.borrow_and_update() + more;
    let _ = timeout(ROUND, events.wait_for(|seen| *seen >= until)).await;
}

async fn strike(
    victim: Victim,
    cluster: &mut Cluster,
    orders: &watch::Sender<Orders>,
    events: &mut watch::Receiver<u64>,
    dice: &mut Dice,
) -> Result<()> {
    let tell = |cluster: &Cluster| orders.send_modify(|orders| orders.urls = cluster.urls());
    match victim {
        Victim::Server => {
            let which = dice.index(2);
            cluster.kill_server(which).await?;
            tell(cluster);
            // The other one goes on for a while, alone.
            until_later(events, dice.below(ALONE)).await;
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
                tell(cluster);
                cluster.start_server(which).await?;
            }
        }
    }
    tell(cluster);
    Ok(())
}

/// By what the clients were told and shown, and by the log as each server gives it now.
async fn judge(cluster: &Cluster, drivers: &[Driver], ran: &[String]) -> Result<()> {
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
    Ok(())
}
