//! What the server does for the audit while it runs: its retention, and the file that its records are written to besides.

use crate::{config::Audit, reload::Hangups};
use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use lockkeeper_domain::Timestamp;
use lockkeeper_ports::{AuditCursor, AuditRemoval, AuditedEntry, Clock, SessionStore};
use lockkeeper_telemetry::Telemetry;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{task::spawn_blocking, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// How often old records are removed.
const PERIOD: Duration = Duration::from_mins(10);
/// How long a sink rests after a failure.
const PAUSE: Duration = Duration::from_secs(5);
/// How many records one write takes.
const BATCH: usize = 256;

/// Removes records beyond the bounds of `config`, now and in each period, until `stop`.
pub(crate) async fn retain(
    store: Arc<dyn SessionStore>,
    clock: Arc<dyn Clock>,
    (days, max_bytes): (u32, u64),
    stop: CancellationToken,
) {
    let age = Duration::from_hours(24).saturating_mul(days);
    let mut period = tokio::time::interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(period.tick()).await.is_some() {
        match store.remove_audit(clock.now().before(age), max_bytes).await {
            Ok(AuditRemoval { by_age, by_size, bytes }) => {
                if by_size > 0 {
                    let records = by_size;
                    tracing::warn!(
                        records,
                        bytes,
                        max_bytes,
                        "the oldest audit records were removed for `audit.max_bytes`"
                    );
                }
                if by_age > 0 {
                    tracing::info!(records = by_age, days, "audit records were removed for `audit.retention_days`");
                }
            }
            Err(error) => tracing::warn!(%error, "failed to remove old audit records"),
        }
    }
}

/// Writes the records of the audit to a file.
pub(crate) struct Sink {
    pub(crate) path: PathBuf,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) telemetry: Arc<Telemetry>,
    pub(crate) hangups: Hangups,
}

/// Why a sink begins again.
enum Again {
    Hangup,
    Stop,
}

impl Sink {
    /// The sink that the configuration names.
    pub(crate) fn of(
        config: &Audit,
        store: Arc<dyn SessionStore>,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
        hangups: Hangups,
    ) -> Option<Self> {
        let path = config.sink.clone()?;
        Some(Self { path, store, clock, telemetry, hangups })
    }

    /// Writes records until `stop`. After a failure it goes on from the last cursor that was stored, so a record may be written twice.
    pub(crate) async fn write(mut self, stop: CancellationToken) {
        loop {
            match self.write_on(&stop).await {
                Ok(Again::Hangup) => tracing::info!("the sink of the audit is opened again"),
                Ok(Again::Stop) => return,
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(error, "failed to write to the sink of the audit; it is tried again");
                    if stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    async fn write_on(&mut self, stop: &CancellationToken) -> Result<Again> {
        let path = self.path.clone();
        let (mut file, cursor) = spawn_blocking(move || open(&path)).await??;
        let mut records = self.store.follow_audit(cursor).await?.ready_chunks(BATCH);
        loop {
            let batch = tokio::select! {
                () = stop.cancelled() => return Ok(Again::Stop),
                () = self.hangups.next() => return Ok(Again::Hangup),
                batch = records.next() => batch.context("the stream of the audit has ended")?,
            };
            let (mut whole, mut failure) = (Vec::new(), None);
            for record in batch {
                match record {
                    Ok(record) if failure.is_none() => whole.push(record),
                    Ok(_) => {}
                    Err(error) => failure = Some(error),
                }
            }
            self.tell_lag(whole.iter().map(|record| record.entry.at).min());
            let path = self.path.clone();
            file = spawn_blocking(move || append(file, &path, &whole)).await??;
            if let Some(error) = failure {
                return Err(error.into());
            }
        }
    }

    fn tell_lag(&self, oldest: Option<Timestamp>) {
        if let Some(oldest) = oldest {
            let lag = self.clock.now().as_millis().saturating_sub(oldest.as_millis());
            self.telemetry.audit_lag(Duration::from_millis(u64::try_from(lag).unwrap_or_default()));
        }
    }
}

fn cursor_file(path: &Path) -> PathBuf {
    path.with_added_extension("cursor")
}

/// Opens the file for appending, and reads how far it was written.
fn open(path: &Path) -> Result<(File, Option<AuditCursor>)> {
    let at = || format!("cannot open {}", path.display());
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).with_context(at)?;
    // A crash may have cut the last line off. Its record comes again.
    if file.seek(SeekFrom::End(0)).with_context(at)? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).with_context(at)?;
        if last != *b"\n" {
            file.write_all(b"\n").with_context(at)?;
        }
    }
    let cursor = match fs::read_to_string(cursor_file(path)) {
        Ok(text) => {
            Some(text.trim_end().parse().with_context(|| format!("{} holds no cursor", cursor_file(path).display()))?)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", cursor_file(path).display())),
    };
    Ok((file, cursor))
}

/// Writes the records, and then how far they go: what is in between when the server dies is written again.
fn append(mut file: File, path: &Path, records: &[AuditedEntry]) -> Result<File> {
    let Some(last) = records.last() else { return Ok(file) };
    let mut text = Vec::new();
    for record in records {
        serde_json::to_writer(&mut text, record)?;
        text.push(b'\n');
    }
    let at = || format!("cannot write to {}", path.display());
    file.write_all(&text).and_then(|()| file.sync_data()).with_context(at)?;
    let (cursor, new) = (cursor_file(path), path.with_added_extension("cursor.new"));
    let written = File::create(&new).and_then(|mut file| {
        writeln!(file, "{}", last.cursor)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&new, &cursor)).with_context(|| format!("cannot write {}", cursor.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_a_crash_cut_off_is_ended() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.jsonl");
        fs::write(&path, "{\"half").expect("written");
        let (mut file, cursor) = open(&path).expect("opened");
        assert_eq!(cursor, None);
        file.write_all(b"{}\n").expect("written");
        assert_eq!(fs::read_to_string(&path).expect("read"), "{\"half\n{}\n");
        fs::write(cursor_file(&path), "7-1\n").expect("written");
        assert_eq!(open(&path).expect("opened").1, Some(AuditCursor { major: 7, minor: 1 }));
        fs::write(cursor_file(&path), "seven").expect("written");
        assert!(open(&path).is_err());
    }
}
