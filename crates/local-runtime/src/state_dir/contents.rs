use super::{NOTE, Note};
use crate::{config::Config, layout::HOME};
use rustix::{
    fs::{AtFlags, CWD, Gid, Mode, Uid, chownat},
    mount::MountFlags,
};
use std::{
    ffi::CString,
    fs, io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Makes a sandbox's directory and what is in it.
pub(super) fn fill(path: &Path, note: &Note, workspace_in_memory: Option<&Config>) -> io::Result<()> {
    // Others may pass through it to what belongs to them; that is the sandbox's user, where the server is root.
    fs::create_dir(path)?;
    permit(path, 0o711)?;
    fs::write(path.join(NOTE), serde_json::to_vec(note)?)?;
    permit(&path.join(NOTE), 0o600)?;
    fs::DirBuilder::new().mode(0o700).create(path.join("root"))?;
    rustix::fs::mkfifoat(CWD, path.join("fence"), Mode::RUSR | Mode::WUSR)?;
    let workspace = path.join("workspace");
    fs::DirBuilder::new().mode(0o700).create(&workspace)?;
    if let Some(config) = workspace_in_memory {
        let options = format!("size={},nr_inodes={},mode=0700", config.workspace_bytes, config.workspace_files);
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("tmpfs", &workspace, "tmpfs", flags, CString::new(options)?.as_c_str())?;
    }
    give_to(&workspace, note.uid)?;
    fill_etc(&path.join("etc"), note.uid.unwrap_or(1000))
}

/// Makes directories for the sandbox's user alone, below `parent`, where they are missing.
pub(super) fn make_private(parent: &Path, directories: &[PathBuf], uid: Option<u32>) -> io::Result<()> {
    // A sandbox that an earlier version made does not have it.
    match fs::create_dir(parent) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => permit(parent, 0o711)?,
    }
    for directory in directories {
        match fs::DirBuilder::new().mode(0o700).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => give_to(directory, uid)?,
        }
    }
    Ok(())
}

fn give_to(directory: &Path, uid: Option<u32>) -> io::Result<()> {
    let Some(uid) = uid else { return Ok(()) };
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    Ok(chownat(CWD, directory, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?)
}

fn fill_etc(path: &Path, uid: u32) -> io::Result<()> {
    fs::create_dir(path)?;
    permit(path, 0o755)?;
    for (name, text) in [
        ("passwd", format!("sandbox:x:{uid}:{uid}::{HOME}:/bin/sh\n")),
        ("group", format!("sandbox:x:{uid}:\n")),
        ("hosts", "127.0.0.1 localhost\n::1 localhost\n".into()),
    ] {
        fs::write(path.join(name), text)?;
        permit(&path.join(name), 0o644)?;
    }
    Ok(())
}

/// Whatever the server's umask.
pub(super) fn permit(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
