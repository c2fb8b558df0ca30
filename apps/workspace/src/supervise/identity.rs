//! What keeps the MCP servers of one container apart, as far as their supervisors can: each server has a user of its own,
//! a home that only this user can enter, and a Landlock domain of its own. They share the workspace through a group.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use landlock::{ABI, Access as _, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, Scope};
use rustix::{
    fs::{Mode, access},
    process::{getegid, geteuid, getgroups, umask},
};

/// Files that a server makes are open to its group: in the workspace, where directories pass on their group, that is
/// every server of the session; elsewhere it is the server alone.
const UMASK: Mode = Mode::RWXO;
/// The part of a mode that others than the owner have.
const OTHERS: u32 = 0o077;
const SET_GROUP: u32 = 0o2000;
/// How long the holder, which starts with the container, may take to prepare the working directory.
const PREPARED: Duration = Duration::from_secs(2);
/// Between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Debug, clap::Args)]
pub(crate) struct IdentityArgs {
    /// The home of the command: made if it is missing, and refused unless it is this user's alone.
    #[arg(long, value_name = "DIR", requires = "group")]
    home: Option<PathBuf>,
    /// The group that shares the working directory.
    #[arg(long, value_name = "ID", requires = "home")]
    group: Option<u32>,
}

impl IdentityArgs {
    /// Prepares the home and the working directory; the error is for the operator.
    pub(super) fn prepare(&self) -> Result<(), String> {
        let (Some(home), Some(group)) = (&self.home, self.group) else { return Ok(()) };
        umask(UMASK);
        make_private(home)?;
        make_private(&home.join("tmp"))?;
        let until = Instant::now() + PREPARED;
        loop {
            match check_shared(Path::new("."), group) {
                Err(_) if Instant::now() < until => std::thread::sleep(LOOK),
                checked => return checked,
            }
        }
    }

    /// Starts the command, in a Landlock domain of its own where it has an identity of its own.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        if self.home.is_none() {
            return command.spawn();
        }
        // Landlock binds a thread and what it starts. This process must go on signalling the command.
        std::thread::scope(|scope| {
            let confined = std::thread::Builder::new().spawn_scoped(scope, || {
                confine()?;
                command.spawn()
            });
            confined?.join().unwrap_or_else(|_| Err(io::Error::other("the command's thread panicked")))
        })
    }
}

fn make_private(path: &Path) -> Result<(), String> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(format!("its directory {} cannot be made: {error}", path.display())),
    }
    // Not through a link, which another server could have put there.
    let found = fs::symlink_metadata(path).map_err(|error| format!("its directory {}: {error}", path.display()))?;
    if found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & OTHERS == 0 {
        return Ok(());
    }
    Err(format!(
        "its directory {} is not its own (mode {:o}, owner {}): another MCP server of the session may have made it",
        path.display(),
        found.mode() & 0o7777,
        found.uid()
    ))
}

/// Whether what one server writes there can be read and written by the others.
fn check_shared(workspace: &Path, group: u32) -> Result<(), String> {
    let found = fs::metadata(workspace).map_err(|error| format!("its working directory: {error}"))?;
    let passes_on = found.mode() & SET_GROUP != 0 && found.gid() == group;
    let is_member = getgroups().is_ok_and(|groups| groups.iter().any(|one| one.as_raw() == group));
    let writable = access(workspace, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok();
    if writable && (getegid().as_raw() == group || passes_on && is_member) {
        return Ok(());
    }
    Err(format!(
        "the workspace has mode {:o} and group {}, and the session's MCP servers cannot share it: give /workspace mode \
         0777 in the image, or build the image again with `lockkeeper image build`",
        found.mode() & 0o7777,
        found.gid()
    ))
}

/// Keeps signals and connections to abstract Unix sockets inside of this thread's domain, where the kernel can (6.12).
fn confine() -> io::Result<()> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::from_all(ABI::V6))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    ruleset.map(drop).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_home_is_made_private_and_kept() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let home = folder.path().join("home");
        for _ in 0..2 {
            make_private(&home).expect("its own");
            assert_eq!(fs::metadata(&home).expect("made").mode() & 0o777, 0o700);
        }
    }

    #[test]
    fn a_home_that_others_can_enter_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (open, link) = (folder.path().join("open"), folder.path().join("link"));
        fs::create_dir(&open).expect("made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o701)).expect("changed");
        symlink(folder.path(), &link).expect("linked");
        for path in [open, link] {
            let error = make_private(&path).expect_err("not its own");
            assert!(error.contains("is not its own"), "{error}");
        }
    }

    #[test]
    fn a_workspace_that_is_not_shared_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let own = getegid().as_raw();
        check_shared(folder.path(), own).expect("the primary group shares it");
        let error = check_shared(folder.path(), own + 1).expect_err("nobody shares it");
        assert!(error.contains("mode 0777") && error.contains("lockkeeper image build"), "{error}");
    }
}
