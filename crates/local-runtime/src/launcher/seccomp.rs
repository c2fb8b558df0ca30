use crate::wire::Variant;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;

/// System calls that no tool server needs and that have been the way out of sandboxes. What else the kernel offers is
/// allowed: unlike a container image, the programs here are whatever the host has.
const DENIED: &[libc::c_long] = &[
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_chroot,
    libc::SYS_clock_adjtime,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kcmp,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_keyctl,
    libc::SYS_lookup_dcookie,
    libc::SYS_migrate_pages,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_move_pages,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    libc::SYS_perf_event_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pivot_root,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_reboot,
    libc::SYS_remap_file_pages,
    libc::SYS_request_key,
    libc::SYS_setdomainname,
    libc::SYS_sethostname,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapoff,
    libc::SYS_swapon,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
    libc::SYS_vhangup,
    libc::SYS_vmsplice,
    #[cfg(target_arch = "x86_64")]
    libc::SYS__sysctl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ioperm,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_iopl,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_modify_ldt,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_sysfs,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_uselib,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_ustat,
];

/// On x86-64 the x32 variant of a call has this bit set and the same architecture.
const X32: libc::c_long = if cfg!(target_arch = "x86_64") { 0x4000_0000 } else { 0 };

/// Puts this process under the filters, for good.
pub(super) fn apply(variant: Variant) -> Result<(), String> {
    for (rules, errno) in [
        (denied(variant), libc::EPERM),
        // Its flags are out of a filter's sight; C libraries then use clone.
        (Ok(BTreeMap::from([(libc::SYS_clone3, vec![]), (libc::SYS_clone3 | X32, vec![])])), libc::ENOSYS),
    ] {
        let program = rules.and_then(|rules| compile(rules, errno)).map_err(|error| format!("seccomp: {error}"))?;
        apply_filter(&program).map_err(|error| format!("seccomp: {error}"))?;
    }
    Ok(())
}

type Rules = BTreeMap<libc::c_long, Vec<SeccompRule>>;

fn compile(rules: Rules, errno: i32) -> Result<BpfProgram, BackendError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let deny = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, deny, arch)?.try_into()
}

fn denied(variant: Variant) -> Result<Rules, BackendError> {
    let mut rules: Rules = DENIED.iter().map(|call| (*call, vec![])).collect();
    rules.insert(libc::SYS_clone, new_namespaces()?);
    rules.insert(libc::SYS_ioctl, terminal_injection()?);
    rules.insert(libc::SYS_personality, vec![all([is_not(0, 0)?, is_not(0, 0xffff_ffff)?])?]);
    // Without namespaces a socket reaches the host's services, and the container engine's is as good as root.
    rules.insert(libc::SYS_socket, if variant.has_root() { unusual_sockets()? } else { vec![] });
    let x32: Vec<_> = rules.iter().map(|(call, rules)| (call | X32, rules.clone())).collect();
    rules.extend(x32);
    Ok(rules)
}

fn new_namespaces() -> Result<Vec<SeccompRule>, BackendError> {
    [
        libc::CLONE_NEWCGROUP,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWUTS,
    ]
    .into_iter()
    .map(|flag| {
        let flag = u64::from(flag.unsigned_abs());
        all([condition(0, SeccompCmpOp::MaskedEq(flag), flag)?])
    })
    .collect()
}

/// Characters that a terminal takes for typed ones.
fn terminal_injection() -> Result<Vec<SeccompRule>, BackendError> {
    const TIOCSTI: u64 = 0x5412;
    const TIOCLINUX: u64 = 0x541c;
    [TIOCSTI, TIOCLINUX].into_iter().map(|request| all([condition(1, SeccompCmpOp::Eq, request)?])).collect()
}

/// All but local, Internet and route sockets, and raw ones of these.
fn unusual_sockets() -> Result<Vec<SeccompRule>, BackendError> {
    let [unix, inet, inet6, netlink] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK].map(unsigned);
    Ok(vec![
        all([is_not(0, unix)?, is_not(0, inet)?, is_not(0, inet6)?, is_not(0, netlink)?])?,
        all([condition(0, SeccompCmpOp::Eq, netlink)?, is_not(2, unsigned(libc::NETLINK_ROUTE))?])?,
        all([is_not(0, netlink)?, condition(1, SeccompCmpOp::MaskedEq(0xf), unsigned(libc::SOCK_RAW))?])?,
    ])
}

fn unsigned(constant: i32) -> u64 {
    u64::from(constant.unsigned_abs())
}

fn is_not(argument: u8, value: u64) -> Result<SeccompCondition, BackendError> {
    condition(argument, SeccompCmpOp::Ne, value)
}

fn condition(argument: u8, op: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, op, value)
}

fn all(conditions: impl Into<Vec<SeccompCondition>>) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_fit_the_kernel() {
        for variant in [Variant::Namespaces, Variant::Landlock] {
            let program = compile(denied(variant).expect("rules"), libc::EPERM).expect("program");
            assert!(program.len() < 4096, "{} instructions", program.len());
        }
    }

    #[test]
    fn no_denied_call_is_left_open_to_the_x32_variant() {
        let rules = denied(Variant::Namespaces).expect("rules");
        for call in DENIED {
            assert!(rules.contains_key(call) && rules.contains_key(&(call | X32)), "{call}");
        }
    }
}
