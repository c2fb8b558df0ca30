//! What one user's hostile MCP servers cost another user's session: how late its acknowledgements and the health checks are.

use super::{
    answers::ANSWERS,
    costly, costly_arguments, hostile_tools,
    program::{Hostile, plain},
    turn,
};
use crate::{
    case::Ground,
    script::{calls, script},
};
use anyhow::{Result, ensure};
use futures::future::try_join_all;
use lockkeeper_tests::{Client, Server, hostile_rounds};
use serde_json::json;
use std::{
    convert::Infallible,
    fmt,
    rc::Rc,
    time::{Duration, Instant},
};

const ATTACKER: &str = "token-of-the-attacker-0123456";
const OTHER: &str = "token-of-the-other-user-01234";

/// How long acknowledgements and health checks took.
#[derive(Default)]
struct Times {
    acks: Vec<Duration>,
    health: Vec<Duration>,
}

/// The value that 99 of 100 do not exceed.
fn p99(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort();
    times[(times.len() * 99).div_ceil(100) - 1]
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

impl Times {
    /// A turn with a call, and some that are an answer alone.
    async fn round(&mut self, server: &Server, client: &mut Client) -> Result<()> {
        self.acks.push(turn(client).await?);
        for _ in 0..9 {
            let started = Instant::now();
            client.say(&script(&[json!({ "text": "over" })])).await?;
            self.acks.push(started.elapsed());
            client.until("turn:completed").await?;
            let started = Instant::now();
            ensure!(server.get("/healthz", &[]).await?.0 == 200);
            self.health.push(started.elapsed());
        }
        Ok(())
    }

    async fn rounds(server: &Server, rounds: usize) -> Result<Vec<Self>> {
        let mut client = server.connect().auth("token", OTHER).open().await?;
        let mut all = Vec::new();
        for _ in 0..rounds {
            let mut times = Self::default();
            times.round(server, &mut client).await?;
            all.push(times);
        }
        Ok(all)
    }
}

/// The median of the rounds' 99th percentiles.
struct Typical {
    ack: Duration,
    health: Duration,
}

impl Typical {
    fn of(rounds: &[Times]) -> Self {
        let over = |times: fn(&Times) -> &[Duration]| median(rounds.iter().map(|round| p99(times(round))).collect());
        Self { ack: over(|round| &round.acks), health: over(|round| &round.health) }
    }
}

impl fmt::Display for Typical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "acknowledgements {:?}, /healthz {:?}", self.ack, self.health)
    }
}

/// Calls every hostile tool once, up to the end of the turn.
async fn attack(client: &mut Client) -> Result<()> {
    let schemas = calls(&[("all_of", json!({ "x": "y" })), ("costly", costly_arguments())]);
    // A server that crashes more often is given up, and harms nobody.
    let answers = ANSWERS.iter().filter(|(name, _)| *name != "crashing").map(|(name, _)| calls(&[(name, json!({}))]));
    let steps: Vec<_> = [schemas].into_iter().chain(answers).chain([json!({ "text": "over" })]).collect();
    client.say(&script(&steps)).await?;
    client.until_matching("a hostile answer", |event| event.payload["code"] == "tool_protocol").await?;
    client.until("turn:completed").await.map(drop)
}

/// Ends with a failure alone.
async fn attack_on(client: &mut Client) -> Result<Infallible> {
    loop {
        attack(client).await?;
    }
}

async fn hostile(ground: &Ground) -> Result<Server> {
    let answers = ANSWERS.iter().map(|(name, _)| plain(name));
    let tools = hostile_tools().into_iter().chain([costly()]).chain(answers).collect();
    two_users(Hostile::with(tools).noisy().config("mcp.limits.call_idle_secs = 1\nmcp.limits.call_total_secs = 2"))
        .start(ground)
        .await
}

fn two_users(hostile: Hostile) -> Hostile {
    hostile.config(&format!("session.warm_sandboxes = 0\nauth.tokens.ann = '{ATTACKER}'\nauth.tokens.bob = '{OTHER}'"))
}

/// Measures the other user's session while two sessions of the attacker go on.
async fn under_attack(server: &Server, rounds: usize) -> Result<Vec<Times>> {
    let connect = || async { server.connect().auth("token", ATTACKER).open().await };
    let mut attackers = [connect().await?, connect().await?];
    // Each tool is there, and answers as it is to.
    try_join_all(attackers.iter_mut().map(attack)).await?;
    let attacking = try_join_all(attackers.iter_mut().map(attack_on));
    tokio::select! {
        times = Times::rounds(server, rounds) => times,
        failed = attacking => failed.and_then(|_| anyhow::bail!("there is no attacker")),
    }
}

/// By default, the latencies are compared with those of a server without a hostile MCP server. With `LOCKKEEPER_HOSTILE_ROUNDS`,
/// so many rounds are held to absolute limits.
///
/// Covers: S1-1
pub(super) async fn another_users_session_goes_on_beside_a_hostile_server(ground: Rc<Ground>) -> Result<()> {
    // Far beyond noise: what blocks a worker takes seconds.
    const RATIO: u32 = 20;
    const FLOOR: Duration = Duration::from_millis(20);
    const ROUNDS: usize = 5;
    const TRIES: usize = 3;
    if let Some(rounds) = hostile_rounds() {
        return figures(&ground, rounds).await;
    }
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let quiet = two_users(Hostile::with(vec![plain("good")])).start(&ground).await?;
        let before = Typical::of(&Times::rounds(&quiet, ROUNDS).await?);
        quiet.crash().await?;
        let server = hostile(&ground).await?;
        let during = under_attack(&server, ROUNDS).await;
        // The next try opens the same store.
        server.crash().await?;
        let during = match during {
            Ok(rounds) => Typical::of(&rounds),
            Err(error) => {
                seen.push(format!("{error:#}"));
                continue;
            }
        };
        if during.ack < before.ack.max(FLOOR) * RATIO && during.health < before.health.max(FLOOR) * RATIO {
            return Ok(());
        }
        seen.push(format!("under attack: {during}; before: {before}"));
    }
    anyhow::bail!("the other user's session is slowed down: {seen:?}")
}

async fn figures(ground: &Ground, rounds: usize) -> Result<()> {
    let quiet = two_users(Hostile::with(vec![plain("good")])).start(ground).await?;
    let before = all(Times::rounds(&quiet, rounds).await?);
    quiet.crash().await?;
    let server = hostile(ground).await?;
    let during = all(under_attack(&server, rounds).await?);
    let slowest = during.health.iter().max().copied().unwrap_or_default();
    let figures = format!(
        "{} acknowledgements under attack: p99 {:?}, median {:?} (without: {:?}, {:?}); {} requests of /healthz: at most {slowest:?}, \
         p99 {:?} (without: {:?})",
        during.acks.len(),
        p99(&during.acks),
        median(during.acks.clone()),
        p99(&before.acks),
        median(before.acks.clone()),
        during.health.len(),
        p99(&during.health),
        p99(&before.health),
    );
    println!("{figures}");
    ensure!(p99(&during.acks) < Duration::from_millis(50) && slowest < Duration::from_millis(100), "{figures}");
    Ok(())
}

fn all(rounds: Vec<Times>) -> Times {
    rounds.into_iter().fold(Times::default(), |mut all, round| {
        all.acks.extend(round.acks);
        all.health.extend(round.health);
        all
    })
}
