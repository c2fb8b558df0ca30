//! `run --home --group`: what a command finds that has a user of its own, and when it is not started.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::client::BINARY;

fn run(home: &Path, workspace: &Path, group: u32, script: &str) -> Output {
    Command::new(BINARY)
        .args(["run", "--grace-ms", "100", "--home"])
        .arg(home)
        .args(["--group", &group.to_string(), "--", "sh", "-c", script])
        .current_dir(workspace)
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Covers: S1-2
#[test]
fn a_home_is_made_and_the_umask_closes_files_to_others() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let (home, group) = (folder.path().join("home"), rustix::process::getegid().as_raw());
    let output = run(&home, folder.path(), group, "umask; : > file");
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("0007\n", Some(0)), "{}", text(&output.stderr));
    let mode = |path: &Path| fs::metadata(path).expect("made").mode() & 0o777;
    assert_eq!([mode(&home), mode(&home.join("tmp")), mode(&folder.path().join("file"))], [0o700, 0o700, 0o660]);
}

/// Covers: S1-2
#[test]
fn a_home_that_others_enter_starts_nothing() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let home = folder.path().join("home");
    fs::create_dir(&home).expect("made");
    fs::set_permissions(&home, fs::Permissions::from_mode(0o777)).expect("changed");
    let output = run(&home, folder.path(), rustix::process::getegid().as_raw(), "echo started");
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(126)));
    assert!(text(&output.stderr).contains("is not its own"), "{}", text(&output.stderr));
}

/// Covers: S1-2
#[test]
fn a_workspace_that_nobody_shares_starts_nothing() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let other = rustix::process::getegid().as_raw() + 1;
    let output = run(&folder.path().join("home"), folder.path(), other, "echo started");
    assert_eq!((text(&output.stdout).as_str(), output.status.code()), ("", Some(126)));
    assert!(text(&output.stderr).contains("lockkeeper image build"), "{}", text(&output.stderr));
}
