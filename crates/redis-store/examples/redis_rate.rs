//! How many commits a second a Redis takes through the port, how long one waits, and what reading a log costs.
//!
//! ```text
//! cargo run --release -p lockkeeper-redis-store --example redis_rate -- redis://127.0.0.1:6379
//! ```
//!
//! Each commit is what a step of a turn writes: an event with 200 bytes of text, a message, and the heartbeat; every session
//! waits for its commit before it makes the next one. What it writes it deletes. `redis-benchmark` says what the same server
//! does without this crate; docs/adr/0014-redis-store.md has both.

use lockkeeper_domain::{
    Event, EventBody, EventId, Message, PrincipalId, Seq, SessionId, SessionRecord, Timestamp, TurnId, UserMessage,
};
use lockkeeper_ports::{Commit, EventLog, HistoryChange, RecordChange, SessionRepository, SessionStore};
use lockkeeper_redis_store::{Config, RedisStore};
use std::{
    error::Error,
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
    let store = Arc::new(RedisStore::connect(&Config::at(url)).await?);
    println!("sessions  commits/s  p50 ms  p99 ms  max ms");
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
        println!("{sessions:>8}  {rate:>9}  {:>6.2}  {:>6.2}  {:>6.2}", millis(500), millis(990), millis(1_000));
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
        let event = Event { id: EventId { epoch, seq: Seq::new(number) }, turn: Some(turn), at, body };
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
