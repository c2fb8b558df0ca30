//! The audit trail: a stream beside the keys of each session, in the same slot, that its commits write to.
//!
//! No script can write to the trails of two sessions, so each has its own, and the index `mcp:audits` names those that have one.
//! It is written before the commit, as the other indexes are. Whoever follows all trails reads those that the index names.

mod follow;
mod removal;

use crate::{
    RedisStore,
    failure::corrupt,
    keys::{self, SessionKeys},
    log::Page,
    record::{decode, encode},
    reply::{Reply, array, bytes, number, text},
    script,
    sessions::millis,
};
use async_trait::async_trait;
use fred::types::Value;
use lockkeeper_domain::{PrincipalId, Seq, SessionId, SessionState, Timestamp};
use lockkeeper_ports::{
    AuditCursor, AuditEntry, AuditRemoval, AuditStream, AuditTrail, AuditedEntry, KeptAudit, StoreError,
};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long an entry of the index is taken for fresh, so that not each commit writes it.
const INDEXED_FOR: Duration = Duration::from_secs(20);
/// How far a read of the index goes back. It exceeds the time from an index entry to the last commit that relies on it.
const SLACK_MS: u64 = 60_000;
/// How many records are read or written at once.
const PAGE: usize = 256;
/// How many of the sessions in the index are remembered. Beyond that all are forgotten.
const MOST: usize = 50_000;

/// When this process wrote the index entry of which session.
#[derive(Default)]
pub(crate) struct Indexed(Mutex<HashMap<SessionId, Instant>>);

impl Indexed {
    fn is_fresh(&self, id: &SessionId) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(id).is_some_and(|at| at.elapsed() < INDEXED_FOR)
    }

    fn learn(&self, id: &SessionId) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(id.clone(), Instant::now());
    }
}

#[async_trait]
impl AuditTrail for RedisStore {
    async fn audits(&self, id: &SessionId) -> Result<Vec<KeptAudit>, StoreError> {
        let keys = SessionKeys::of(id);
        let args = vec![keys.audit_heads.as_str().into()];
        let heads = array(self.shared.connection.call("HGETALL", &keys.audit_heads, args).await?)?;
        let stored = self.hash_field(&keys, "born").await?;
        let mut found = Vec::new();
        for pair in heads.chunks_exact(2) {
            let (born, head) = (text(pair[0].clone())?, Head::parse(&text(pair[1].clone())?)?);
            let is_stored = stored.as_ref() == Some(&born);
            let Head { began, last, removed, removed_for_size, owner } = head;
            found.push((began, KeptAudit { born, owner, last, removed, removed_for_size, is_stored }));
        }
        found.sort_by_key(|(began, audit)| (audit.is_stored, *began));
        Ok(found.into_iter().map(|(_, audit)| audit).collect())
    }

    async fn audit(&self, id: &SessionId, born: &str, after: u64, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let key = SessionKeys::of(id).audit;
        let (mut found, mut at) = (Vec::new(), "-".to_owned());
        while found.len() < limit {
            let page = self.audit_page(id, &key, &at).await?;
            let Some(last) = page.last() else { break };
            at = format!("({}", last.cursor);
            let wanted = |record: &AuditedEntry| record.born == born && record.entry.link.number > after;
            found.extend(page.into_iter().filter(wanted).map(|record| record.entry));
        }
        found.truncate(limit);
        Ok(found)
    }

    async fn follow_audit(&self, after: Option<AuditCursor>) -> Result<AuditStream, StoreError> {
        Ok(self.follow_trails(after))
    }

    async fn remove_audit(&self, before: Timestamp, max_bytes: u64) -> Result<AuditRemoval, StoreError> {
        self.remove_from_trails(before, max_bytes).await
    }
}

impl RedisStore {
    /// Makes sure that whoever follows all trails looks at that of this session.
    pub(crate) async fn index_audit(&self, id: &SessionId) -> Result<(), StoreError> {
        if self.audited.is_fresh(id) {
            return Ok(());
        }
        self.shared.connection.run(&script::AUDIT_INDEX, &[keys::AUDITS], vec![id.as_str().into()]).await?;
        self.audited.learn(id);
        Ok(())
    }

    /// Adds the records that an earlier version wrote to the log alone, before they are removed from there: those that the
    /// checkpoint accounts for, or all of them.
    pub(crate) async fn audit_before_removal(&self, id: &SessionId, all: bool) -> Result<(), StoreError> {
        match self.audit_what_goes(id, all).await {
            // It must not keep a log from being trimmed, nor a session from being deleted.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::warn!(session.id = %id, %error, "a log cannot be read and is left out of the audit trail");
                Ok(())
            }
            other => other,
        }
    }

    async fn audit_what_goes(&self, id: &SessionId, all: bool) -> Result<(), StoreError> {
        let keys = SessionKeys::of(id);
        let names = ["born", "state", "checkpoint", "seq"];
        let args = [keys.session.as_str()].into_iter().chain(names).map(Value::from).collect();
        let fields = array(self.shared.connection.call("HMGET", &keys.session, args).await?)?;
        let [born, state, checkpoint, seq] = fields.try_into().unwrap_or([const { Value::Null }; 4]);
        if born.is_null() {
            return Ok(());
        }
        let state = if state.is_null() { SessionState::default() } else { decode("session record", &bytes(state)?)? };
        let is_behind = |last| state.audit_head().number > last || (all && checkpoint != seq);
        match self.audit_last(&keys, &text(born)?).await? {
            last if is_behind(last) => self.audit_missing(id, last).await,
            _ => Ok(()),
        }
    }

    /// Adds the records of the log that are not in the trail. Numbers up to `through` that are in neither are taken for lost.
    pub(crate) async fn audit_missing(&self, id: &SessionId, through: u64) -> Result<(), StoreError> {
        let keys = SessionKeys::of(id);
        let Some(born) = self.hash_field(&keys, "born").await? else { return Ok(()) };
        let last = self.audit_last(&keys, &born).await?;
        let missing = self.unaudited(id, &born, last).await?;
        if missing.is_empty() && through <= last {
            return Ok(());
        }
        self.index_audit(id).await?;
        let mut at = last;
        let mut pages: Vec<&[AuditEntry]> = missing.chunks(PAGE).collect();
        if missing.last().is_none_or(|entry| entry.link.number < through) {
            pages.push(&[]);
        }
        for page in pages {
            let end = page.last().map_or(through, |entry| entry.link.number);
            let mut args: Vec<Value> = vec![born.as_str().into(), at.to_string().into(), end.to_string().into()];
            args.push(millis(page.first().map_or_else(Timestamp::default, |entry| entry.at)));
            for entry in page {
                args.extend([entry.link.number.to_string().into(), encode("audit record", entry)?]);
            }
            let on = [keys.session.as_str(), &keys.audit, &keys.audit_heads];
            let reply = Reply::of(self.shared.connection.run(&script::AUDIT, &on, args).await?)?;
            match &*reply.word {
                b"OK" => at = end,
                // Another server, or an earlier attempt of this one, was faster.
                b"MOVED" => break,
                _ => return Err(reply.unknown()),
            }
        }
        Ok(())
    }

    async fn unaudited(&self, id: &SessionId, of: &str, last: u64) -> Result<Vec<AuditEntry>, StoreError> {
        let (mut missing, mut at) = (Vec::new(), Seq::default());
        loop {
            match self.shared.page(id, at, PAGE, 1 << 20).await? {
                Page::Trimmed(through) => at = through,
                Page::Events { born, events, last: end } if born == of => {
                    let new = events.iter().filter_map(AuditEntry::of);
                    missing.extend(new.filter(|entry| entry.link.number > last));
                    at = events.last().map_or(end, |event| event.id.seq);
                    if at >= end {
                        return Ok(missing);
                    }
                }
                Page::Nothing | Page::Events { .. } => return Ok(missing),
            }
        }
    }

    async fn hash_field(&self, keys: &SessionKeys, name: &'static str) -> Result<Option<String>, StoreError> {
        let args = vec![keys.session.as_str().into(), name.into()];
        let found = self.shared.connection.call("HGET", &keys.session, args).await?;
        if found.is_null() { Ok(None) } else { Ok(Some(text(found)?)) }
    }

    /// Returns the number of the last record that the trail was given.
    async fn audit_last(&self, keys: &SessionKeys, born: &str) -> Result<u64, StoreError> {
        let args = vec![keys.audit_heads.as_str().into(), born.into()];
        let head = self.shared.connection.call("HGET", &keys.audit_heads, args).await?;
        if head.is_null() { Ok(0) } else { Ok(Head::parse(&text(head)?)?.last) }
    }

    /// Returns the records of a trail from `from` on.
    async fn audit_page(&self, id: &SessionId, key: &str, from: &str) -> Result<Vec<AuditedEntry>, StoreError> {
        let args = vec![key.into(), from.into(), "+".into(), "COUNT".into(), PAGE.to_string().into()];
        let records = array(self.shared.connection.call("XRANGE", key, args).await?)?;
        records.into_iter().map(|record| audited(id, record)).collect()
    }
}

/// The head of an audit, as the scripts write it.
struct Head {
    began: i64,
    last: u64,
    removed: u64,
    removed_for_size: u64,
    owner: PrincipalId,
}

impl Head {
    fn parse(text: &str) -> Result<Self, StoreError> {
        let mut parts = text.splitn(5, ' ');
        let mut next = || parts.next().ok_or_else(|| corrupt("audit", format!("`{text}` is no head of an audit")));
        Ok(Self {
            began: number(next()?)?,
            last: number(next()?)?,
            removed: number(next()?)?,
            removed_for_size: number(next()?)?,
            owner: PrincipalId::parse(next()?).map_err(|error| corrupt("audit", error))?,
        })
    }
}

fn audited(id: &SessionId, record: Value) -> Result<AuditedEntry, StoreError> {
    let [cursor, fields] = array(record)?.try_into().unwrap_or([const { Value::Null }; 2]);
    let cursor: AuditCursor = text(cursor)?.parse().map_err(|error| corrupt("audit", error))?;
    let mut fields = array(fields)?.into_iter();
    let (mut born, mut owner, mut entry) = (None, None, None);
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        match &*bytes(name)? {
            b"b" => born = Some(text(value)?),
            b"o" => owner = Some(PrincipalId::parse(text(value)?).map_err(|error| corrupt("audit", error))?),
            b"e" => entry = Some(decode("audit record", &bytes(value)?)?),
            _ => {}
        }
    }
    match (born, owner, entry) {
        (Some(born), Some(owner), Some(entry)) => Ok(AuditedEntry { cursor, session: id.clone(), born, owner, entry }),
        _ => Err(corrupt("audit", format!("the record {cursor} lacks a field"))),
    }
}
