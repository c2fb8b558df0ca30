//! Commits: one step of a session, in one script.

use crate::{
    RedisStore, indexes,
    keys::{self, SessionKeys, field},
    random,
    record::encode,
    script,
    sessions::{flag, millis},
};
use fred::types::Value;
use lockkeeper_domain::{Epoch, Seq, SessionId};
use lockkeeper_ports::{AuditEntry, Commit, Committed, HistoryChange, RecordChange, StoreError};

/// Checks what can be checked without the store. Events that do not follow each other are a `Conflict` of each with the
/// one before; events of another epoch than the commit's are `Fenced`.
fn check(commit: &Commit) -> Result<Seq, StoreError> {
    let mut end = commit.after;
    for event in &commit.events {
        if event.id.epoch != commit.epoch {
            return Err(StoreError::Fenced);
        }
        if event.id.seq.get().checked_sub(1) != Some(end.get()) {
            let expected = Seq::new(event.id.seq.get().saturating_sub(1));
            return Err(StoreError::Conflict { expected, found: end });
        }
        end = event.id.seq;
    }
    Ok(end)
}

/// The arguments of the script, in its order.
fn arguments(commit: &Commit, end: Seq, retention: &str, audit: &[AuditEntry]) -> Result<Vec<Value>, StoreError> {
    let Commit { epoch, after, events, history, record } = commit;
    let (mode, append, drop_front) = match history {
        None => ("", &[][..], 0),
        Some(HistoryChange::Clear) => ("clear", &[][..], 0),
        Some(HistoryChange::Slide { append, drop_front }) => ("slide", append.as_slice(), *drop_front),
    };
    let fields = fields(record)?;
    let mut args = vec![
        epoch.to_string().into(),
        after.to_string().into(),
        after.get().saturating_add(1).to_string().into(),
        end.to_string().into(),
        events.len().to_string().into(),
        append.len().to_string().into(),
        (fields.len() / 2).to_string().into(),
        mode.into(),
        drop_front.to_string().into(),
        record.last_active_at.map_or_else(|| Value::from(""), millis),
        random::name()?.into(),
        retention.into(),
        audit.len().to_string().into(),
        audit.first().map_or_else(|| "".into(), |entry| millis(entry.at)),
    ];
    for event in events {
        args.push(encode("event", event)?);
    }
    for message in append {
        args.push(encode("message", message)?);
    }
    args.extend(fields);
    for entry in audit {
        args.extend([entry.link.number.to_string().into(), encode("audit record", entry)?]);
    }
    Ok(args)
}

/// The fields of the session's hash that change, each with its value; an empty one goes.
fn fields(change: &RecordChange) -> Result<Vec<Value>, StoreError> {
    // The heartbeat goes by its own way, since it is never set back.
    let RecordChange { last_active_at: _, sandbox, workspace, checkpoint, busy, model, own_key, title } = change;
    let mut fields = Vec::new();
    let mut set = |name: &'static str, value: Value| fields.extend([Value::from_static_str(name), value]);
    if let Some(sandbox) = sandbox {
        set(field::SANDBOX, sandbox.as_ref().map_or_else(|| Ok("".into()), |sandbox| encode("sandbox", sandbox))?);
    }
    if let Some(workspace) = workspace {
        set(field::WORKSPACE, encode("workspace", workspace)?);
    }
    if let Some((state, through)) = checkpoint {
        set(field::STATE, encode("state", state)?);
        set(field::CHECKPOINT, through.to_string().into());
    }
    if let Some(busy) = busy {
        set(field::BUSY, flag(*busy));
    }
    if let Some(model) = model {
        set(field::MODEL, encode("model", model)?);
    }
    if let Some(own_key) = own_key {
        set(field::OWN_KEY, flag(*own_key));
    }
    if let Some(title) = title {
        set(field::TITLE, encode("title", title)?);
    }
    Ok(fields)
}

impl RedisStore {
    pub(crate) async fn commit_step(&self, id: &SessionId, commit: &Commit) -> Result<Committed, StoreError> {
        let end = check(commit)?;
        let audit: Vec<_> = commit.events.iter().filter_map(AuditEntry::of).collect();
        let args = arguments(commit, end, &self.shared.retention, &audit)?;
        let connection = &self.shared.connection;
        if matches!(commit.record.sandbox, Some(Some(_))) {
            indexes::affirm(connection, keys::IDLE, id).await?;
        }
        if commit.record.busy == Some(true) {
            indexes::affirm(connection, keys::BUSY, id).await?;
        }
        if !audit.is_empty() {
            self.index_audit(id).await?;
        }
        let (keys, used) = (SessionKeys::of(id), commit.record.last_active_at);
        let step = || self.on_session(&script::COMMIT, &keys, args.clone());
        let mut reply = self.with_use(id, used, step()).await?;
        if &*reply.word == b"BEHIND" {
            let before = audit.first().map_or(0, |entry| entry.link.number.saturating_sub(1));
            self.audit_missing(id, before).await?;
            reply = self.with_use(id, used, step()).await?;
        }
        let committed = match &*reply.word {
            b"OK" => Committed::Written,
            b"BEFORE" => Committed::Before,
            b"SUPERSEDED" => return Ok(Committed::Superseded),
            b"FENCED" => return Err(StoreError::Fenced),
            b"CONFLICT" => {
                return Err(StoreError::Conflict { expected: commit.after, found: Seq::new(reply.number()?) });
            }
            _ => return Err(reply.unknown()),
        };
        self.learn_owner(id, used, &mut reply).await?;
        Ok(committed)
    }

    pub(crate) async fn trim_log(&self, id: &SessionId, epoch: Epoch, through: Seq) -> Result<(), StoreError> {
        self.audit_before_removal(id, false).await?;
        let keys = SessionKeys::of(id);
        let args = vec![epoch.to_string().into(), through.to_string().into()];
        let reply = self.shared.connection.run(&script::TRIM, &[&keys.session, &keys.log], args).await?;
        let reply = crate::reply::Reply::of(reply)?;
        match &*reply.word {
            b"OK" => Ok(()),
            b"FENCED" => Err(StoreError::Fenced),
            _ => Err(reply.unknown()),
        }
    }
}
