//! The indexes: written before the record, and checked against it. See [`crate::keys`].

use crate::{
    connection::Connection,
    failure::Unavailable,
    keys::{self, SessionKeys, field},
    record::Fields,
    reply::{array, bytes, number, text},
    script,
    sessions::millis,
    store::Shared,
};
use fred::types::Value;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lockkeeper_domain::{PrincipalId, SessionId, SessionRecord, Timestamp};
use lockkeeper_ports::StoreError;
use std::cmp::Reverse;

/// How many entries are looked at in one go.
pub(crate) const CHUNK: usize = 128;
/// How many of their records are read at once.
const AT_ONCE: usize = 32;
/// How long an entry that does not belong is kept, in milliseconds: far longer than a step takes from its index entry to its
/// record.
const GRACE_MS: &str = "60000";

/// Makes sure that a session is in an index, and is off probation there.
pub(crate) async fn affirm(connection: &Connection, index: &'static str, id: &SessionId) -> Result<(), Unavailable> {
    let args = vec![index.into(), "GT".into(), "0".into(), id.as_str().into()];
    connection.call("ZADD", index, args).await.map(drop)
}

/// Tells an owner's index when a session was last used.
pub(crate) async fn used(
    connection: &Connection,
    owner: &PrincipalId,
    id: &SessionId,
    at: Timestamp,
) -> Result<(), Unavailable> {
    let index = keys::owner(owner);
    let args = vec![index.as_str().into(), "GT".into(), millis(at), id.as_str().into()];
    connection.call("ZADD", &index, args).await.map(drop)
}

/// Tells the index of all sessions when a session was last opened.
pub(crate) async fn opened(connection: &Connection, id: &SessionId, at: Timestamp) -> Result<(), Unavailable> {
    let args = vec![keys::SESSIONS.into(), "GT".into(), millis(at), id.as_str().into()];
    connection.call("ZADD", keys::SESSIONS, args).await.map(drop)
}

/// An entry of an index.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: SessionId,
    /// As the server wrote it.
    pub(crate) score: String,
}

impl Entry {
    pub(crate) fn number(&self) -> i64 {
        // Scores are whole milliseconds, or what a person wrote there.
        #[expect(clippy::cast_possible_truncation, reason = "a cast to an integer saturates")]
        self.score.parse::<f64>().map_or(0, |score| score as i64)
    }
}

/// What an entry should have been.
struct Repair {
    entry: Entry,
    /// The right score. `None`: it does not belong there.
    score: Option<i64>,
}

/// What of a session's hash the indexes go by.
struct Indexed {
    last_active: i64,
    has_sandbox: bool,
    is_busy: bool,
    /// Until when somebody has a lease.
    held_until: Option<i64>,
}

impl Shared {
    pub(crate) async fn expired(&self, before: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let before = before.as_millis();
        let mut found: Vec<(i64, SessionId)> = Vec::new();
        let mut repairs = Vec::new();
        let mut offset = 0;
        loop {
            let range = [Value::from("-inf"), format!("({before}").into()];
            let entries = self.entries("ZRANGEBYSCORE", keys::IDLE, range, offset).await?;
            offset += entries.len();
            let (is_last, end) = (entries.len() < CHUNK, entries.last().map_or(i64::MAX, Entry::number));
            for (entry, indexed) in self.look(entries).await? {
                match indexed {
                    Some(Indexed { has_sandbox: true, is_busy, last_active, .. }) => {
                        // Scores are lower bounds: nobody writes one at each heartbeat.
                        if entry.number() != last_active && last_active >= 0 {
                            repairs.push(Repair { entry: entry.clone(), score: Some(last_active) });
                        }
                        if !is_busy && last_active < before {
                            found.push((last_active, entry.id));
                        }
                    }
                    _ => repairs.push(Repair { entry, score: None }),
                }
            }
            found.sort();
            // Those that follow have been used since the end of this chunk.
            let is_enough = found.get(limit - 1).is_some_and(|(last_active, _)| *last_active <= end);
            if is_last || is_enough {
                break;
            }
        }
        self.repair(keys::IDLE, repairs).await;
        Ok(found.into_iter().take(limit).map(|(_, id)| id).collect())
    }

    pub(crate) async fn abandoned(&self, now: Timestamp, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        let now = now.as_millis();
        self.busy_where(|held_until| held_until.is_none_or(|until| until <= now), limit).await
    }

    pub(crate) async fn busy(&self, limit: usize) -> Result<Vec<SessionId>, StoreError> {
        self.busy_where(|_| true, limit).await
    }

    /// Busy sessions, by until when somebody has a lease on them.
    async fn busy_where(
        &self,
        matches: impl Fn(Option<i64>) -> bool + Send + Sync,
        limit: usize,
    ) -> Result<Vec<SessionId>, StoreError> {
        let mut found = Vec::new();
        let mut repairs = Vec::new();
        let mut offset = 0;
        while found.len() < limit {
            let range = [Value::from("-inf"), "+inf".into()];
            let entries = self.entries("ZRANGEBYSCORE", keys::BUSY, range, offset).await?;
            offset += entries.len();
            let is_last = entries.len() < CHUNK;
            for (entry, indexed) in self.look(entries).await? {
                match indexed {
                    Some(Indexed { is_busy: true, held_until, .. }) => {
                        if entry.number() < 0 {
                            repairs.push(Repair { entry: entry.clone(), score: Some(0) });
                        }
                        if matches(held_until) {
                            found.push(entry.id);
                        }
                    }
                    _ => repairs.push(Repair { entry, score: None }),
                }
            }
            if is_last {
                break;
            }
        }
        self.repair(keys::BUSY, repairs).await;
        found.truncate(limit);
        Ok(found)
    }

    pub(crate) async fn owned_by(&self, owner: &PrincipalId, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        self.last_used(&keys::owner(owner), |record| record.owner == *owner, limit).await
    }

    pub(crate) async fn latest(&self, limit: usize) -> Result<Vec<SessionRecord>, StoreError> {
        self.last_used(keys::SESSIONS, |_| true, limit).await
    }

    /// The sessions of an index of uses that belong there, the last used first.
    async fn last_used(
        &self,
        index: &str,
        belongs: impl Fn(&SessionRecord) -> bool + Send + Sync,
        limit: usize,
    ) -> Result<Vec<SessionRecord>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let mut found: Vec<SessionRecord> = Vec::new();
        let mut repairs = Vec::new();
        let mut offset = 0;
        loop {
            let range = [Value::from("+inf"), "-inf".into()];
            let entries = self.entries("ZREVRANGEBYSCORE", index, range, offset).await?;
            offset += entries.len();
            let (is_last, end) = (entries.len() < CHUNK, entries.last().map_or(i64::MIN, Entry::number));
            for (entry, record) in self.records(entries).await? {
                match record {
                    Some(record) if belongs(&record) => {
                        let last_active = record.last_active_at.as_millis();
                        if entry.number() != last_active {
                            repairs.push(Repair { entry, score: Some(last_active) });
                        }
                        found.push(record);
                    }
                    _ => repairs.push(Repair { entry, score: None }),
                }
            }
            found.sort_by_key(|record| Reverse(record.last_active_at));
            // Those that follow were used before the end of this chunk.
            let is_enough = found.get(limit - 1).is_some_and(|record| record.last_active_at.as_millis() >= end);
            if is_last || is_enough {
                break;
            }
        }
        self.repair(index, repairs).await;
        found.truncate(limit);
        Ok(found)
    }

    pub(crate) async fn entries(
        &self,
        command: &'static str,
        index: &str,
        [from, to]: [Value; 2],
        offset: usize,
    ) -> Result<Vec<Entry>, StoreError> {
        let (offset, count) = (offset.to_string().into(), CHUNK.to_string().into());
        let args = vec![index.into(), from, to, "WITHSCORES".into(), "LIMIT".into(), offset, count];
        let values = array(self.connection.call(command, index, args).await?)?;
        let mut entries = Vec::with_capacity(values.len() / 2);
        for pair in values.chunks_exact(2) {
            match SessionId::parse(text(pair[0].clone())?) {
                Ok(id) => entries.push(Entry { id, score: text(pair[1].clone())? }),
                Err(error) => tracing::warn!(index, %error, "an entry of an index is no session; it is passed over"),
            }
        }
        Ok(entries)
    }

    /// The entries with what their records say; `None`: there is no record, or it cannot be read.
    async fn look(&self, entries: Vec<Entry>) -> Result<Vec<(Entry, Option<Indexed>)>, StoreError> {
        let look = async |entry: Entry| {
            let key = SessionKeys::of(&entry.id).session;
            let names = [field::ACTIVE, field::SANDBOX, field::BUSY, field::HOLDER, field::UNTIL];
            let args = [key.as_str()].into_iter().chain(names).map(Value::from).collect();
            let fields = self.connection.call("HMGET", &key, args).await.map_err(StoreError::from);
            readable(entry, fields.and_then(|fields| indexed(array(fields)?)))
        };
        stream::iter(entries).map(look).buffered(AT_ONCE).try_filter_map(async |found| Ok(found)).try_collect().await
    }

    async fn records(&self, entries: Vec<Entry>) -> Result<Vec<(Entry, Option<SessionRecord>)>, StoreError> {
        let look = async |entry: Entry| {
            let key = SessionKeys::of(&entry.id).session;
            let fields = self.connection.call("HGETALL", &key, vec![key.as_str().into()]).await;
            let record = fields.map_err(StoreError::from).and_then(Fields::of);
            readable(entry, record.and_then(|fields| fields.map(|fields| fields.record()).transpose()))
        };
        stream::iter(entries).map(look).buffered(AT_ONCE).try_filter_map(async |found| Ok(found)).try_collect().await
    }

    /// Mends an index. What fails is mended another time.
    async fn repair(&self, index: &str, repairs: Vec<Repair>) {
        for repairs in repairs.chunks(CHUNK) {
            let mut args = vec![Value::from(GRACE_MS)];
            for Repair { entry, score } in repairs {
                let (what, score) = score.map_or(("gone", 0), |score| ("set", score));
                let (id, seen) = (entry.id.as_str().into(), entry.score.as_str().into());
                args.extend([id, seen, what.into(), score.to_string().into()]);
            }
            if let Err(error) = self.connection.run(&script::REPAIR, &[index], args).await {
                tracing::debug!(%error, "an index could not be mended");
                return;
            }
        }
    }
}

/// One session that cannot be read must not hide all others: it is told, and passed over.
fn readable<T>(entry: Entry, found: Result<T, StoreError>) -> Result<Option<(Entry, T)>, StoreError> {
    match found {
        Ok(found) => Ok(Some((entry, found))),
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::error!(session.id = %entry.id, %error, "a session cannot be read; it is passed over");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn indexed(fields: Vec<Value>) -> Result<Option<Indexed>, StoreError> {
    let [active, sandbox, busy, holder, until] = fields.try_into().unwrap_or([const { Value::Null }; 5]);
    if active.is_null() {
        return Ok(None);
    }
    let held_until = if holder.is_null() { None } else { Some(number(&text(until)?)?) };
    Ok(Some(Indexed {
        last_active: number(&text(active)?)?,
        has_sandbox: !sandbox.is_null(),
        is_busy: !busy.is_null() && &*bytes(busy)? == b"1",
        held_until,
    }))
}
