//! What a killed server leaves on the machine besides files, and the next server in the same folder would remove: the
//! mounts of its workspaces and the cgroups of its sandboxes. A test's folder has no next server.

use rustix::mount::{UnmountFlags, unmount};
use std::{
    fs, io,
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

/// How long processes that were killed may take to leave their cgroup.
const LEAVE: Duration = Duration::from_secs(10);
/// How far below the hierarchies' roots cgroups are looked for.
const DEPTH: usize = 4;

/// Removes what servers with this folder left, when none of them runs any more. What cannot be removed stays.
pub fn sweep(folder: &Path) {
    let mounts = mounts_below(folder);
    for mount in mounts.iter().rev() {
        let _ = unmount(mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    }
    // A workspace lies in a directory by the name of its sandbox.
    let names = mounts.iter().filter_map(|mount| mount.parent()?.file_name()?.to_str());
    let prefixes: Vec<_> = names.map(|name| format!("lockkeeper-{name}-")).collect();
    if !prefixes.is_empty() {
        remove_cgroups(Path::new("/sys/fs/cgroup"), &prefixes, DEPTH, Instant::now() + LEAVE);
    }
}

fn mounts_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(folder) = folder.canonicalize() else { return Vec::new() };
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    points.filter(|point| point.starts_with(&folder)).collect()
}

fn remove_cgroups(below: &Path, prefixes: &[String], depth: usize, end: Instant) {
    for entry in fs::read_dir(below).into_iter().flatten().flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name();
        if prefixes.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            while fs::remove_dir(entry.path()).is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
                && Instant::now() < end
            {
                sleep(Duration::from_millis(5));
            }
        } else if depth > 0 {
            remove_cgroups(&entry.path(), prefixes, depth - 1, end);
        }
    }
}
