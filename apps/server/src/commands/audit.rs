//! `lockkeeper audit`.

use super::{
    loaded, log_quietly,
    sessions::{client, stop},
};
use crate::{
    beacon,
    bootstrap::{known_audit_key, open_for_reading},
    cli::{AuditCommand, Cli},
    clock::SystemClock,
    exit::Stop,
    lifecycle::Signals,
    logging,
};
use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use lockkeeper_domain::{AuditKey, AuditLog, Flaw, SessionId, Verified};
use lockkeeper_orchestrator::{trail, whole_log};
use lockkeeper_ports::{AuditCursor, AuditEntry, Clock as _, KeptAudit, SessionStore};
use std::{collections::BTreeMap, fs, io::Write as _, path::Path, process::ExitCode};

/// Exports or checks an audit.
pub(crate) async fn audit(cli: &Cli, command: &AuditCommand) -> Result<ExitCode, Stop> {
    match command {
        AuditCommand::Export { follow: true, after, .. } => follow(cli, *after).await,
        AuditCommand::Export { session: None, .. } => {
            Err(anyhow::anyhow!("name a session, or follow all of them with --follow").into())
        }
        AuditCommand::Export { session: Some(session), out, born, .. } => {
            export(cli, session, out.as_deref(), born.as_deref()).await
        }
        AuditCommand::Verify { file, key_file, chain_only, unmarked_through } => {
            let key = if *chain_only { None } else { Some(key(cli, key_file.as_deref()).await?) };
            Ok(verify(file, key.as_ref(), *unmarked_through)?)
        }
    }
}

async fn export(cli: &Cli, session: &str, out: Option<&Path>, born: Option<&str>) -> Result<ExitCode, Stop> {
    let mut loaded = loaded(cli)?;
    log_quietly(&mut loaded);
    if !loaded.problems.is_empty() {
        return Err(Stop::Configuration(loaded.problems));
    }
    logging::start(&loaded.config.log)?;
    let session = SessionId::parse(session).map_err(anyhow::Error::from)?;
    let key = known_audit_key(&loaded.config).await?;
    // An embedded store is open to one process at a time: the server that has it is asked.
    let (log, notes) = if beacon::find(&loaded).await.is_some() {
        if born.is_some() {
            return Err(
                anyhow::anyhow!("a server has the store: end it to export the audit of an earlier session").into()
            );
        }
        let client = client(&loaded, None, None).await?;
        let text = client.audit(session.as_str()).await.map_err(stop)?;
        (AuditLog::parse(&text).context("the server's audit cannot be read")?, Vec::new())
    } else {
        let store = open_for_reading(loaded).await.map_err(|error| Stop::Unavailable(vec![error]))?;
        read(&*store, session, born, key.as_ref()).await?
    };
    match out {
        None => std::io::stdout().write_all(log.to_text().as_bytes())?,
        Some(path) => {
            let file = fs::File::create_new(path);
            let mut file = file.with_context(|| format!("cannot make {}", path.display()))?;
            file.write_all(log.to_text().as_bytes())?;
            file.sync_all()?;
            println!("{}: {} records", path.display(), log.entries.len());
        }
    }
    for note in notes {
        eprintln!("lockkeeper: note: {note}");
    }
    if key.is_none() {
        eprintln!("lockkeeper: note: there is no audit key yet, so nothing says who wrote this audit");
    }
    match log.verify(key.as_ref()) {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(flaw) => {
            eprintln!("lockkeeper: the log in the store was changed: {flaw}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// Writes the records of all sessions as JSON lines, and those to come, until it is ended or its reader goes.
async fn follow(cli: &Cli, after: Option<AuditCursor>) -> Result<ExitCode, Stop> {
    let mut loaded = loaded(cli)?;
    log_quietly(&mut loaded);
    if !loaded.problems.is_empty() {
        return Err(Stop::Configuration(loaded.problems));
    }
    logging::start(&loaded.config.log)?;
    let store = open_for_reading(loaded).await.map_err(|error| Stop::Unavailable(vec![error]))?;
    let mut records = store.follow_audit(after).await.map_err(anyhow::Error::from)?;
    let mut signals = Signals::take().map_err(anyhow::Error::from)?;
    loop {
        let record = tokio::select! {
            _ = signals.next() => return Ok(ExitCode::SUCCESS),
            record = records.next() => record.context("the stream of the audit has ended")?,
        };
        let mut line = serde_json::to_vec(&record.map_err(anyhow::Error::from)?).map_err(anyhow::Error::from)?;
        line.push(b'\n');
        let mut out = std::io::stdout().lock();
        match out.write_all(&line).and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            written => written.map_err(anyhow::Error::from)?,
        }
    }
}

/// The audit of a session, out of the trail and the log, and what an auditor should know of it.
async fn read(
    store: &dyn SessionStore,
    session: SessionId,
    born: Option<&str>,
    key: Option<&AuditKey>,
) -> Result<(AuditLog, Vec<String>)> {
    let record = store.get(&session).await?;
    // The log first: what is trimmed meanwhile is in the trail by then.
    let events = whole_log(store, &session).await?;
    let mut kept = store.audits(&session).await?;
    let position = match born {
        Some(born) => kept.iter().position(|audit| audit.born == born),
        None => kept.iter().rposition(|audit| audit.is_stored || record.is_none()),
    };
    let chosen = position.map(|position| kept.remove(position));
    let is_stored = chosen.as_ref().map_or(born.is_none(), |audit| audit.is_stored);
    let record = record.filter(|_| is_stored);
    let owner = match (&chosen, &record) {
        (Some(audit), _) => audit.owner.clone(),
        (None, Some(record)) => record.owner.clone(),
        (None, None) => bail!("the store has neither the session {session} nor an audit of it"),
    };
    let mut entries = match &chosen {
        Some(audit) => trail(store, &session, &audit.born).await?,
        None => BTreeMap::new(),
    };
    if is_stored {
        entries.extend(events.iter().filter_map(AuditEntry::of).map(|entry| (entry.link.number, entry)));
    }
    let notes = notes(chosen.as_ref(), &kept, entries.keys().next().copied());
    let last = entries.values().next_back().map(|entry| entry.link.into());
    let head = record.map(|record| record.state.audit_head()).or(last).unwrap_or_default();
    let entries = entries.into_values().collect();
    Ok((AuditLog::of_entries(session, owner, entries, head, SystemClock.now(), key), notes))
}

/// What is missing, and what other audits there are.
fn notes(chosen: Option<&KeptAudit>, others: &[KeptAudit], first: Option<u64>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(audit) = chosen {
        let gone = first.map_or(audit.removed, |first| first - 1);
        if gone > 0 {
            let for_size = audit.removed_for_size.min(gone);
            let why = match for_size {
                0 => "`audit.retention_days`".to_owned(),
                all if all == gone => "`audit.max_bytes`".to_owned(),
                some => format!("`audit.max_bytes` (up to {some}) and `audit.retention_days`"),
            };
            notes.push(format!("the records up to {gone} are not kept any more, because of {why}"));
        }
        if !audit.is_stored {
            notes.push("the session was deleted or has expired; this is its audit".to_owned());
        }
    }
    for audit in others {
        let KeptAudit { born, owner, last, .. } = audit;
        notes.push(format!("an audit of another session by this id, of {owner}, with {last} records: --born {born}"));
    }
    notes
}

/// The key in the file, else that of the configuration.
async fn key(cli: &Cli, file: Option<&Path>) -> Result<AuditKey, Stop> {
    let Some(path) = file else {
        let key = known_audit_key(&loaded(cli)?.config).await?;
        let hint = "there is no key: set `store.audit_key`, name a file with --key-file, or check with --chain-only that it is whole";
        return Ok(key.context(hint)?);
    };
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let key = AuditKey::new(text.trim_end().as_bytes());
    Ok(key.with_context(|| format!("the key in {} is shorter than {} bytes", path.display(), AuditKey::MIN_BYTES))?)
}

fn verify(file: &Path, key: Option<&AuditKey>, unmarked: u64) -> Result<ExitCode> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    match AuditLog::parse(&text).and_then(|log| log.verify_marked_after(unmarked, key)) {
        Ok(found) => {
            println!("{}", in_words(&found));
            if unmarked > found.anchor.number {
                println!("nothing proves who wrote the records up to {unmarked}: they may bear no mark");
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(flaw) => {
            eprintln!("lockkeeper: {}: {flaw}", file.display());
            if matches!(flaw, Flaw::Unmarked(_) | Flaw::Unsealed) {
                eprintln!("lockkeeper: is this the key of the server that wrote it?");
                eprintln!(
                    "lockkeeper: if records are older than the key, name the last of them with --unmarked-through"
                );
            }
            Ok(ExitCode::FAILURE)
        }
    }
}

fn in_words(found: &Verified) -> String {
    let Verified { entries, anchor, head, under_key } = found;
    let from = match anchor.number {
        0 => "from the first one on".to_owned(),
        trimmed => format!("after the {trimmed} that are not kept any more ({})", anchor.hash.fingerprint()),
    };
    let by = if *under_key { "written under this key" } else { "whoever wrote them: no key was used" };
    format!("in order: {entries} records, {from}, up to {} ({}), {by}", head.number, head.hash)
}
