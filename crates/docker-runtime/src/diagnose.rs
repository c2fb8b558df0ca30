//! What an engine lacks, in words for people.

use crate::{
    config::Config,
    engine::{Dialect, Engine, Fault, negotiate},
    profile::SECCOMP,
};
use bollard::models::{SystemInfo, SystemVersion};
use lockkeeper_ports::Isolation;
use std::{fmt, fs, sync::Arc};

/// Something about the configuration or the engine that somebody should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub kind: FindingKind,
    /// What was found.
    pub message: String,
    /// What to do about it; empty when there is nothing.
    pub remedy: String,
}

/// What a finding is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// The configuration has a problem.
    Configuration,
    /// Nobody answers at the configured address.
    NoEngine,
    /// Somebody answers, but not to this user.
    NoPermission,
    /// The engine is too old.
    TooOld,
    /// The engine has no image of this name.
    NoImage,
    /// The engine has no OCI runtime of this name.
    NoRuntime,
    /// The engine has no filter of system calls for sandboxes.
    NoFilter,
    /// The engine cannot hold a limit. Sandboxes run without it.
    NoLimit,
    /// The engine works, and could hold sandboxes better.
    Weakness,
}

impl Finding {
    /// Whether there are no sandboxes because of it.
    pub fn is_fatal(&self) -> bool {
        !matches!(self.kind, FindingKind::NoLimit | FindingKind::Weakness)
    }

    /// Whether it may pass without anyone's help: the engine is still starting.
    pub fn may_pass(&self) -> bool {
        self.kind == FindingKind::NoEngine
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, " ({})", self.remedy) }
    }
}

/// Looks at the configuration and at the engine that it names, and says what is missing and what to do. Empty when all is
/// well.
pub async fn diagnose(config: &Config) -> Vec<Finding> {
    let problems = config.problems();
    if problems.is_empty() {
        return examine(&Arc::new(config.clone())).await.findings;
    }
    problems.into_iter().map(|problem| finding(FindingKind::Configuration, problem, "")).collect()
}

/// What was found out about an engine.
pub(crate) struct Examined {
    /// If it answers.
    pub(crate) engine: Option<Engine>,
    pub(crate) dialect: Dialect,
    /// What the image's name stands for now, by the digest of its contents.
    pub(crate) image: Option<String>,
    pub(crate) isolation: Isolation,
    pub(crate) findings: Vec<Finding>,
}

pub(crate) async fn examine(config: &Arc<Config>) -> Examined {
    let mut examined = Examined {
        engine: None,
        dialect: Dialect::default(),
        image: None,
        isolation: isolation(config, None),
        findings: Vec::new(),
    };
    match about(config).await {
        Err(fault) => examined.findings.push(unreachable(config, &fault)),
        Ok((engine, version, info)) => {
            match engine.call(async |docker| docker.inspect_image(&config.image).await).await {
                Ok(image) => examined.image = image.id,
                Err(fault) => examined.findings.push(no_image(config, &fault)),
            }
            examined.dialect = Dialect::of(&version);
            examined.findings.extend(lacks(config, &info, &version));
            if examined.dialect == Dialect::Podman {
                examined.findings.extend(podman_lacks(config, &info));
            }
            examined.isolation = isolation(config, Some((&info, examined.dialect)));
            examined.engine = Some(engine);
        }
    }
    examined
}

pub(crate) fn in_words(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

async fn about(config: &Arc<Config>) -> Result<(Engine, SystemVersion, SystemInfo), Fault> {
    let (_, version) = negotiate(config).await?;
    let engine = Engine::connect(config.clone()).await?;
    let info = engine.call(async |docker| docker.info().await).await?;
    Ok((engine, version, info))
}

fn unreachable(config: &Config, fault: &Fault) -> Finding {
    let (kind, remedy) = match fault {
        Fault::Forbidden(_) => {
            (FindingKind::NoPermission, "let this user into the group that owns the socket, or use a rootless engine")
        }
        Fault::TooOld(_) => (FindingKind::TooOld, "install Docker 20.10 or later"),
        _ if config.host.starts_with("unix:") => {
            (FindingKind::NoEngine, "start it with `systemctl start docker` or `dockerd`, or configure another host")
        }
        _ => (FindingKind::NoEngine, "is the address right, and the engine listening there?"),
    };
    finding(kind, fault.to_string(), remedy)
}

fn no_image(config: &Config, fault: &Fault) -> Finding {
    match fault {
        Fault::NotFound(_) => finding(
            FindingKind::NoImage,
            format!("the Docker engine has no image {}", config.image),
            "build it with `lockkeeper image build`",
        ),
        fault => finding(FindingKind::NoImage, format!("the image {} cannot be looked at: {fault}", config.image), ""),
    }
}

fn lacks(config: &Config, info: &SystemInfo, version: &SystemVersion) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(runtimes) = info.runtimes.as_ref().filter(|all| !all.contains_key(&config.runtime)) {
        let mut known: Vec<_> = runtimes.keys().map(String::as_str).collect();
        known.sort_unstable();
        findings.push(finding(
            FindingKind::NoRuntime,
            format!("the Docker engine has no runtime {}: it has {}", config.runtime, known.join(", ")),
            "install it, or configure another one",
        ));
    }
    let limits =
        [("memory", info.memory_limit), ("CPU time", info.cpu_cfs_quota), ("the number of processes", info.pids_limit)];
    let missing: Vec<_> = limits.iter().filter(|(_, held)| *held == Some(false)).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        findings.push(finding(
            FindingKind::NoLimit,
            format!("the Docker engine does not limit {}", missing.join(" and ")),
            "give it the cgroup controllers `memory`, `cpu` and `pids`",
        ));
    }
    if !has_option(info, "seccomp") {
        findings.push(finding(
            FindingKind::NoLimit,
            "the Docker engine does not filter system calls".into(),
            "use a kernel and an engine with seccomp",
        ));
    }
    let version = version.version.clone().unwrap_or_default();
    if !has_option(info, "rootless") && !has_option(info, "userns") {
        findings.push(finding(
            FindingKind::Weakness,
            format!("the Docker engine ({version}) runs as root, and root in it is root of the host"),
            "prefer a rootless engine, or `userns-remap`",
        ));
    }
    findings
}

/// What Podman's compatible API does not do, or does without a word.
fn podman_lacks(config: &Config, info: &SystemInfo) -> Vec<Finding> {
    let mut findings = Vec::new();
    let runtime = info.default_runtime.as_deref().unwrap_or_default();
    if runtime != config.runtime {
        findings.push(finding(
            FindingKind::NoRuntime,
            format!("Podman starts all containers by {runtime}, and not by {} as it is asked", config.runtime),
            "set `sandbox.docker.runtime` to that, or `runtime` in its containers.conf",
        ));
    }
    let file = &config.seccomp_file;
    let problem = match fs::read_to_string(file) {
        _ if file.is_empty() => Some("Podman takes the filter of system calls from a file alone".to_owned()),
        Err(error) => Some(format!("the filter of system calls for Podman cannot be read: {file}: {error}")),
        Ok(found) if found != SECCOMP => {
            Some(format!("{file} is not the filter of system calls that this version runs sandboxes under"))
        }
        Ok(_) => None,
    };
    findings.extend(problem.map(|problem| {
        let remedy = "write it by `lockkeeper image seccomp > FILE`, to the same path on Podman's machine and on this one, \
                      and name it in `sandbox.docker.seccomp_file`";
        finding(FindingKind::NoFilter, problem, remedy)
    }));
    findings.push(finding(
        FindingKind::NoLimit,
        "Podman does not limit the number of files in a sandbox: their memory is what limits them".into(),
        "",
    ));
    findings
}

fn isolation(config: &Config, engine: Option<(&SystemInfo, Dialect)>) -> Isolation {
    let mut holds = format!(
        "{} containers ({}): own namespaces, users of their own for each MCP server, no capabilities, seccomp, \
         read-only image, no network, {} MiB of memory, {} processes",
        engine.map_or(Dialect::default(), |(_, dialect)| dialect).name(),
        config.runtime,
        config.memory_bytes >> 20,
        config.pids
    );
    let mut gaps = Vec::new();
    if let Some((info, dialect)) = engine {
        for (option, words) in [("apparmor", "AppArmor"), ("userns", "mapped users"), ("rootless", "a rootless engine")]
        {
            if has_option(info, option) {
                holds = format!("{holds}, {words}");
            }
        }
        if [info.memory_limit, info.pids_limit, info.cpu_cfs_quota].contains(&Some(false)) {
            gaps.push("the engine does not hold all limits");
        }
        if !has_option(info, "seccomp") {
            gaps.push("the engine does not filter system calls");
        }
        if dialect == Dialect::Podman {
            gaps.push("the number of files is not limited");
            gaps.push("the MCP servers of a session share a group, and so what they put into /tmp");
        }
        if !has_option(info, "rootless") && !has_option(info, "userns") && config.runtime != "runsc" {
            gaps.push("a flaw of the kernel or of the engine, which runs as root, is not held");
        }
    }
    Isolation { runtime: "docker".into(), holds, gaps: gaps.join("; "), none: false }
}

fn has_option(info: &SystemInfo, name: &str) -> bool {
    let options = info.security_options.iter().flatten();
    options.flat_map(|option| option.split(',')).any(|part| part.strip_prefix("name=") == Some(name))
}

fn finding(kind: FindingKind, message: String, remedy: &str) -> Finding {
    Finding { kind, message, remedy: remedy.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_engine_cannot_hold_is_said() {
        let info = SystemInfo {
            memory_limit: Some(false),
            security_options: Some(vec!["name=seccomp,profile=default".into(), "name=rootless".into()]),
            runtimes: Some([("crun".to_owned(), bollard::models::Runtime::default())].into()),
            ..SystemInfo::default()
        };
        let kinds: Vec<_> =
            lacks(&Config::default(), &info, &SystemVersion::default()).iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::NoRuntime, FindingKind::NoLimit]);
        let isolation = isolation(&Config::default(), Some((&info, Dialect::Docker)));
        assert!(isolation.holds.contains("a rootless engine"), "{isolation:?}");
        assert_eq!(isolation.gaps, "the engine does not hold all limits");
    }

    #[test]
    fn what_podman_leaves_out_without_a_word_is_said() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("seccomp.json");
        let config = Config { seccomp_file: file.display().to_string(), ..Config::default() };
        let info = SystemInfo { default_runtime: Some("crun".into()), ..SystemInfo::default() };
        let kinds = |config: &Config| podman_lacks(config, &info).iter().map(|one| one.kind).collect::<Vec<_>>();
        let all = [FindingKind::NoRuntime, FindingKind::NoFilter, FindingKind::NoLimit];
        assert_eq!(kinds(&Config::default()), all, "no file is named");
        assert_eq!(kinds(&config), all, "the file is not there");
        fs::write(&file, "{}").expect("write");
        assert_eq!(kinds(&config), all, "the file is another one");
        fs::write(&file, SECCOMP).expect("write");
        let config = Config { runtime: "crun".into(), ..config };
        assert_eq!(kinds(&config), [FindingKind::NoLimit]);
    }
}
