//! What is away is not dead. Servers are paused and cut off from Redis, and Redis is paused, slow and down, each for half a
//! lease to three, and all come back.

use super::{
    CLIENTS,
    cluster::Cluster,
    crowd::Crowd,
    holders::{Holder, Holders, holder_of},
    judge,
    witness::{self, Ran, Witness},
};
use crate::crash::{Dice, Driver};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Event, Oracle};
use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};
use tokio::time::sleep;

/// How often somebody is away, unless `LOCKKEEPER_CHAOS_ROUNDS` says otherwise.
pub(super) const ROUNDS: usize = 25;
/// As the cluster is configured.
const LEASE: Duration = Duration::from_secs(2);
/// The most events that clients see before somebody is away.
const BEFORE: u64 = 120;
/// A call that was sent in time may begin so much later: the machine is busy.
const LATE: Duration = Duration::from_secs(2);
/// The text of the notice that a session has lost its workspace.
const REPLACED: &str = "A fresh sandbox was started";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Away {
    ServerPaused,
    /// Cut off from Redis, with all that is sent meanwhile coming late.
    ServerCut,
    /// The same, with that lost.
    ServerCutAndReset,
    RedisPaused,
    RedisSlow,
    RedisDown,
}

const KINDS: [Away; 6] =
    [Away::ServerPaused, Away::ServerCut, Away::ServerCutAndReset, Away::RedisPaused, Away::RedisSlow, Away::RedisDown];

/// When somebody was away, and the server that it was; `None` for Redis.
#[derive(Debug)]
struct Absence {
    kind: Away,
    server: Option<String>,
    from: Instant,
    until: Instant,
}

pub(super) async fn rounds(cluster: &mut Cluster, witness: Witness, seed: u64, strikes: usize) -> Result<()> {
    let mut dice = Dice::new(seed);
    let names = names(cluster).await?;
    let holders = Holders::watch(cluster.redis.socket());
    let mut crowd = Crowd::start(cluster, &witness, &mut dice);
    let mut absences = Vec::new();
    for round in 0..strikes {
        crowd.goes_on(dice.below(BEFORE)).await;
        // Each kind as often as the others.
        let kind = KINDS[round % KINDS.len()];
        let absence = strike(kind, cluster, &names, &mut dice).await;
        absences.push(absence.with_context(|| format!("round {round}, {kind:?}"))?);
        crowd.is_there().with_context(|| format!("in round {round}, {kind:?}"))?;
    }
    let done = crowd.finish().await?;
    let ran = witness.end()?;
    let sessions = judge(cluster, &done, &ran).await?;
    let held = holders.end();
    let takeovers = judge_takeovers(&held, &absences)?;
    judge_workspaces(&sessions)?;
    judge_calls(&sessions, &held, &ran)?;
    let sum = |count: fn(&Driver) -> usize| done.iter().map(count).sum::<usize>();
    let (connections, messages) = (sum(Driver::connections), sum(Driver::acknowledged));
    eprintln!(
        "{strikes} absences, {takeovers} takeovers, each with need, {connections} connections, {messages} messages"
    );
    ensure!(messages >= CLIENTS + strikes, "only {messages} messages: the rounds were idle");
    Ok(())
}

/// What the servers call themselves.
async fn names(cluster: &Cluster) -> Result<[String; 2]> {
    let mut names = [String::new(), String::new()];
    for (which, name) in names.iter_mut().enumerate() {
        let session = format!("probe-{which}");
        let client = cluster.server(which)?.connect().session(&session).open().await?;
        *name = holder_of(cluster.redis.socket(), &session).await?;
        drop(client);
    }
    ensure!(names[0] != names[1] && !names[0].is_empty(), "the servers cannot be told apart: {names:?}");
    Ok(names)
}

async fn strike(kind: Away, cluster: &mut Cluster, names: &[String; 2], dice: &mut Dice) -> Result<Absence> {
    let which = dice.index(2);
    let half = LEASE / 2;
    let length = half + Duration::from_millis(dice.below(5 * half.as_secs() * 1_000 + 1));
    let from = Instant::now();
    let of_server = matches!(kind, Away::ServerPaused | Away::ServerCut | Away::ServerCutAndReset);
    match kind {
        Away::ServerPaused => cluster.server(which)?.stop()?,
        Away::ServerCut | Away::ServerCutAndReset => cluster.links[which].cut(),
        Away::RedisPaused => cluster.redis.stop()?,
        Away::RedisSlow => {
            let by = Duration::from_millis(20 + dice.below(180));
            cluster.links.iter().for_each(|link| link.slow_down(by));
        }
        Away::RedisDown => cluster.redis.crash()?,
    }
    // Nothing happens that could be waited for: how long it is away is what the dice say.
    sleep(length).await;
    match kind {
        Away::ServerPaused => cluster.server(which)?.go_on()?,
        Away::ServerCut => cluster.links[which].heal(),
        Away::ServerCutAndReset => cluster.links[which].reset(),
        Away::RedisPaused => cluster.redis.go_on()?,
        Away::RedisSlow => cluster.links.iter().for_each(lockkeeper_tests::RedisLink::heal),
        Away::RedisDown => cluster.redis.start_again()?,
    }
    let server = of_server.then(|| names[which].clone());
    Ok(Absence { kind, server, from, until: Instant::now() })
}

/// A session changes its holder only where its holder was away. How often that was.
fn judge_takeovers(seen: &HashMap<String, Vec<Holder>>, absences: &[Absence]) -> Result<usize> {
    let mut takeovers = 0;
    for (session, holders) in seen {
        for pair in holders.windows(2) {
            let [old, new] = pair else { continue };
            if old.epoch == new.epoch {
                continue;
            }
            let of_old = absences.iter().filter(|absence| absence.server.as_ref() == Some(&old.name));
            let needed = of_old.clone().any(|away| new.from >= away.from && new.from <= away.until + 2 * LEASE);
            let last = absences.iter().rfind(|absence| absence.from <= new.from).map(|last| (last.kind, &last.server));
            ensure!(needed, "{session} went from {old:?} to {new:?} without need, in or after {last:?}");
            takeovers += 1;
        }
    }
    Ok(takeovers)
}

/// A workspace is lost only with its holder: a session that stays where it is keeps it.
fn judge_workspaces(sessions: &BTreeMap<&str, Oracle>) -> Result<()> {
    for (session, oracle) in sessions {
        let mut lost: BTreeMap<u64, usize> = BTreeMap::new();
        let first = oracle.log().filter_map(Event::id).map(|id| id.epoch).min();
        for event in oracle.log().filter(|event| event.name == "system:message" && event.text().starts_with(REPLACED)) {
            let epoch = event.id().context("it is logged")?.epoch;
            *lost.entry(epoch).or_default() += 1;
            ensure!(Some(epoch) != first, "{session} lost its workspace though its first holder stayed: {event:?}");
            ensure!(lost[&epoch] == 1, "{session} lost its workspace twice under one holder: {event:?}");
        }
    }
    Ok(())
}

/// No call runs once another holder was seen.
fn judge_calls(sessions: &BTreeMap<&str, Oracle>, seen: &HashMap<String, Vec<Holder>>, ran: &[Ran]) -> Result<()> {
    for (session, oracle) in sessions {
        let calls = oracle.log().filter(|event| event.name == "tool:calls");
        let calls = calls.flat_map(|event| event.payload.as_array().into_iter().flatten());
        let names: HashMap<&str, &str> =
            calls.filter_map(|call| Some((call["callId"].as_str()?, witness::name(call)?))).collect();
        for started in oracle.log().filter(|event| event.name == "tool:started") {
            let (Some(id), Some(name)) = (started.id(), started.call().and_then(|call| names.get(call))) else {
                continue;
            };
            let Some(call) = ran.iter().find(|call| call.name == *name) else { continue };
            let holders = seen.get(*session).into_iter().flatten();
            let Some(next) = holders.filter(|holder| holder.epoch > id.epoch).map(|holder| holder.from).min() else {
                continue;
            };
            ensure!(call.at <= next + LATE, "{session}: {name} ran {:?} after another holder", call.at - next);
        }
    }
    Ok(())
}
