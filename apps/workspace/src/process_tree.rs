//! Who descends from whom, as `/proc` tells it.

use std::{collections::HashMap, fs};

use rustix::process::Pid;

/// All descendants of `root`, zombies included, parents before their children.
/// `None` where `/proc` cannot be read.
pub(crate) fn descendants(root: Pid) -> Option<Vec<Pid>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, stat) in processes()? {
        children.entry(stat.parent).or_default().push(pid);
    }
    Some(below(root.as_raw_nonzero().get(), &mut children))
}

/// Whether a process of the group still runs. Zombies do not count: where PID 1
/// reaps nobody, they stay. `None` where `/proc` cannot be read.
pub(crate) fn group_runs(group: Pid) -> Option<bool> {
    let group = group.as_raw_nonzero().get();
    Some(processes()?.any(|(_, stat)| stat.group == group && stat.runs()))
}

/// The fields of `/proc/PID/stat` (`proc_pid_stat(5)`) that are of use here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    parent: i32,
    group: i32,
    threads: u32,
}

impl Stat {
    /// The command name, in parentheses, may itself hold spaces, parentheses and any byte.
    fn parse(line: &[u8]) -> Option<Self> {
        let after_name = line.iter().rposition(|&byte| byte == b')')? + 1;
        let mut fields = str::from_utf8(&line[after_name..]).ok()?.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let threads = fields.nth(14)?.parse().ok()?;
        Some(Self { state, parent, group, threads })
    }

    fn runs(&self) -> bool {
        // A process whose first thread has ended shows as a zombie while others run.
        !matches!(self.state, 'Z' | 'X') || self.threads > 1
    }
}

fn processes() -> Option<impl Iterator<Item = (i32, Stat)>> {
    let entries = fs::read_dir("/proc").ok()?.flatten();
    Some(entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        // A process may end between the listing and the read.
        Some((pid, Stat::parse(&fs::read(entry.path().join("stat")).ok()?)?))
    }))
}

fn below(root: i32, children: &mut HashMap<i32, Vec<i32>>) -> Vec<Pid> {
    let mut found = children.remove(&root).unwrap_or_default();
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        // Removal also ends a cycle, which a recycled pid could make of a torn listing.
        let grandchildren = children.remove(pid).unwrap_or_default();
        found.extend(grandchildren);
        next += 1;
    }
    found.into_iter().filter_map(Pid::from_raw).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::process::{WaitId, WaitIdOptions, waitid};

    use super::*;

    fn check(name: &[u8], rest: &str, expected: Option<(char, i32, i32, bool)>) {
        let line = [b"7 (", name, b") ", rest.as_bytes()].concat();
        let found = Stat::parse(&line).map(|stat| (stat.state, stat.parent, stat.group, stat.runs()));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_command_name_cannot_forge_the_fields() {
        let rest = "S 3 9 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 55";
        check(b"sh", rest, Some(('S', 3, 9, true)));
        check(b"a) S 1 (b) R 1 1 (", rest, Some(('S', 3, 9, true)));
        check(b"\xff", rest, Some(('S', 3, 9, true)));
        check(b"sh", "S 3", None);
    }

    #[test]
    fn a_zombie_runs_only_while_it_has_other_threads() {
        check(b"sh", "Z 3 9 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 1 0 55", Some(('Z', 3, 9, false)));
        check(b"sh", "Z 3 9 7 0 -1 4 1 0 0 0 0 0 0 0 20 0 2 0 55", Some(('Z', 3, 9, true)));
    }

    #[test]
    fn a_group_runs_until_its_processes_end_even_if_nobody_reaps_them() {
        use std::os::unix::process::CommandExt as _;

        let mut child =
            Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0).spawn().expect("cat");
        let group = Pid::from_child(&child);
        assert_eq!(group_runs(group), Some(true));
        drop(child.stdin.take());
        // Not the end of the output: that comes before the end of the process.
        let unreaped = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(group), unreaped).expect("it ends with its input");
        assert_eq!(group_runs(group), Some(false));
        child.wait().expect("reaped");
    }

    #[test]
    fn a_cycle_in_a_torn_listing_ends() {
        let mut children = HashMap::from([(1, vec![2]), (2, vec![3]), (3, vec![1])]);
        let found: Vec<i32> = below(1, &mut children).into_iter().map(|pid| pid.as_raw_nonzero().get()).collect();
        assert_eq!(found, [2, 3, 1]);
    }

    #[test]
    fn a_child_is_a_descendant_until_it_is_reaped() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().expect("cat");
        let pid = Pid::from_child(&child);
        let me = rustix::process::getpid();
        assert!(descendants(me).expect("/proc").contains(&pid));
        drop(child.stdin.take());
        child.wait().expect("cat ends with its input");
        assert!(!descendants(me).expect("/proc").contains(&pid));
    }
}
