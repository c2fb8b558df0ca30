//! How many commits a second a Redis takes through the port, how long one waits, and what reading a log costs.
//!
//! ```text
//! cargo run --release -p lockkeeper-redis-store --example redis_rate -- redis+unix:///run/redis.sock
//! ```
//!
//! Each commit is what a step of a turn writes: an event with 200 bytes of text, a message, and the heartbeat; every session
//! waits for its commit before it makes the next one. Beside it, `redis-benchmark` has the same server do the same commands by a
//! script that checks nothing, and one bare `XADD`, from as many clients. What is written is deleted.
//! docs/adr/0014-redis-store.md has the figures.

use lockkeeper_domain::{
    Event, EventBody, EventId, Message, PrincipalId, Seq, SessionId, SessionRecord, Timestamp, TurnId, UserMessage,
};
use lockkeeper_ports::{Commit, EventLog, HistoryChange, RecordChange, SessionRepository, SessionStore};
use lockkeeper_redis_store::{Config, RedisStore};
use std::{
    error::Error,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

const RUN: Duration = Duration::from_secs(5);
const LOG: u64 = 10_000;

#[tokio::main]
async fn main() -> Fallible<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let store = Arc::new(RedisStore::connect(&Config::at(url.clone())).await?);
    println!("at once                        per s  p50 ms  p99 ms  max ms");
    for sessions in [1, 16, 64] {
        let mut tasks = JoinSet::new();
        for number in 0..sessions {
            tasks.spawn(drive(Arc::clone(&store), format!("benchmark-{sessions}-{number}"), RUN, u64::MAX, true));
        }
        let mut waits = Vec::new();
        while let Some(done) = tasks.join_next().await {
            waits.extend(done??);
        }
        waits.sort_unstable();
        let millis = |part: usize| waits[(waits.len() - 1) * part / 1_000].as_secs_f64() * 1e3;
        let rate = waits.len() as u64 / RUN.as_secs();
        let waited = [millis(500), millis(990), millis(1_000)];
        tell(sessions, "commits", &rate.to_string(), waited);
        let text = "x".repeat(200);
        bare(
            &url,
            sessions,
            "the same commands",
            &["EVAL", SAME, "3", "b:session", "b:history", "b:log", &text, "50"],
        )?;
        bare(&url, sessions, "bare XADD", &["XADD", "b:log", "*", "e", &text])?;
    }
    let id = SessionId::parse("benchmark-log")?;
    drive(Arc::clone(&store), id.to_string(), Duration::from_mins(10), LOG, false).await?;
    let mut reads = Vec::new();
    for _ in 0..20 {
        let asked = Instant::now();
        let events = store.read(&id, Seq::new(0), usize::MAX).await?;
        reads.push(asked.elapsed());
        assert_eq!(events.len() as u64, LOG);
    }
    reads.sort_unstable();
    println!("a log of {LOG} events is read in {:.1} ms (median of 20)", reads[10].as_secs_f64() * 1e3);
    store.delete(&id, END).await?;
    Ok(())
}

/// What a commit does, without any of its checks.
const SAME: &str = "redis.call('HMGET', KEYS[1], 'holder', 'epoch', 'seq', 'active', 'attempt', 'owner', 'title')
    redis.call('HSET', KEYS[1], 'active', '1', 'seq', '1', 'seq_epoch', '1')
    redis.call('XADD', KEYS[3], '*', 'e', ARGV[1])
    redis.call('RPUSH', KEYS[2], ARGV[1])
    redis.call('LTRIM', KEYS[2], -tonumber(ARGV[2]), -1)
    redis.call('PUBLISH', KEYS[3], '1')
    return { 'OK' }";
/// How many commands `redis-benchmark` sends.
const BARE: u32 = 50_000;

fn tell(at_once: u32, what: &str, rate: &str, [p50, p99, max]: [f64; 3]) {
    println!("{at_once:>7}  {what:<18}  {rate:>9}  {p50:>6.2}  {p99:>6.2}  {max:>6.2}");
}

/// What `redis-benchmark` says of a command. It then deletes what that wrote.
fn bare(url: &str, clients: u32, what: &str, command: &[&str]) -> Fallible<()> {
    let place = url.split_once("://").map_or(url, |(_, place)| place);
    let place = match place.rsplit_once(':') {
        _ if url.starts_with("redis+unix") => ["-s".to_owned(), place.to_owned()].to_vec(),
        Some((host, port)) => ["-h", host, "-p", port].map(str::to_owned).to_vec(),
        None => ["-h", place].map(str::to_owned).to_vec(),
    };
    let mut run = Command::new("redis-benchmark");
    run.args(&place).args(["--csv", "-n", &BARE.to_string(), "-c", &clients.to_string()]).args(command);
    let output = run.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    // "test","rps","avg","min","p50","p95","p99","max"; the test's name holds commas.
    let last = said.lines().last().ok_or("redis-benchmark says nothing")?;
    let mut fields: Vec<_> = last.rsplit(',').take(7).map(|field| field.trim_matches('"')).collect();
    fields.reverse();
    let [rate, _avg, _min, p50, _p95, p99, max] = fields.as_slice() else {
        return Err(format!("redis-benchmark says `{last}`").into());
    };
    tell(clients, what, rate, [p50.parse()?, p99.parse()?, max.parse()?]);
    Command::new("redis-cli").args(&place).args(["DEL", "b:session", "b:history", "b:log"]).output()?;
    Ok(())
}

/// When no lease holds any more.
const END: Timestamp = Timestamp::from_millis(i64::MAX);

async fn drive(
    store: Arc<RedisStore>,
    name: String,
    run: Duration,
    commits: u64,
    is_deleted: bool,
) -> Fallible<Vec<Duration>> {
    let (id, owner, now) = (SessionId::parse(name)?, PrincipalId::parse("benchmark")?, Timestamp::from_millis(0));
    store.delete(&id, END).await?;
    store.create(&SessionRecord::opened(id.clone(), owner.clone(), None, now)).await?;
    let epoch = store.claim(&id, "benchmark", now, Duration::from_hours(1)).await?.lease.epoch;
    let text = "x".repeat(200);
    let mut waits = Vec::new();
    let started = Instant::now();
    for number in 1..=commits {
        let (turn, at) = (TurnId::new(number), Timestamp::from_millis(i64::try_from(number)?));
        let body = EventBody::Delta { step: 0, attempt: 0, text: text.clone() };
        let event = Event {
            id: EventId { epoch, seq: Seq::new(number) },
            turn: Some(turn),
            at,
            body,
            link: None,
            request: None,
        };
        let message =
            UserMessage { text: text.clone(), attachments: Vec::new(), client_message_id: None, by: owner.clone() };
        let append = vec![Message::User { turn, at, message }];
        let drop_front = usize::from(number > 50);
        let commit = Commit {
            epoch,
            after: Seq::new(number - 1),
            events: vec![event],
            history: Some(HistoryChange::Slide { append, drop_front }),
            record: RecordChange { last_active_at: Some(at), ..RecordChange::default() },
        };
        let asked = Instant::now();
        store.commit(&id, &commit).await?;
        waits.push(asked.elapsed());
        if started.elapsed() >= run {
            break;
        }
    }
    if is_deleted {
        store.delete(&id, END).await?;
    }
    Ok(waits)
}
