use super::While;
use crate::wire::Limits;
use rustix::{
    fs::{Gid, Uid},
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CapabilitySet, CapabilitySets},
};

/// Becomes the user `uid` and the group of the same number, and nothing else, for good.
pub(super) fn become_user(uid: Option<u32>) -> Result<(), String> {
    let Some(uid) = uid else { return Ok(()) };
    // While it may still: afterwards nothing can come back through a set-user-id program either.
    for capability in CapabilitySet::all().iter() {
        // The last ones are newer than some kernels.
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
    rustix::thread::set_thread_groups(&[]).when("leaving all groups")?;
    rustix::thread::set_thread_res_gid(group, group, group).when(format_args!("becoming group {uid}"))?;
    rustix::thread::set_thread_res_uid(user, user, user).when(format_args!("becoming user {uid}"))
}

/// Gives up every capability, also those that a user namespace granted.
pub(super) fn drop_capabilities() -> Result<(), String> {
    // Kernels before 4.3 have no ambient set, and then nothing in it.
    let _ = rustix::thread::clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).when("giving up capabilities")
}

/// Lowers the resource limits of this process and its children.
pub(super) fn apply(limits: Limits) -> Result<(), String> {
    lower(Resource::Core, 0)?;
    lower(Resource::Nofile, limits.open_files)?;
    lower(Resource::Fsize, limits.file_bytes)?;
    limits.data_bytes.map_or(Ok(()), |bytes| lower(Resource::Data, bytes))?;
    limits.processes.map_or(Ok(()), |count| lower(Resource::Nproc, count))
}

fn lower(resource: Resource, limit: u64) -> Result<(), String> {
    let limit = getrlimit(resource).maximum.map_or(limit, |most| most.min(limit));
    let new = Rlimit { current: Some(limit), maximum: Some(limit) };
    setrlimit(resource, new).when(format_args!("limiting {resource:?} to {limit}"))
}
