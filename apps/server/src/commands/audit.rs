//! `lockkeeper audit`.

use super::{loaded, log_quietly};
use crate::{
    bootstrap::{known_audit_key, open_for_reading},
    cli::{AuditCommand, Cli},
    clock::SystemClock,
    exit::Stop,
    logging,
};
use anyhow::{Context as _, Result};
use lockkeeper_domain::{AuditKey, AuditLog, Event, Flaw, Seq, SessionId, Verified};
use lockkeeper_ports::{Clock as _, SessionStore, StoreError};
use std::{fs, io::Write as _, path::Path, process::ExitCode};

/// How many events are read at once.
const BATCH: usize = 512;

/// Exports or checks an audit.
pub(crate) async fn audit(cli: &Cli, command: &AuditCommand) -> Result<ExitCode, Stop> {
    match command {
        AuditCommand::Export { session, out } => export(cli, session, out.as_deref()).await,
        AuditCommand::Verify { file, key_file, chain_only, unmarked_through } => {
            let key = if *chain_only { None } else { Some(key(cli, key_file.as_deref()).await?) };
            Ok(verify(file, key.as_ref(), *unmarked_through)?)
        }
    }
}

async fn export(cli: &Cli, session: &str, out: Option<&Path>) -> Result<ExitCode, Stop> {
    let mut loaded = loaded(cli)?;
    log_quietly(&mut loaded);
    if !loaded.problems.is_empty() {
        return Err(Stop::Configuration(loaded.problems));
    }
    logging::start(&loaded.config.log)?;
    let session = SessionId::parse(session).map_err(anyhow::Error::from)?;
    let key = known_audit_key(&loaded.config).await?;
    let store = open_for_reading(loaded).await.map_err(|error| Stop::Unavailable(vec![error]))?;
    let log = read(&*store, session, key.as_ref()).await?;
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

async fn read(store: &dyn SessionStore, session: SessionId, key: Option<&AuditKey>) -> Result<AuditLog> {
    let record = store.get(&session).await?.with_context(|| format!("the store has no session {session}"))?;
    let events = events(store, &session).await?;
    let head = record.state.audit_head();
    Ok(AuditLog::of(session, record.owner, &events, head, SystemClock.now(), key))
}

/// All events that are kept.
async fn events(store: &dyn SessionStore, session: &SessionId) -> Result<Vec<Event>> {
    let (mut events, mut after) = (Vec::new(), Seq::default());
    loop {
        match store.read(session, after, BATCH).await {
            Ok(batch) => {
                let Some(last) = batch.last() else { return Ok(events) };
                after = last.id.seq;
                events.extend(batch);
            }
            // A server that still writes may trim between two readings: what was read before is then older than what is kept.
            Err(StoreError::Trimmed(through)) => {
                events.clear();
                after = through;
            }
            Err(error) => return Err(error.into()),
        }
    }
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
        trimmed => format!("after the {trimmed} that the log does not keep any more ({})", anchor.hash.fingerprint()),
    };
    let by = if *under_key { "written under this key" } else { "whoever wrote them: no key was used" };
    format!("in order: {entries} records, {from}, up to {} ({}), {by}", head.number, head.hash)
}
