mod contents;
mod removal;
mod sandbox_dir;

use crate::config::Config;
use lockkeeper_domain::{Epoch, SessionId, Timestamp};
use lockkeeper_ports::{SandboxId, SandboxSpec, SandboxSummary};
use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
    mount::UnmountFlags,
};
pub(crate) use sandbox_dir::SandboxDir;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// A sandbox's directory has its id as its name, with one of these while it comes and goes.
const SUFFIXES: [&str; 3] = ["", ".new", ".removing"];
const NOTE: &str = "sandbox.json";

/// The directory in which the sandboxes' directories lie.
#[derive(Clone, Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
}

/// What is written down of a sandbox, so that later server processes know it.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    session: SessionId,
    epoch: Epoch,
    created_at: Timestamp,
    uid: Option<u32>,
}

/// Sandboxes' names are digests: nothing that a client sends becomes part of a path.
pub(crate) fn id_of(spec: &SandboxSpec) -> SandboxId {
    use std::fmt::Write;
    let mut digest = Sha256::new();
    digest.update(spec.session.as_str());
    digest.update([0]);
    digest.update(spec.epoch.get().to_be_bytes());
    let hex = digest.finalize().iter().take(16).fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a string takes everything");
        hex
    });
    SandboxId::new(hex)
}

impl StateDir {
    /// Makes the directory, or checks that nobody else can have prepared it.
    pub(crate) fn open(path: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("state_dir {}: {error}", path.display());
        if !path.exists() {
            fs::create_dir_all(path).and_then(|()| contents::permit(path, 0o711)).map_err(failed)?;
        }
        let path = fs::canonicalize(path).map_err(failed)?;
        let found = fs::metadata(&path).map_err(failed)?;
        let owner = rustix::process::geteuid().as_raw();
        if found.uid() != owner || found.mode() & 0o022 != 0 {
            return Err(format!(
                "state_dir {} must belong to user {owner} and be writable by nobody else",
                path.display()
            ));
        }
        Ok(Self { path })
    }

    /// A name for the sandbox that no sandbox of another state directory has, be it for the same session.
    pub(crate) fn unique(&self, id: &SandboxId) -> String {
        let digest = Sha256::digest(self.path.as_os_str().as_encoded_bytes());
        digest.iter().take(4).fold(id.to_string(), |name, byte| format!("{name}-{byte:02x}"))
    }

    /// The sandbox's directory, if there is such a sandbox.
    pub(crate) fn find(&self, id: &SandboxId) -> Option<SandboxDir> {
        let path = self.path_of(id)?;
        let note = read_note(&path)?;
        Some(SandboxDir { path, uid: note.uid })
    }

    /// Makes a sandbox's directory, all of it or nothing.
    pub(crate) fn create(
        &self,
        spec: &SandboxSpec,
        created_at: Timestamp,
        uid: Option<u32>,
        workspace_in_memory: Option<&Config>,
    ) -> io::Result<SandboxDir> {
        let id = id_of(spec);
        let path = self.path.join(format!("{id}.new"));
        remove_dir(&path)?;
        let note = Note { session: spec.session.clone(), epoch: spec.epoch, created_at, uid };
        let made = contents::fill(&path, &note, workspace_in_memory)
            .and_then(|()| fs::rename(&path, self.path.join(id.as_str())));
        if let Err(error) = made {
            drop(remove_dir(&path));
            return Err(error);
        }
        Ok(SandboxDir { path: self.path.join(id.as_str()), uid })
    }

    /// All sandboxes, those included whose coming or going was cut short.
    pub(crate) fn list(&self) -> io::Result<Vec<SandboxSummary>> {
        let mut found: Vec<SandboxSummary> = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let id = SandboxId::new(name.to_string_lossy().split('.').next().unwrap_or_default());
            if self.path_of(&id).is_none() || found.iter().any(|other| other.id == id) {
                continue;
            }
            if let Some(note) = read_note(&self.path.join(&name)) {
                found.push(SandboxSummary {
                    id,
                    session: note.session,
                    epoch: note.epoch,
                    created_at: note.created_at,
                });
            }
        }
        Ok(found)
    }

    /// The users of all sandboxes.
    pub(crate) fn uids(&self) -> io::Result<Vec<u32>> {
        let entries = fs::read_dir(&self.path)?;
        Ok(entries.flatten().filter_map(|entry| read_note(&entry.path())?.uid).collect())
    }

    /// Bars the sandbox's door, ends its commands and waits until they have ended, whichever process started them.
    pub(crate) fn close(&self, id: &SandboxId, deadline: Duration) -> io::Result<()> {
        let Some(path) = self.path_of(id) else { return Ok(()) };
        let going = self.path.join(format!("{id}.removing"));
        match fs::rename(&path, &going) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTEMPTY | libc::EEXIST)) => {
                // Another one of the same name went, and was not finished.
                remove_dir(&going)?;
                fs::rename(&path, &going)?;
            }
            renamed => renamed?,
        }
        let end = Instant::now() + deadline;
        while ring(&going)? {
            if Instant::now() > end {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "its processes do not end"));
            }
            // A supervisor leaves when everything under it is dead, and nothing tells when the last has left.
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Removes what [`Self::close`] has closed.
    pub(crate) fn remove(&self, id: &SandboxId) -> io::Result<()> {
        if self.path_of(id).is_some() {
            for suffix in SUFFIXES.iter().filter(|suffix| !suffix.is_empty()) {
                remove_dir(&self.path.join(format!("{id}{suffix}")))?;
            }
        }
        Ok(())
    }

    fn path_of(&self, id: &SandboxId) -> Option<PathBuf> {
        let text = id.as_str();
        let valid = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        valid.then(|| self.path.join(text))
    }
}

fn read_note(path: &Path) -> Option<Note> {
    serde_json::from_slice(&fs::read(path.join(NOTE)).ok()?).ok()
}

fn ring(path: &Path) -> io::Result<bool> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    match rustix::fs::open(path.join("fence"), flags, Mode::empty()) {
        // Closing it is what the readers notice.
        Ok(writer) => {
            drop(writer);
            Ok(true)
        }
        Err(Errno::NXIO | Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn remove_dir(path: &Path) -> io::Result<()> {
    match rustix::mount::unmount(path.join("workspace"), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // It is not mounted, does not exist, or this process never could have mounted anything.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    removal::remove_all(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(session: &str, epoch: u64) -> SandboxSpec {
        SandboxSpec { session: SessionId::parse(session).expect("a session id"), epoch: Epoch::new(epoch) }
    }

    fn state() -> (tempfile::TempDir, StateDir) {
        let directory = tempfile::tempdir().expect("a directory");
        let state = StateDir::open(&directory.path().join("state")).expect("a state directory");
        (directory, state)
    }

    #[test]
    fn the_name_depends_on_session_and_epoch_and_is_no_path() {
        let names = [id_of(&spec("a", 1)), id_of(&spec("a", 2)), id_of(&spec("a1", 1))];
        assert_eq!(names.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
        assert!(names.iter().all(|name| name.as_str().bytes().all(|byte| byte.is_ascii_hexdigit())));
    }

    #[test]
    fn an_id_that_was_never_handed_out_is_no_sandbox() {
        let (_keep, state) = state();
        for id in ["", "..", "../../etc", "0123456789ABCDEF0123456789abcdef", "/etc"] {
            assert!(state.find(&SandboxId::new(id)).is_none(), "{id}");
            state.close(&SandboxId::new(id), Duration::ZERO).expect("idempotent");
            state.remove(&SandboxId::new(id)).expect("idempotent");
        }
    }

    #[test]
    fn what_was_cut_short_is_still_listed_and_goes_away() {
        let (_keep, state) = state();
        let (id, at) = (id_of(&spec("a", 7)), Timestamp::from_millis(5));
        state.create(&spec("a", 7), at, None, None).expect("create");
        state.close(&id, Duration::ZERO).expect("close");
        assert!(state.find(&id).is_none());
        let listed = state.list().expect("list");
        let session = spec("a", 7).session;
        assert_eq!(listed, [SandboxSummary { id: id.clone(), session, epoch: Epoch::new(7), created_at: at }]);
        state.remove(&id).expect("remove");
        assert_eq!(state.list().expect("list"), []);
    }

    /// The removal is put before all else, so that a start under the same lease never finds what is left.
    #[test]
    fn sandbox_whose_removal_timed_out_is_not_found_again() {
        let (_keep, state) = state();
        let (id, at) = (id_of(&spec("a", 7)), Timestamp::from_millis(5));
        let old = state.create(&spec("a", 7), at, None, None).expect("create");
        fs::write(old.workspace().join("file"), "old").expect("write");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let stubborn = rustix::fs::open(old.fence(), flags, Mode::empty()).expect("a supervisor that stays");
        let error = state.close(&id, Duration::ZERO).expect_err("it does not leave");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(state.find(&id).is_none());
        let fresh = state.create(&spec("a", 7), at, None, None).expect("create");
        assert!(!fresh.workspace().join("file").exists());
        drop(stubborn);
        state.close(&id, Duration::ZERO).expect("close");
        state.remove(&id).expect("remove");
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        contents::permit(directory.path(), 0o777).expect("chmod");
        assert!(StateDir::open(directory.path()).expect_err("refused").contains("writable by nobody else"));
    }
}
