use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};
use std::collections::{BTreeMap, BTreeSet};

/// Kills and reaps all descendants of this process, which is the reaper of its orphans: nothing can leave the tree. They
/// are stopped first until no new one appears, so that a fork bomb cannot outrun this.
pub(super) fn end_descendants() {
    loop {
        let mut stopped = BTreeSet::new();
        loop {
            let fresh: Vec<_> = descendants().into_iter().filter(|pid| !stopped.contains(pid)).collect();
            if fresh.is_empty() {
                break;
            }
            for pid in fresh {
                signal(pid, Signal::STOP);
                stopped.insert(pid);
            }
        }
        for pid in &stopped {
            signal(*pid, Signal::KILL);
        }
        if wait(WaitOptions::empty()).is_err() {
            return;
        }
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
}

fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended by itself.
        let _ = kill_process(pid, signal);
    }
}

fn descendants() -> Vec<i32> {
    let mut children = BTreeMap::<i32, Vec<i32>>::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(parent) = living_parent(&stat) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = Vec::new();
    let mut todo = vec![getpid().as_raw_nonzero().get()];
    while let Some(pid) = todo.pop() {
        let of_this = children.remove(&pid).unwrap_or_default();
        found.extend(&of_this);
        todo.extend(of_this);
    }
    found
}

/// The parent that a line of `/proc/PID/stat` names, unless the process is a zombie already. A zombie's children belong
/// to somebody else.
fn living_parent(stat: &str) -> Option<i32> {
    // The program's name is in parentheses and may itself contain some, and spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then_some(())?;
    fields.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_read_whatever_the_program_calls_itself() {
        assert_eq!(living_parent("12 (sh) S 7 12 12 0"), Some(7));
        assert_eq!(living_parent("12 (a) R 1 (b) S 8 12"), Some(8));
        assert_eq!(living_parent("12 (sh) Z 7 12 12 0"), None);
        assert_eq!(living_parent("nonsense"), None);
    }
}
