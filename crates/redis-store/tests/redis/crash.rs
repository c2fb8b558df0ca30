//! The server is killed under load, again and again, and what was acknowledged is there each time: all of it, once.
//!
//! `REDIS_CHAOS_ROUNDS` says how often, 10 times by default; `REDIS_CHAOS_SEED` replays the choices of a run, which begins by
//! saying its seed.

use crate::{
    Case, environment,
    owner::{Owner, unavailable},
    server::{Server, patient},
};
use lockkeeper_ports::{Commit, SessionStore as _, StoreError};
use lockkeeper_redis_store::{Config, RedisStore};
use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, task::JoinSet, time::timeout};

pub(crate) fn cases() -> Vec<Case> {
    crate::cases![kill_9_loses_nothing_that_was_acknowledged]
}

const WRITERS: usize = 6;

/// Numbers out of a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A session, and what the store has acknowledged of it.
struct Writer {
    owner: Owner,
    messages: Vec<u64>,
    dice: Dice,
    /// What was sent, and not answered.
    open: Option<Commit>,
}

impl Writer {
    /// Sends what is open, or else the next step. False if the store does not answer.
    async fn write(&mut self, store: &RedisStore) -> bool {
        let step = match self.open.take() {
            Some(step) => step,
            None => self.owner.step(1 + self.dice.below(4)),
        };
        match self.owner.commit(store, &step).await {
            Ok(_) => {
                self.messages.push(self.owner.last);
                true
            }
            Err(error @ StoreError::Unavailable(_)) => {
                unavailable::<()>(Err(error));
                self.open = Some(step);
                false
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}

async fn connected(server: &Server) -> Arc<RedisStore> {
    let config = Config { operation_timeout_ms: 1_000, ..patient(server.url()) };
    Arc::new(RedisStore::connect(&config).await.unwrap())
}

async fn kill_9_loses_nothing_that_was_acknowledged() {
    let rounds = environment::number("REDIS_CHAOS_ROUNDS").unwrap_or(10);
    let fresh = || RandomState::new().hash_one(0);
    let seed = environment::number("REDIS_CHAOS_SEED").unwrap_or_else(fresh).max(1);
    eprintln!("REDIS_CHAOS_SEED={seed} REDIS_CHAOS_ROUNDS={rounds}");
    let mut dice = Dice(seed);
    // By `everysec` a server acknowledges up to two seconds before it writes, while a sync is slow.
    let mut server = Server::start(&["--appendfsync always"]).await;
    let mut store = connected(&server).await;
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let dice = Dice(dice.below(u64::MAX).max(1));
        writers.push(Writer { owner: Owner::new(&*store).await, messages: Vec::new(), dice, open: None });
    }
    let mut open = 0;
    for round in 0..rounds {
        let kill_after = 1 + usize::try_from(dice.below(400)).unwrap();
        writers = write_until_killed(&store, writers, &mut server, kill_after).await;
        open += writers.iter().filter(|writer| writer.open.is_some()).count();
        server.restart().await;
        if dice.below(2) == 0 {
            store = connected(&server).await;
        }
        for writer in &mut writers {
            let settle = async {
                while writer.open.is_some() {
                    writer.write(&store).await;
                }
            };
            timeout(Duration::from_mins(1), settle).await.unwrap();
            writer.owner.assert_stored(&*store, &writer.messages).await;
        }
        store.check().await.unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    let commits: usize = writers.iter().map(|writer| writer.messages.len()).sum();
    eprintln!("{commits} commits over {rounds} kills, {open} of them cut: all there, each once");
    assert!(commits > WRITERS, "there was a load");
}

async fn write_until_killed(
    store: &Arc<RedisStore>,
    writers: Vec<Writer>,
    server: &mut Server,
    kill_after: usize,
) -> Vec<Writer> {
    let (acknowledged, reached) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let is_killed = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for mut writer in writers {
        let (store, acknowledged, reached) = (Arc::clone(store), Arc::clone(&acknowledged), Arc::clone(&reached));
        let is_killed = Arc::clone(&is_killed);
        tasks.spawn(async move {
            while writer.write(&store).await {
                if acknowledged.fetch_add(1, Ordering::SeqCst) == kill_after {
                    reached.notify_one();
                }
            }
            assert!(is_killed.load(Ordering::SeqCst), "the store failed though its server ran");
            writer
        });
    }
    timeout(Duration::from_mins(1), reached.notified()).await.unwrap();
    is_killed.store(true, Ordering::SeqCst);
    server.kill();
    tasks.join_all().await
}
