use super::{SESSIONS, crowd::session};
use anyhow::Result;
use lockkeeper_tests::ask_redis;
use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{task::JoinSet, time::sleep};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
const HOLDERS: &str = "local all = {} \
    for i, key in ipairs(KEYS) do \
        local session = redis.call('HMGET', key, 'holder', 'epoch') \
        all[i] = (session[1] or '-') .. ' ' .. (session[2] or '0') \
    end \
    return all";

/// A server that was seen to hold a session, from when on, and under which epoch.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) name: String,
    pub(super) epoch: u64,
    pub(super) from: Instant,
}

/// Looks again and again who holds which session.
pub(super) struct Holders {
    seen: Arc<Mutex<HashMap<String, Vec<Holder>>>>,
    _looking: JoinSet<()>,
}

impl Holders {
    pub(super) fn watch(socket: &Path) -> Self {
        let seen = Arc::new(Mutex::default());
        let (notes, socket) = (Arc::clone(&seen), socket.to_owned());
        let mut looking = JoinSet::new();
        looking.spawn(async move {
            loop {
                // A Redis that is away says nothing.
                let _ = look(&socket, &notes).await;
                sleep(LOOK).await;
            }
        });
        Self { seen, _looking: looking }
    }

    /// What was seen of each session, one after the other.
    pub(super) fn end(self) -> HashMap<String, Vec<Holder>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn look(socket: &Path, notes: &Mutex<HashMap<String, Vec<Holder>>>) -> Result<()> {
    let sessions: Vec<_> = (0..SESSIONS).map(session).collect();
    let keys: Vec<_> = sessions.iter().map(|id| format!("mcp:session:{{{id}}}")).collect();
    let count = keys.len().to_string();
    let mut command = vec!["EVAL", HOLDERS, &count];
    command.extend(keys.iter().map(String::as_str));
    let lines = ask_redis(socket, &command).await?;
    let from = Instant::now();
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    for (id, line) in sessions.into_iter().zip(lines) {
        let Some((name, epoch)) = line.split_once(' ') else { continue };
        let Ok(epoch) = epoch.parse() else { continue };
        let seen = notes.entry(id).or_default();
        if epoch > 0 && seen.last().is_none_or(|last| last.epoch != epoch || last.name != name) {
            seen.push(Holder { name: name.to_owned(), epoch, from });
        }
    }
    Ok(())
}

/// The name of the server that holds this session.
pub(super) async fn holder_of(socket: &Path, session: &str) -> Result<String> {
    Ok(ask_redis(socket, &["HGET", &format!("mcp:session:{{{session}}}"), "holder"]).await?.concat())
}
