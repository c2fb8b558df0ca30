use crate::wire::Entry;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use std::path::Path;

/// The newest version whose rights are asked for; the kernel gives those that it has.
const NEWEST: ABI = ABI::V6;

/// What `/proc` has to say about the machine as a whole. The rest is about processes, of which only the command itself is
/// shown to itself.
const PROC: [&str; 8] = [
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/uptime",
    "/proc/version",
    "/proc/sys/vm/overcommit_memory",
];

/// A ruleset that grants the tree alone: read and execute, or everything where it is writable.
pub(super) fn prepare(tree: &[Entry]) -> Result<RulesetCreated, String> {
    let looking = AccessFs::ReadFile | AccessFs::ReadDir;
    let mut rules = ruleset().map_err(|error| format!("Landlock: {error}"))?;
    for entry in tree {
        rules = match entry {
            Entry::Bind { source, writable: false, .. } => grant(rules, source, looking | AccessFs::Execute),
            Entry::Bind { source, writable: true, .. } => grant(rules, source, AccessFs::from_all(NEWEST)),
            Entry::Device { path } => grant(rules, path, AccessFs::ReadFile | AccessFs::WriteFile),
            Entry::Proc { .. } => PROC.iter().try_fold(rules, |rules, path| grant(rules, Path::new(path), looking)),
            Entry::Link { .. } | Entry::Tmpfs { .. } | Entry::Masked { .. } => Ok(rules),
        }?;
    }
    Ok(rules)
}

/// Puts this process under the ruleset, for good.
pub(super) fn restrict(rules: RulesetCreated) -> Result<(), String> {
    match rules.restrict_self() {
        Ok(status) if status.ruleset == RulesetStatus::NotEnforced => Err("this kernel has no Landlock".into()),
        Ok(_) => Ok(()),
        Err(error) => Err(format!("Landlock: {error}")),
    }
}

/// Whether the kernel's Landlock also keeps signals and abstract sockets inside (Linux 6.12).
pub(crate) fn scopes_signals() -> bool {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::Signal).is_ok()
}

fn ruleset() -> Result<RulesetCreated, landlock::RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(Scope::from_all(NEWEST))?
        .create()
}

fn grant(rules: RulesetCreated, path: &Path, access: BitFlags<AccessFs>) -> Result<RulesetCreated, String> {
    // What is missing needs no rule. What is no directory cannot be granted the rights of one.
    let Ok(file) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    rules.add_rule(PathBeneath::new(file, access)).map_err(|error| format!("Landlock, {}: {error}", path.display()))
}
