//! What holds on this machine and what does not, in words.

use crate::{
    cgroup::{Cgroups, Kind},
    launcher::scopes_signals,
    wire::Variant,
};
use lockkeeper_ports::Isolation;
use rustix::{process::geteuid, thread::CapabilitySet};

/// What this process may do.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, and no state follows from another")]
pub(crate) struct Powers {
    pub(crate) root: bool,
    /// Root, and able to mount.
    pub(crate) privileged: bool,
    /// Root, and able to give each sandbox a user of its own.
    pub(crate) many_users: bool,
    /// Each user namespace counts its processes apart (Linux 5.14).
    pub(crate) counts_per_namespace: bool,
}

impl Powers {
    pub(crate) fn of_this_process(uid_base: u32) -> Self {
        let root = geteuid().is_root();
        let mounts = rustix::thread::capabilities(None)
            .is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN | CapabilitySet::SETUID));
        let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        Self {
            root,
            privileged: root && mounts,
            many_users: root && is_mapped(&map, uid_base),
            counts_per_namespace: version(&release) >= (5, 14),
        }
    }
}

pub(crate) fn name(variant: Variant) -> &'static str {
    match variant {
        Variant::Bubblewrap => "bubblewrap",
        Variant::Namespaces => "namespaces",
        Variant::Landlock => "landlock",
        Variant::Plain => "none",
    }
}

/// Says it all. `refused` are better variants and why this machine does not have them.
pub(crate) fn describe(
    variant: Variant,
    powers: Powers,
    cgroups: Option<&Cgroups>,
    refused: &[(Variant, String)],
) -> Isolation {
    let mut holds = match variant {
        Variant::Bubblewrap => vec!["bubblewrap namespaces", "seccomp", "no network"],
        Variant::Namespaces => vec!["own namespaces", "seccomp", "no network"],
        Variant::Landlock => vec!["Landlock", "seccomp", "no network sockets"],
        Variant::Plain => vec![],
    };
    if powers.root {
        holds.push("an unprivileged user");
    }
    let limited = |kind| cgroups.is_some_and(|cgroups| cgroups.limits(kind));
    let mut gaps: Vec<String> = Vec::new();
    let mut gap = |text: &str| gaps.push(text.into());
    if variant == Variant::Plain {
        gap("nothing isolates: commands can do what their user can do, the network included");
    }
    if variant == Variant::Landlock {
        gap("commands see the host's kernel, host name and network interfaces");
        gap("children of a command have no /proc/self");
        if !powers.root && !scopes_signals() {
            gap("commands can send signals to the server (needs Linux 6.12)");
        }
    }
    if powers.root && !powers.many_users && !variant.has_root() {
        gap("all sandboxes share one user");
    }
    match (limited(Kind::Memory), limited(Kind::Pids)) {
        (true, true) => holds.push("a cgroup"),
        (false, _) => gap("no memory cgroup: memory is capped per process only"),
        (true, false) => holds.push("a memory cgroup"),
    }
    if !limited(Kind::Pids) {
        gap(match (variant.has_root() && !powers.privileged && powers.counts_per_namespace, powers.many_users) {
            (true, _) => "no pids cgroup: processes are capped per command only",
            (false, true) => "no pids cgroup: processes are capped per user",
            (false, false) => "no pids cgroup: processes are capped together with those of other sandboxes",
        });
    }
    if !limited(Kind::Cpu) {
        gap("no cpu cgroup: CPU time is not capped");
    }
    if !powers.privileged {
        gap("the workspace's size is checked now and then, deleted files that are still open excepted");
    }
    gaps.extend(refused.iter().map(|(better, reason)| format!("{} was not possible: {reason}", name(*better))));
    Isolation {
        runtime: "local".into(),
        holds: holds.join(", "),
        gaps: gaps.join("; "),
        none: variant == Variant::Plain,
    }
}

/// `user_namespaces(7)`: lines of inside, outside, length.
fn is_mapped(map: &str, uid: u32) -> bool {
    map.lines().any(|line| {
        let fields: Vec<u64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        matches!(fields[..], [inside, _, length] if (inside..inside.saturating_add(length)).contains(&uid.into()))
    })
}

fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: Powers = Powers { root: false, privileged: false, many_users: false, counts_per_namespace: true };

    #[test]
    fn without_isolation_it_says_so() {
        let isolation =
            describe(Variant::Plain, USER, None, &[(Variant::Landlock, "this kernel has no Landlock".into())]);
        assert!(isolation.none && isolation.holds.is_empty());
        for words in ["nothing isolates", "memory is capped per process only", "this kernel has no Landlock"] {
            assert!(isolation.gaps.contains(words), "{}", isolation.gaps);
        }
    }

    #[test]
    fn namespaces_without_a_cgroup_admit_it() {
        let isolation = describe(Variant::Namespaces, USER, None, &[]);
        assert!(!isolation.none && isolation.gaps.contains("no memory cgroup"), "{isolation:?}");
    }

    #[test]
    fn the_kernel_version_is_read_whatever_follows_it() {
        assert_eq!(version("6.18.44-fc-v595"), (6, 18));
        assert_eq!(version("5.14-rc1"), (5, 14));
        assert!(version("") < (5, 14));
    }

    #[test]
    fn a_user_is_mapped_only_inside_a_range() {
        assert!(is_mapped("0 0 4294967295\n", 1_900_000_000));
        assert!(!is_mapped("0 100000 65536\n", 1_900_000_000));
        assert!(!is_mapped("0 100000 65536\n", 65_536) && is_mapped("0 1000 1\n1 100000 65536\n", 65_536));
    }
}
