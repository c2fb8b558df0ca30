//! What is read anew while the server runs: at a SIGHUP, and when a file has changed.

use crate::lifecycle::Lifecycle;
use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    time::{MissedTickBehavior, interval},
};

/// Tells of each SIGHUP. Clones are told by themselves.
#[derive(Clone, Debug)]
pub(crate) struct Hangups(watch::Receiver<u64>);

impl Hangups {
    /// Takes SIGHUP from now on: it ends the process no more.
    pub(crate) fn take(lifecycle: &Lifecycle) -> io::Result<Self> {
        let mut hangup = signal(SignalKind::hangup())?;
        let (teller, told) = watch::channel(0);
        let soft = lifecycle.soft.clone();
        lifecycle.spawn(async move {
            while soft.run_until_cancelled(hangup.recv()).await.flatten().is_some() {
                tracing::info!("SIGHUP: what can be read anew is");
                teller.send_modify(|count| *count += 1);
            }
        });
        Ok(Self(told))
    }

    /// Leaves SIGHUP alone: a server of a terminal ends with it.
    pub(crate) fn none() -> Self {
        Self(watch::channel(0).1)
    }

    /// The next one.
    pub(crate) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// What of a file is compared. Editors write a new file in its place, and mounts of configurations change a link.
type Stamp = Option<(u64, u64, SystemTime)>;

/// Something that is read from files and can be read again.
#[derive(Debug)]
pub(crate) struct Source {
    hangups: Hangups,
    paths: Vec<PathBuf>,
    /// What each file was before it was read last; `None` of one that may have changed since it was read.
    seen: Vec<Option<Stamp>>,
    period: Duration,
}

impl Source {
    /// These files, or nothing but SIGHUP. They are looked at once in a `period`; never if that is zero. What was read of
    /// them before this may be older than they are now, so that they are read once more.
    pub(crate) fn new(hangups: Hangups, paths: impl IntoIterator<Item = PathBuf>, period: Duration) -> Self {
        let mut source = Self { hangups, paths: Vec::new(), seen: Vec::new(), period };
        source.look_at(paths);
        source
    }

    /// From now on it is these files. One that was among them before counts as read when [`is_new`](Self::is_new)
    /// returned; another one has yet to be read.
    pub(crate) fn look_at(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        let paths: Vec<_> = paths.into_iter().collect();
        let known = |path: &PathBuf| self.paths.iter().position(|known| known == path);
        let seen = paths.iter().map(|path| self.seen.get(known(path)?).copied().flatten()).collect();
        (self.paths, self.seen) = (paths, seen);
    }

    /// Waits until it is to be read: at once after a SIGHUP; after a change when the files have rested for a period, so that one that
    /// is being written is not read by half.
    pub(crate) async fn is_new(&mut self) {
        let Self { hangups, paths, seen, period } = self;
        let changed = async {
            if period.is_zero() || paths.is_empty() {
                return std::future::pending().await;
            }
            let mut look = interval(*period);
            look.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut before = None;
            loop {
                look.tick().await;
                let now = stamps(paths);
                let is_read = now.iter().copied().map(Some).eq(seen.iter().copied());
                if !is_read && before.as_ref() == Some(&now) {
                    return now;
                }
                before = Some(now);
            }
        };
        // Taken before the files are read: what is written meanwhile counts as a change.
        let stamps = tokio::select! {
            () = hangups.next() => stamps(paths),
            now = changed => now,
        };
        *seen = stamps.into_iter().map(Some).collect();
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    paths.iter().map(|path| stamp(path)).collect()
}

fn stamp(path: &Path) -> Stamp {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.len(), file.modified().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, timeout};

    const PERIOD: Duration = Duration::from_secs(2);

    #[tokio::test(start_paused = true)]
    async fn a_change_is_told_once_the_file_rests() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p.toml");
        let mut source = Source::new(Hangups::none(), Some(path.clone()), PERIOD);
        source.is_new().await;
        assert!(timeout(PERIOD * 10, source.is_new()).await.is_err(), "nothing has changed");
        fs::write(&path, "a").expect("written");
        let started = Instant::now();
        source.is_new().await;
        assert!(started.elapsed() >= PERIOD, "it was not looked at twice");
        assert!(timeout(PERIOD * 10, source.is_new()).await.is_err(), "it was told already");
        fs::write(folder.path().join("new"), "b").expect("written");
        fs::rename(folder.path().join("new"), &path).expect("moved");
        source.is_new().await;
        fs::remove_file(&path).expect("removed");
        source.is_new().await;
    }

    /// What is written after the files were read and before they are watched again is not taken for what was read.
    #[tokio::test(start_paused = true)]
    async fn change_while_the_file_is_read_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let [rules, others] = ["p.toml", "q.toml"].map(|name| folder.path().join(name));
        fs::write(&rules, "read at the start").expect("written");
        fs::write(&rules, "written before it was watched").expect("written");
        let mut source = Source::new(Hangups::none(), [rules.clone()], PERIOD);
        source.is_new().await;
        fs::write(&rules, "written while the one before was read").expect("written");
        source.look_at([rules.clone()]);
        timeout(PERIOD * 10, source.is_new()).await.expect("told");
        // The rules now lie in another file as well.
        source.look_at([rules.clone(), others.clone()]);
        timeout(PERIOD * 10, source.is_new()).await.expect("told");
        source.look_at([rules, others]);
        assert!(timeout(PERIOD * 10, source.is_new()).await.is_err(), "all of it was read");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_period_a_hangup_alone_counts() {
        let (teller, told) = watch::channel(0);
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("p.toml");
        let mut source = Source::new(Hangups(told), Some(path.clone()), Duration::ZERO);
        fs::write(&path, "a").expect("written");
        assert!(timeout(PERIOD * 10, source.is_new()).await.is_err());
        teller.send_replace(1);
        source.is_new().await;
        assert!(timeout(PERIOD * 10, source.is_new()).await.is_err());
    }
}
