use super::While;
use rustix::thread::{CapabilitySet, UnshareFlags};

/// The user and group that a command believes to be, where there is a user namespace.
pub(super) const INNER_ID: u32 = 1000;

/// Leaves the host's namespaces. The next child is the init process of the new ones; unless privileged, it keeps, across its
/// `exec`, the capabilities in them that it needs to set them up.
pub(super) fn enter(privileged: bool) -> Result<(), String> {
    let mut flags = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    if !privileged {
        flags |= UnshareFlags::NEWUSER;
    }
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    unshare(flags).when("leaving the host's namespaces")?;
    if !privileged {
        write("/proc/self/setgroups", "deny")?;
        write("/proc/self/uid_map", &format!("{INNER_ID} {uid} 1"))?;
        write("/proc/self/gid_map", &format!("{INNER_ID} {gid} 1"))?;
        keep_over_exec(CapabilitySet::SYS_ADMIN | CapabilitySet::NET_ADMIN)?;
    }
    Ok(())
}

#[expect(deprecated, reason = "it became unsafe for the sake of CLONE_FILES alone, which nobody asks for here")]
fn unshare(flags: UnshareFlags) -> rustix::io::Result<()> {
    rustix::thread::unshare(flags)
}

fn keep_over_exec(kept: CapabilitySet) -> Result<(), String> {
    let mut sets = rustix::thread::capabilities(None).when("reading capabilities")?;
    sets.inheritable = kept;
    rustix::thread::set_capabilities(None, sets).when("keeping capabilities")?;
    for capability in kept.iter() {
        rustix::thread::configure_capability_in_ambient_set(capability, true).when("keeping capabilities")?;
    }
    Ok(())
}

fn write(path: &str, text: &str) -> Result<(), String> {
    std::fs::write(path, text).when(format_args!("writing {path}"))
}
