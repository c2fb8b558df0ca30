//! The logs of sessions: out of the store, or out of a file.

use crate::{
    bootstrap,
    config::{AuthMode, Config, Loaded, StoreKind},
    exit::Stop,
};
use anyhow::{Context as _, Result, bail};
use lockkeeper_domain::{Event, PrincipalId, Seq, SessionId};
use lockkeeper_ports::{SessionStore, StoreError};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{BufRead as _, BufReader, BufWriter, Write as _},
    path::Path,
};

/// How many sessions of a user are read, the last used first.
const SESSIONS: usize = 10_000;

/// What is kept of a session's log.
#[derive(Debug, PartialEq)]
pub(super) struct Log {
    pub(super) session: SessionId,
    /// Whose session it is.
    pub(super) user: String,
    pub(super) events: Vec<Event>,
}

/// A line of a file of logs.
#[derive(Serialize, Deserialize)]
struct Line {
    session: SessionId,
    user: String,
    event: Event,
}

/// The logs in a file: one JSON object in each line, `{"session": "..", "user": "..", "event": {..}}`, those of a session one after the
/// other.
pub(super) fn read(file: &Path) -> Result<Vec<Log>> {
    let open = File::open(file).with_context(|| format!("the logs in {} cannot be read", file.display()))?;
    let mut logs: Vec<Log> = Vec::new();
    for (number, line) in (1..).zip(BufReader::new(open).lines()) {
        let place = || format!("{}:{number} is no event of a log", file.display());
        let line = line.with_context(place)?;
        if line.trim().is_empty() {
            continue;
        }
        let Line { session, user, event } = serde_json::from_str(&line).with_context(place)?;
        match logs.last_mut().filter(|log| log.session == session && log.user == user) {
            Some(log) => log.events.push(event),
            None => logs.push(Log { session, user, events: vec![event] }),
        }
    }
    Ok(logs)
}

/// Writes logs as [`read`] reads them.
pub(super) fn write(file: &Path, logs: &[Log]) -> Result<()> {
    let context = || format!("{} cannot be written", file.display());
    let mut out = BufWriter::new(File::create(file).with_context(context)?);
    for Log { session, user, events } in logs {
        for event in events {
            let line = Line { session: session.clone(), user: user.clone(), event: event.clone() };
            serde_json::to_writer(&mut out, &line)?;
            out.write_all(b"\n").with_context(context)?;
        }
    }
    out.flush().with_context(context)
}

/// The logs of these users' sessions in the configured store; without any, of those whom the configuration names.
pub(super) async fn of_store(mut loaded: Loaded, users: &[String]) -> Result<Vec<Log>, Stop> {
    let store = &loaded.config.store;
    if store.kind == Some(StoreKind::Memory) {
        return Err(anyhow::anyhow!("the store in memory keeps nothing: give the logs by --log FILE").into());
    }
    let users = whom(&loaded.config, users)?;
    let path = store.embedded().path.unwrap_or_default();
    let is_file = store.kind == Some(StoreKind::Embedded) || (store.kind.is_none() && store.url.is_none());
    if is_file && !path.exists() {
        let what =
            anyhow::anyhow!("there is no store in {}: name another by --set, or logs by --log FILE", path.display());
        return Err(Stop::Unavailable(vec![what]));
    }
    let store = bootstrap::store(&mut loaded).await.map_err(|error| Stop::Unavailable(vec![error]))?;
    let mut logs = Vec::new();
    for user in users {
        for record in store.owned_by(&user, SESSIONS).await.map_err(unreadable)? {
            let events = log_of(&*store, &record.id).await.map_err(unreadable)?;
            logs.push(Log { session: record.id, user: user.as_str().to_owned(), events });
        }
    }
    Ok(logs)
}

fn whom(config: &Config, users: &[String]) -> Result<Vec<PrincipalId>> {
    let parse = |user: &String| PrincipalId::parse(user.as_str()).with_context(|| format!("`{user}` names nobody"));
    if !users.is_empty() {
        return users.iter().map(parse).collect();
    }
    match config.auth.mode() {
        AuthMode::None => Ok(vec![parse(&"local".to_owned())?]),
        AuthMode::Static => config.auth.tokens.keys().map(parse).collect(),
        AuthMode::Jwt | AuthMode::ProviderKey => {
            bail!("the configuration does not name its users: name those whose calls are to be played by --user NAME")
        }
    }
}

/// All that is kept of a log.
async fn log_of(store: &dyn SessionStore, id: &SessionId) -> Result<Vec<Event>, StoreError> {
    const BATCH: usize = 512;
    let (mut events, mut after) = (Vec::new(), Seq::default());
    loop {
        match store.read(id, after, BATCH).await {
            Ok(batch) => {
                let Some(last) = batch.last() else { return Ok(events) };
                after = last.id.seq;
                events.extend(batch);
            }
            // The beginning is not kept any more.
            Err(StoreError::Trimmed(kept)) if kept > after => after = kept,
            Err(error) => return Err(error),
        }
    }
}

fn unreadable(error: StoreError) -> Stop {
    Stop::Unavailable(vec![anyhow::Error::new(error).context("the store cannot be read")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_come_back_as_they_were_written_and_a_bad_line_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("logs.jsonl");
        let event = r#"{"id":"1-1","at":0,"body":{"type":"session_expired","reason":"idle"}}"#;
        let log = |session: &str, events: &str| Log {
            session: SessionId::parse(session).expect("an id"),
            ..super::super::made_up("ann", events)
        };
        let logs = [log("a", &format!("{event}\n{event}")), log("b", event)];
        write(&file, &logs).expect("written");
        assert_eq!(read(&file).expect("read"), logs);
        std::fs::write(&file, "\n{}\n").expect("written");
        assert!(format!("{:#}", read(&file).expect_err("no event")).contains("logs.jsonl:2"));
    }
}
