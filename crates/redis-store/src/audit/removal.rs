//! The retention of the audit: by age, and by the bytes of all trails together.

use crate::{
    RedisStore,
    indexes::{CHUNK, Entry},
    keys::{self, SessionKeys},
    reply::Reply,
    script,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lockkeeper_domain::{SessionId, Timestamp};
use lockkeeper_ports::{AuditCursor, AuditRemoval, StoreError};

/// How many trails are worked on at once.
const AT_ONCE: usize = 32;
/// How many records one script removes.
const BATCH: u64 = 1_024;
/// In how many strides of time a trail that is too large is cut.
const STRIDES: u64 = 64;
/// How long a session without records stays in the index, in milliseconds: longer than a commit takes after its index entry.
const GRACE_MS: i64 = 3_600_000;

/// What a look at one trail found.
struct Trail {
    id: SessionId,
    removed: u64,
    /// When the oldest record was written; `None` if there is none.
    first: Option<u64>,
    bytes: u64,
}

impl RedisStore {
    pub(super) async fn remove_from_trails(&self, before: Timestamp, most: u64) -> Result<AuditRemoval, StoreError> {
        let index = self.audit_index().await?;
        let newest = index.iter().map(Entry::number).max().unwrap_or_default();
        let ids: Vec<_> = index.iter().map(|entry| entry.id.clone()).collect();
        let before = u64::try_from(before.as_millis()).unwrap_or_default();
        let mut trails = self.cut(ids, before, false).await?;
        let by_age = trails.iter().map(|trail| trail.removed).sum();
        let bytes = |trails: &[Trail]| trails.iter().map(|trail| trail.bytes).sum::<u64>();
        let mut by_size = 0;
        if most > 0 && bytes(&trails) > most {
            let first = trails.iter().filter_map(|trail| trail.first).min().unwrap_or_default();
            let now = u64::try_from(self.time().await?.as_millis()).unwrap_or_default();
            let end = now.max(first) + 1;
            for stride in 1..=STRIDES {
                let until = first + ((end - first) * stride).div_ceil(STRIDES);
                let (old, rest): (Vec<_>, Vec<_>) =
                    trails.into_iter().partition(|trail| trail.first.is_some_and(|first| first < until));
                let cut = self.cut(old.into_iter().map(|trail| trail.id).collect(), until, true).await?;
                by_size += cut.iter().map(|trail| trail.removed).sum::<u64>();
                trails = rest;
                trails.extend(cut);
                if bytes(&trails) <= most {
                    break;
                }
            }
        }
        self.forget_empty(&index, &trails, newest).await?;
        Ok(AuditRemoval { by_age, by_size, bytes: bytes(&trails) })
    }

    async fn audit_index(&self) -> Result<Vec<Entry>, StoreError> {
        let mut found = Vec::new();
        loop {
            let range = ["-inf".into(), "+inf".into()];
            let entries = self.shared.entries("ZRANGEBYSCORE", keys::AUDITS, range, found.len()).await?;
            let is_last = entries.len() < CHUNK;
            found.extend(entries);
            if is_last {
                return Ok(found);
            }
        }
    }

    /// Removes the records of these trails from before `before`.
    async fn cut(&self, ids: Vec<SessionId>, before: u64, for_size: bool) -> Result<Vec<Trail>, StoreError> {
        let cut = async |id: SessionId| {
            let keys = SessionKeys::of(&id);
            let on = [keys.session.as_str(), &keys.audit, &keys.audit_heads];
            let size = if for_size { "1" } else { "0" };
            let mut removed = 0;
            loop {
                let args = vec![before.to_string().into(), BATCH.to_string().into(), size.into()];
                let mut reply = Reply::of(self.shared.connection.run(&script::AUDIT_REMOVE, &on, args).await?)?;
                let now: u64 = reply.number()?;
                let first = reply.text()?.parse::<AuditCursor>().ok().map(|first| first.major);
                let bytes = reply.number()?;
                removed += now;
                if now < BATCH {
                    return Ok::<_, StoreError>(Trail { id, removed, first, bytes });
                }
            }
        };
        stream::iter(ids).map(cut).buffer_unordered(AT_ONCE).try_collect().await
    }

    /// Takes sessions without records out of the index.
    async fn forget_empty(&self, index: &[Entry], trails: &[Trail], newest: i64) -> Result<(), StoreError> {
        let empty: std::collections::HashSet<_> =
            trails.iter().filter(|trail| trail.first.is_none()).map(|trail| &trail.id).collect();
        for entry in index.iter().filter(|entry| empty.contains(&entry.id) && entry.number() < newest - GRACE_MS) {
            let args = vec![entry.id.as_str().into(), entry.score.as_str().into()];
            self.shared.connection.run(&script::AUDIT_FORGET, &[keys::AUDITS], args).await?;
        }
        Ok(())
    }
}
