use crate::config::Config;
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const ROOT: &str = "/sys/fs/cgroup";

/// Limits of a whole sandbox, where this process may make cgroups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cgroups {
    /// The directories below which a sandbox gets one each, and what each limits: one in version 2, one for each kind in
    /// version 1.
    parents: Vec<Parent>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Parent {
    path: PathBuf,
    kinds: Vec<Kind>,
    version: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Memory,
    Pids,
    Cpu,
}

const KINDS: [Kind; 3] = [Kind::Memory, Kind::Pids, Kind::Cpu];

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
        }
    }

    /// The files that set the limit, what to write, and whether the file may be missing.
    fn settings(self, version: u8, config: &Config) -> Vec<(&'static str, String, bool)> {
        let cpu = config.cpu_millis * 100;
        match (self, version) {
            (Self::Memory, 2) => {
                vec![("memory.max", config.memory_bytes.to_string(), false), ("memory.swap.max", "0".into(), true)]
            }
            (Self::Memory, _) => vec![
                ("memory.limit_in_bytes", config.memory_bytes.to_string(), false),
                ("memory.memsw.limit_in_bytes", config.memory_bytes.to_string(), true),
            ],
            (Self::Pids, _) => vec![("pids.max", config.pids.to_string(), false)],
            (Self::Cpu, 2) => vec![("cpu.max", format!("{cpu} 100000"), false)],
            (Self::Cpu, _) => {
                vec![("cpu.cfs_period_us", "100000".into(), false), ("cpu.cfs_quota_us", cpu.to_string(), false)]
            }
        }
    }
}

impl Cgroups {
    /// Finds where cgroups can be made, by making one.
    pub(crate) fn find(config: &Config) -> Option<Self> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut parents = Vec::new();
        for kind in KINDS {
            if parents.iter().any(|parent: &Parent| parent.kinds.contains(&kind)) {
                continue;
            }
            for (path, version) in candidates(config, &own, kind) {
                if config.cgroup_parent.is_some() {
                    // It was handed over to us, and may not have been set up for limited children yet.
                    drop(fs::write(path.join("cgroup.subtree_control"), format!("+{}", kind.name())));
                }
                // One directory serves all kinds in version 2.
                let kinds = if version == 2 { KINDS.to_vec() } else { vec![kind] };
                let kinds = kinds.into_iter().filter(|kind| works(&path, *kind, version, config)).collect::<Vec<_>>();
                if kinds.contains(&kind) {
                    parents.push(Parent { path, kinds, version });
                    break;
                }
            }
        }
        (!parents.is_empty()).then_some(Self { parents })
    }

    pub(crate) fn limits(&self, kind: Kind) -> bool {
        self.parents.iter().any(|parent| parent.kinds.contains(&kind))
    }

    /// Makes the sandbox's cgroups, if they do not exist, and names the files through which a process joins them.
    pub(crate) fn create(&self, name: &str, config: &Config) -> io::Result<Vec<PathBuf>> {
        self.parents.iter().map(|parent| parent.create(name, config)).collect()
    }

    /// Kills what is in the sandbox's cgroups and removes them; what does not exist is fine.
    pub(crate) fn remove(&self, name: &str, deadline: Duration) -> io::Result<()> {
        let end = Instant::now() + deadline;
        for parent in &self.parents {
            let path = parent.child(name);
            while let Err(error) = fs::remove_dir(&path) {
                match error.kind() {
                    io::ErrorKind::NotFound => break,
                    // Processes that have ended stay in it until they are reaped.
                    _ if Instant::now() < end => {
                        kill_all(&path);
                        std::thread::sleep(Duration::from_millis(2));
                    }
                    _ => return Err(error),
                }
            }
        }
        Ok(())
    }
}

impl Parent {
    fn child(&self, name: &str) -> PathBuf {
        self.path.join(format!("lockkeeper-{name}"))
    }

    fn create(&self, name: &str, config: &Config) -> io::Result<PathBuf> {
        let path = self.child(name);
        match fs::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => {
                made?;
                for kind in &self.kinds {
                    set(&path, *kind, self.version, config)?;
                }
            }
        }
        Ok(path.join("cgroup.procs"))
    }
}

fn set(path: &Path, kind: Kind, version: u8, config: &Config) -> io::Result<()> {
    for (file, value, optional) in kind.settings(version, config) {
        let file = path.join(file);
        if !optional || file.exists() {
            fs::write(file, value)?;
        }
    }
    Ok(())
}

fn works(parent: &Path, kind: Kind, version: u8, config: &Config) -> bool {
    let path = parent.join(format!("lockkeeper-probe-{}-{}", std::process::id(), kind.name()));
    if fs::create_dir(&path).is_err() {
        return false;
    }
    // Without the controller, the directory lacks its files.
    let works = set(&path, kind, version, config).is_ok();
    fs::remove_dir(&path).is_ok() && works
}

/// Directories to try for this kind, with the version of the hierarchy.
fn candidates(config: &Config, own: &str, kind: Kind) -> Vec<(PathBuf, u8)> {
    if let Some(parent) = &config.cgroup_parent {
        return vec![(parent.clone(), 2)];
    }
    let mut found = Vec::new();
    for line in own.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let relative = path.trim_start_matches('/');
        if controllers.is_empty() {
            for root in [Path::new(ROOT).to_owned(), Path::new(ROOT).join("unified")] {
                let mine = root.join(relative);
                // A cgroup with processes in it cannot have limited children, but its parent can.
                let above = mine.parent().filter(|above| above.starts_with(&root)).map(Path::to_owned);
                found.extend([Some(mine), above].into_iter().flatten().map(|path| (path, 2)));
            }
        } else if controllers.split(',').any(|name| name == kind.name()) {
            for mount in [controllers, kind.name()] {
                found.push((Path::new(ROOT).join(mount).join(relative), 1));
            }
        }
    }
    found
}

fn kill_all(path: &Path) {
    if fs::write(path.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    let procs = fs::read_to_string(path.join("cgroup.procs")).unwrap_or_default();
    for pid in procs.lines().filter_map(|line| line.parse().ok()).filter_map(rustix::process::Pid::from_raw) {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_cgroup_and_its_parent_are_tried_in_version_2() {
        let found = candidates(&Config::default(), "0::/system.slice/lockkeeper.service\n", Kind::Memory);
        assert!(found.contains(&("/sys/fs/cgroup/system.slice/lockkeeper.service".into(), 2)), "{found:?}");
        assert!(found.contains(&("/sys/fs/cgroup/system.slice".into(), 2)), "{found:?}");
        assert!(found.iter().all(|(path, _)| path.starts_with(ROOT)), "{found:?}");
    }

    #[test]
    fn version_1_has_a_directory_for_each_kind() {
        let own = "8:pids:/\n4:memory:/a/b\n3:cpu,cpuacct:/a\n";
        let of = |kind| candidates(&Config::default(), own, kind).into_iter().map(|(path, _)| path).collect::<Vec<_>>();
        assert!(of(Kind::Memory).contains(&"/sys/fs/cgroup/memory/a/b".into()));
        assert!(of(Kind::Cpu).contains(&"/sys/fs/cgroup/cpu,cpuacct/a".into()));
        assert!(of(Kind::Pids).contains(&"/sys/fs/cgroup/pids".into()));
    }

    #[test]
    fn a_configured_parent_is_the_only_one() {
        let config = Config { cgroup_parent: Some("/sys/fs/cgroup/mine".into()), ..Config::default() };
        assert_eq!(candidates(&config, "4:memory:/a\n", Kind::Memory), [("/sys/fs/cgroup/mine".into(), 2)]);
    }

    #[test]
    fn version_2_limits_are_written_as_the_kernel_reads_them() {
        let written = KINDS.map(|kind| kind.settings(2, &Config { cpu_millis: 500, ..Config::default() }));
        let written: Vec<_> = written.iter().flatten().map(|(file, value, _)| format!("{file}={value}")).collect();
        assert_eq!(written, ["memory.max=536870912", "memory.swap.max=0", "pids.max=128", "cpu.max=50000 100000"]);
    }
}
