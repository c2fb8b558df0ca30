//! Followers of all trails: they look at those that the index names, from time to time.
//!
//! The servers of a cluster have clocks of their own, and trails are read one after the other. So a follower keeps its place in
//! each trail that was written to lately, and one that resumes at a cursor goes back a little: records may come again.

use super::{PAGE, SLACK_MS};
use crate::{
    RedisStore,
    indexes::CHUNK,
    keys::{self, SessionKeys},
    reply::array,
    store::Shared,
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lockkeeper_domain::SessionId;
use lockkeeper_ports::{AuditCursor, AuditStream, AuditedEntry, StoreError};
use std::{collections::HashMap, sync::Arc, time::Duration, vec};

/// How far before its cursor a follower resumes, in milliseconds.
const OVERLAP_MS: u64 = 10_000;
/// How many trails are read at once.
const AT_ONCE: usize = 32;

struct Follower {
    shared: Arc<Shared>,
    poll: Duration,
    /// The last record that was given, or where the follower resumed.
    at: AuditCursor,
    /// Where a trail is read from that no place is known of.
    from: AuditCursor,
    places: HashMap<SessionId, AuditCursor>,
    ready: vec::IntoIter<AuditedEntry>,
    ended: bool,
}

impl RedisStore {
    pub(super) fn follow_trails(&self, after: Option<AuditCursor>) -> AuditStream {
        let start = AuditCursor { major: 0, minor: 0 };
        let at = after.unwrap_or(start);
        let follower = Follower {
            shared: Arc::clone(&self.shared),
            poll: self.read_ahead.poll,
            at,
            from: AuditCursor { major: at.major.saturating_sub(OVERLAP_MS), minor: 0 },
            places: HashMap::new(),
            ready: Vec::new().into_iter(),
            ended: false,
        };
        stream::unfold(follower, |mut follower| async move { Some((follower.next().await?, follower)) }).fuse().boxed()
    }
}

impl Follower {
    async fn next(&mut self) -> Option<Result<AuditedEntry, StoreError>> {
        loop {
            if self.ended {
                return None;
            }
            if let Some(record) = self.ready.next() {
                self.at = self.at.max(record.cursor);
                self.places.insert(record.session.clone(), record.cursor);
                return Some(Ok(record));
            }
            match self.look().await {
                Ok(found) if found.is_empty() => tokio::time::sleep(self.poll).await,
                Ok(found) => self.ready = found.into_iter(),
                // The trails are there again in a while, and nothing of them is lost.
                Err(StoreError::Unavailable(error)) => {
                    tracing::debug!(error, "the audit trails cannot be read now");
                    tokio::time::sleep(self.poll).await;
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
    }

    /// Returns what was written since, in the order of its time.
    async fn look(&mut self) -> Result<Vec<AuditedEntry>, StoreError> {
        // Whatever is older was given.
        let old = AuditCursor { major: self.at.major.saturating_sub(SLACK_MS), minor: 0 };
        self.places.retain(|_, place| *place >= old);
        self.from = self.from.max(old);
        let trails = self.trails().await?;
        let pages: Vec<_> = stream::iter(trails)
            .map(async |id: SessionId| self.page(&id).await)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        // Of a trail that goes on behind its page nothing later must be given, else its rest would come too late.
        let full = pages.iter().filter(|page: &&Vec<_>| page.len() >= PAGE).filter_map(|page| page.last());
        let end = full.map(|record| record.cursor).min();
        let mut found: Vec<_> = pages.into_iter().flatten().collect();
        found.retain(|record| end.is_none_or(|end| record.cursor <= end));
        found.sort_by_key(|record| record.cursor);
        Ok(found)
    }

    /// Returns the sessions that may have written since.
    async fn trails(&self) -> Result<Vec<SessionId>, StoreError> {
        let since = self.from.major.saturating_sub(SLACK_MS);
        let mut found = Vec::new();
        loop {
            let range = [since.to_string().into(), "+inf".into()];
            let entries = self.shared.entries("ZRANGEBYSCORE", keys::AUDITS, range, found.len()).await?;
            let is_last = entries.len() < CHUNK;
            found.extend(entries.into_iter().map(|entry| entry.id));
            if is_last {
                return Ok(found);
            }
        }
    }

    async fn page(&self, id: &SessionId) -> Result<Vec<AuditedEntry>, StoreError> {
        let key = SessionKeys::of(id).audit;
        let from = self.places.get(id).map_or_else(|| self.from.to_string(), |place| format!("({place}"));
        let args = vec![key.as_str().into(), from.into(), "+".into(), "COUNT".into(), PAGE.to_string().into()];
        let records = array(self.shared.connection.call("XRANGE", &key, args).await?)?;
        records.into_iter().map(|record| super::audited(id, record)).collect()
    }
}
