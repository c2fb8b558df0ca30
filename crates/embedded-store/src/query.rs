//! What reads look up, each within one transaction and so in one state of the file.

use crate::{
    change::held,
    failure::Halt,
    schema::{self, AFTER_IDS, Log, Size},
};
use lockkeeper_domain::{Event, EventId, Message, PrincipalId, Seq, SessionId, SessionRecord, StoredRule, Timestamp};
use lockkeeper_ports::{Account, Balance, Occupied, StoreError};
use redb::{ReadTransaction, ReadableTable};
use std::{cmp::Reverse, collections::BinaryHeap, ops::Bound};

pub(crate) fn record(txn: &ReadTransaction, id: &SessionId) -> Result<Option<SessionRecord>, Halt> {
    let records = txn.open_table(schema::RECORDS)?;
    records.get(id.as_str())?.map(|bytes| schema::decode_record(bytes.value())).transpose()
}

/// The record, unless it cannot be read: one session that is damaged, or of a later version, must not hide all others.
fn readable(id: &str, bytes: &[u8]) -> Result<Option<SessionRecord>, Halt> {
    match schema::decode_record(bytes) {
        Ok(record) => Ok(Some(record)),
        Err(Halt::Refused(error @ StoreError::Corrupt { .. })) => {
            tracing::warn!(session.id = id, %error, "a session is left out of a list because its record cannot be read");
            Ok(None)
        }
        Err(halt) => Err(halt),
    }
}

pub(crate) fn owned_by(txn: &ReadTransaction, owner: &PrincipalId, limit: usize) -> Result<Vec<SessionRecord>, Halt> {
    let owner = owner.as_str();
    let records = txn.open_table(schema::RECORDS)?;
    let mut found = Vec::new();
    let all = (owner, i64::MIN, "")..=(owner, i64::MAX, AFTER_IDS);
    for entry in txn.open_table(schema::OWNED)?.range(all)?.rev().take(limit) {
        let (key, ()) = entry.map(|(key, _)| (key, ()))?;
        let (_, _, id) = key.value();
        if let Some(bytes) = records.get(id)? {
            found.extend(readable(id, bytes.value())?);
        }
    }
    Ok(found)
}

/// Looks at each entry of the index, and at the records of the latest alone.
pub(crate) fn latest(txn: &ReadTransaction, limit: usize) -> Result<Vec<SessionRecord>, Halt> {
    let mut latest: BinaryHeap<Reverse<(i64, String)>> = BinaryHeap::new();
    for entry in txn.open_table(schema::OWNED)?.iter()? {
        let (key, _) = entry?;
        let (_, at, id) = key.value();
        if latest.len() < limit {
            latest.push(Reverse((at, id.to_owned())));
        } else if let Some(mut earliest) = latest.peek_mut()
            && at > earliest.0.0
        {
            *earliest = Reverse((at, id.to_owned()));
        }
    }
    let records = txn.open_table(schema::RECORDS)?;
    let mut found = Vec::new();
    for Reverse((_, id)) in latest.into_sorted_vec() {
        if let Some(bytes) = records.get(id.as_str())? {
            found.extend(readable(&id, bytes.value())?);
        }
    }
    Ok(found)
}

pub(crate) fn busy(txn: &ReadTransaction, limit: usize) -> Result<Vec<SessionId>, Halt> {
    ids(&txn.open_table(schema::BUSY)?, Bound::Unbounded, limit)
}

/// The first stored first.
pub(crate) fn rules(txn: &ReadTransaction, owner: &PrincipalId) -> Result<Vec<StoredRule>, Halt> {
    let rules = txn.open_table(schema::RULES)?;
    let all = (owner.as_str(), "")..=(owner.as_str(), AFTER_IDS);
    let found = rules.range(all)?.map(|entry| schema::decode_rule(entry?.1.value()));
    let mut found = found.collect::<Result<Vec<_>, Halt>>()?;
    found.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    Ok(found)
}

pub(crate) fn expired(txn: &ReadTransaction, before: Timestamp, limit: usize) -> Result<Vec<SessionId>, Halt> {
    let idle = txn.open_table(schema::IDLE)?;
    ids(&idle, Bound::Excluded((before.as_millis(), "")), limit)
}

pub(crate) fn abandoned(txn: &ReadTransaction, now: Timestamp, limit: usize) -> Result<Vec<SessionId>, Halt> {
    let busy = txn.open_table(schema::BUSY)?;
    ids(&busy, Bound::Included((now.as_millis(), AFTER_IDS)), limit)
}

fn ids(
    index: &impl ReadableTable<(i64, &'static str), ()>,
    end: Bound<(i64, &str)>,
    limit: usize,
) -> Result<Vec<SessionId>, Halt> {
    let range = index.range::<(i64, &str)>((Bound::Unbounded, end))?;
    range.take(limit).map(|entry| session_id(entry?.0.value().1)).collect()
}

pub(crate) fn balance(txn: &ReadTransaction, account: &Account, now: Timestamp) -> Result<Balance, Halt> {
    let name = schema::account_name(account);
    let stored = txn.open_table(schema::BUDGETS)?.get(name.as_str())?;
    let stored = stored.map(|bytes| schema::decode_account(bytes.value())).transpose()?.unwrap_or_default();
    Ok(Balance { spent: stored.spent, held: held(&txn.open_table(schema::HOLDS)?, &name, now)? })
}

pub(crate) fn history(txn: &ReadTransaction, id: &SessionId) -> Result<Vec<Message>, Halt> {
    let history = txn.open_table(schema::HISTORY)?;
    let all = (id.as_str(), 0)..=(id.as_str(), u64::MAX);
    history.range(all)?.map(|entry| schema::decode_message(entry?.1.value())).collect()
}

pub(crate) fn last(txn: &ReadTransaction, id: &SessionId) -> Result<EventId, Halt> {
    Ok(log(txn, id)?.map(|log| log.last).unwrap_or_default())
}

pub(crate) fn log(txn: &ReadTransaction, id: &SessionId) -> Result<Option<Log>, Halt> {
    let logs = txn.open_table(schema::LOGS)?;
    Ok(logs.get(id.as_str())?.map(|row| Log::from_row(row.value())))
}

/// The events after `after`: at most `max_events`, and no more once they have `max_bytes`.
pub(crate) fn events(
    txn: &ReadTransaction,
    id: &SessionId,
    after: Seq,
    max_events: usize,
    max_bytes: usize,
) -> Result<Vec<Event>, Halt> {
    let Some(log) = log(txn, id)? else { return Ok(Vec::new()) };
    if after < log.trimmed {
        return Err(StoreError::Trimmed(log.trimmed).into());
    }
    if after >= log.last.seq {
        return Ok(Vec::new());
    }
    let events = txn.open_table(schema::EVENTS)?;
    let key = id.as_str();
    let range = (Bound::Excluded((key, after.get())), Bound::Included((key, u64::MAX)));
    let mut found = Vec::new();
    let mut bytes = 0;
    for entry in events.range::<(&str, u64)>(range)?.take(max_events) {
        let (_, event) = entry?;
        bytes += event.value().len();
        found.push(schema::decode_event(event.value())?);
        if bytes >= max_bytes {
            break;
        }
    }
    Ok(found)
}

/// Returns what each of the sessions occupies; `None` where that was not counted yet.
pub(crate) fn occupied(
    txn: &ReadTransaction,
    ids: impl IntoIterator<Item = SessionId>,
) -> Result<Vec<(SessionId, Option<Occupied>)>, Halt> {
    let (records, logs) = (txn.open_table(schema::RECORDS)?, txn.open_table(schema::LOGS)?);
    let sizes = txn.open_table(schema::SIZES)?;
    let mut found = Vec::new();
    for id in ids {
        let Some(log) = logs.get(id.as_str())?.map(|row| Log::from_row(row.value())) else { continue };
        let record = records.get(id.as_str())?.map_or(0, |record| record.value().len() as u64);
        let size = sizes.get(id.as_str())?.and_then(|row| Size::from_row(row.value(), &log));
        found.push((id, size.map(|size| Occupied { log: size.log, rest: size.history + record })));
    }
    Ok(found)
}

/// Returns the ids of an owner's sessions, or of all.
pub(crate) fn ids_of(txn: &ReadTransaction, owner: Option<&PrincipalId>) -> Result<Vec<SessionId>, Halt> {
    let index = txn.open_table(schema::OWNED)?;
    let entries = match owner {
        Some(owner) => index.range((owner.as_str(), i64::MIN, "")..=(owner.as_str(), i64::MAX, AFTER_IDS))?,
        None => index.iter()?,
    };
    entries.map(|entry| session_id(entry?.0.value().2)).collect()
}

pub(crate) fn session_id(text: &str) -> Result<SessionId, Halt> {
    SessionId::parse(text)
        .map_err(|error| Halt::from(StoreError::Corrupt { what: "session id", source: Box::new(error) }))
}
