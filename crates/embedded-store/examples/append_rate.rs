//! How many commits a second a file and memory take, and how long one waits, with up to 64 sessions at once.
//!
//! ```text
//! cargo run --release -p lockkeeper-embedded-store --example append_rate -- [FOLDER]
//! ```
//!
//! The file is made in FOLDER (the system's folder for temporary files without one) and removed afterwards. Let FOLDER
//! be on the disk that is to be measured: in a folder in memory a sync costs nothing. Each commit is what a step of
//! a turn writes: an event with 200 bytes of text, a message, and the heartbeat; every session waits for its commit
//! before it makes the next one.

use lockkeeper_domain::{
    Event, EventBody, EventId, Message, PrincipalId, Seq, SessionId, SessionRecord, Timestamp, TurnId, UserMessage,
};
use lockkeeper_embedded_store::{Config, EmbeddedStore};
use lockkeeper_ports::{Commit, HistoryChange, RecordChange, SessionRepository, SessionStore};
use std::{
    error::Error,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const RUN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    println!("store   sessions  commits/s  p50 ms  p99 ms  max ms");
    for (place, sessions) in [("memory", 1), ("file", 1), ("file", 16), ("file", 64)] {
        let folder = tempfile::tempdir_in(&folder)?;
        let path = (place == "file").then(|| folder.path().join("store.redb"));
        let store = Arc::new(EmbeddedStore::open(&Config { path, ..Config::default() })?);
        let mut tasks = JoinSet::new();
        for number in 0..sessions {
            tasks.spawn(drive(Arc::clone(&store), format!("session-{number}")));
        }
        let mut waits = Vec::new();
        while let Some(done) = tasks.join_next().await {
            waits.extend(done??);
        }
        waits.sort_unstable();
        let millis = |part: usize| waits[(waits.len() - 1) * part / 1_000].as_secs_f64() * 1e3;
        let rate = waits.len() as u64 / RUN.as_secs();
        println!(
            "{place:6}  {sessions:>8}  {rate:>9}  {:>6.2}  {:>6.2}  {:>6.2}",
            millis(500),
            millis(990),
            millis(1_000)
        );
    }
    Ok(())
}

async fn drive(store: Arc<EmbeddedStore>, name: String) -> Result<Vec<Duration>, Box<dyn Error + Send + Sync>> {
    let (id, owner, now) = (SessionId::parse(name)?, PrincipalId::parse("ada")?, Timestamp::from_millis(0));
    store.create(&SessionRecord::opened(id.clone(), owner.clone(), None, now)).await?;
    let epoch = store.claim(&id, "benchmark", now, Duration::from_hours(1)).await?.lease.epoch;
    let text = "x".repeat(200);
    let mut waits = Vec::new();
    let started = Instant::now();
    for number in 1.. {
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
        if started.elapsed() >= RUN {
            break;
        }
    }
    Ok(waits)
}
