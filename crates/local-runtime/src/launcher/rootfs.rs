use super::While;
use crate::wire::{Entry, Launch};
use rustix::{
    fs::{StatVfsMountFlags, statvfs},
    mount::{
        MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change, mount_remount,
        unmount,
    },
    process::{chdir, pivot_root},
};
use std::{
    ffi::CString,
    fs,
    path::{Path, PathBuf},
};

const TMPFS: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV).union(MountFlags::NOEXEC);

/// Takes from the file systems in memory what `bwrap` has no option for: programs in them cannot be executed, and the
/// number of their files is bounded.
pub(super) fn restrict_memory(tree: &[Entry]) -> Result<(), String> {
    tree.iter().try_for_each(|entry| match entry {
        Entry::Tmpfs { path, bytes } => {
            mount_remount(path, TMPFS, tmpfs_options(*bytes)?.as_c_str()).on("restricting", path)
        }
        _ => Ok(()),
    })
}

fn tmpfs_options(bytes: u64) -> Result<CString, String> {
    CString::new(format!("size={bytes},nr_inodes=4096,mode=1777")).map_err(|error| error.to_string())
}

/// Replaces the root of this mount namespace by the launch's tree.
pub(super) fn replace(launch: &Launch) -> Result<(), String> {
    let root = &launch.mount_point;
    let none = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", none).when("leaving the host's mounts")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", root, "tmpfs", flags, c"size=1m,mode=0755").on("mounting", root)?;
    for entry in &launch.tree {
        make(root, entry)?;
    }
    restrict_all(root, &launch.tree)?;
    chdir(root).on("entering", root)?;
    pivot_root(".", ".").when("changing the root")?;
    unmount(".", UnmountFlags::DETACH).when("letting go of the host's root")?;
    chdir("/").when("entering the new root")?;
    let sealed = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
    mount_remount("/", sealed, c"").when("sealing the root")
}

fn make(root: &Path, entry: &Entry) -> Result<(), String> {
    let at = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    match entry {
        Entry::Bind { source, target, .. } => bind(source, &at(target)),
        Entry::Device { path } => {
            let target = at(path);
            make_file(&target)?;
            mount_bind_recursive(path, &target).on("mounting", path)
        }
        Entry::Link { path, to } => {
            let link = at(path);
            make_parent(&link)?;
            std::os::unix::fs::symlink(to, &link).on("linking", path)
        }
        Entry::Tmpfs { path, bytes } => {
            let target = at(path);
            fs::create_dir_all(&target).on("making", path)?;
            mount("tmpfs", &target, "tmpfs", TMPFS, tmpfs_options(*bytes)?.as_c_str()).on("mounting", path)
        }
        Entry::Proc { path } => {
            let target = at(path);
            fs::create_dir_all(&target).on("making", path)?;
            let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            mount("proc", &target, "proc", flags, None).on("mounting", path)
        }
        // What is mounted into it later has to find its place, so it is closed at the end.
        Entry::Masked { path, is_directory: true } => {
            mount("tmpfs", at(path), "tmpfs", TMPFS, c"size=64k,nr_inodes=64,mode=0755").on("masking", path)
        }
        Entry::Masked { path, is_directory: false } => mount_bind_recursive("/dev/null", at(path)).on("masking", path),
    }
}

fn bind(source: &Path, target: &Path) -> Result<(), String> {
    if fs::metadata(source).on("looking at", source)?.is_dir() {
        fs::create_dir_all(target).on("making", target)?;
    } else {
        make_file(target)?;
    }
    mount_bind_recursive(source, target).on("mounting", source)
}

/// Restricts what was bound and what is mounted inside it. The list of all mounts is costly, so it is read once.
fn restrict_all(root: &Path, tree: &[Entry]) -> Result<(), String> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").when("reading the mounts")?;
    for mounted in mounts_below(&mountinfo, root) {
        let inside = Path::new("/").join(mounted.strip_prefix(root).unwrap_or(&mounted));
        let of = tree.iter().filter(|entry| inside.starts_with(entry.path()));
        match of.max_by_key(|entry| entry.path().as_os_str().len()) {
            Some(Entry::Bind { writable, .. }) => restrict(&mounted, *writable)?,
            Some(Entry::Masked { .. }) => restrict(&mounted, false)?,
            _ => {}
        }
    }
    Ok(())
}

/// Remounts without what was granted too much. What the mount lacks already stays away: the kernel insists on it.
fn restrict(mounted: &Path, writable: bool) -> Result<(), String> {
    let had = statvfs(mounted).on("looking at", mounted)?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV;
    for (one, other) in [
        (StatVfsMountFlags::RDONLY, MountFlags::RDONLY),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ] {
        if had.contains(one) {
            flags |= other;
        }
    }
    if !writable {
        flags |= MountFlags::RDONLY;
    }
    mount_remount(mounted, flags, c"").on("restricting", mounted)
}

/// The mount points at and below `target`, as `/proc/self/mountinfo` lists them.
fn mounts_below(mountinfo: &str, target: &Path) -> Vec<PathBuf> {
    let points =
        mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).map(|point| PathBuf::from(unescape(point)));
    points.filter(|point| point.starts_with(target)).collect()
}

/// `proc_pid_mountinfo(5)`: space, tab, newline and backslash are written as three octal digits.
fn unescape(point: &str) -> String {
    ["040", "011", "012", "134"]
        .into_iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(point.to_owned(), |text, (code, plain)| text.replace(&format!("\\{code}"), plain))
}

fn make_parent(path: &Path) -> Result<(), String> {
    path.parent().map_or(Ok(()), |parent| fs::create_dir_all(parent).on("making", parent))
}

fn make_file(path: &Path) -> Result<(), String> {
    make_parent(path)?;
    fs::File::create(path).map(drop).on("making", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_inside_a_bound_directory_are_found() {
        let mountinfo = "22 1 0:1 / /r/usr rw - ext4 x rw\n23 22 0:2 / /r/usr/local\\040share rw - ext4 y rw\n\
                         24 1 0:3 / /r/usrx rw - ext4 z rw\n";
        let found = mounts_below(mountinfo, Path::new("/r/usr"));
        assert_eq!(found, [PathBuf::from("/r/usr"), PathBuf::from("/r/usr/local share")]);
    }
}
