use super::{Engine, PROBE_TIMEOUT, SetupError};
use crate::{
    cgroup::Cgroups,
    config::{Config, IsolationChoice},
    isolation::{Powers, describe, name},
    state_dir::StateDir,
    wire::Variant,
};
use futures::future::join;
use lockkeeper_domain::{Epoch, ServerName, SessionId, Timestamp};
use lockkeeper_ports::{Exec, ExecSpec, ExecStatus, Isolation, SandboxSpec};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::{io::AsyncReadExt, sync::Semaphore, task::spawn_blocking, time::timeout};

/// Writes into the workspace by its name, and tells so in a way that nothing else does.
const TRIAL: &str = r#"echo works > "$1/trial" && cat trial && exit 42"#;

/// The best that works.
pub(super) async fn choose(config: Config) -> Result<(Engine, Isolation), SetupError> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(SetupError::Config(problems));
    }
    let wrong = |problem| SetupError::Config(vec![problem]);
    let state = StateDir::open(&config.state_dir).map_err(wrong)?;
    let launcher = match &config.launcher {
        Some(launcher) => launcher.clone(),
        None => std::env::current_exe().map_err(|error| wrong(format!("the server's executable: {error}")))?,
    };
    let config = Arc::new(config);
    let (for_cgroups, powers) = (config.clone(), Powers::of_this_process(config.uid_base));
    let cgroups = spawn_blocking(move || Cgroups::find(&for_cgroups)).await.unwrap_or_default();
    let bubblewrap = find_bubblewrap(&config);

    let mut refused = Vec::new();
    for &variant in candidates(config.isolation) {
        let mut engine = Engine {
            config: config.clone(),
            launcher: launcher.clone(),
            state: state.clone(),
            variant,
            bubblewrap: bubblewrap.clone(),
            cgroups: cgroups.clone(),
            powers,
            turns: Arc::new(Semaphore::new(config.starts_at_once.min(Semaphore::MAX_PERMITS))),
        };
        let mut outcome = engine.try_out().await;
        if outcome.is_err() && engine.cgroups.is_some() {
            // Those that can be made cannot always be joined.
            let without = Engine { cgroups: None, ..engine.clone() };
            let again = without.try_out().await;
            if again.is_ok() {
                (engine, outcome) = (without, again);
            }
        }
        match outcome {
            Ok(()) => {
                let isolation = describe(variant, powers, engine.cgroups.as_ref(), &refused);
                tracing::info!(holds = isolation.holds, gaps = isolation.gaps, "local sandboxes");
                return Ok((engine, isolation));
            }
            Err(reason) => refused.push((variant, reason)),
        }
    }
    let reasons: Vec<_> = refused.iter().map(|(variant, reason)| format!("{}: {reason}", name(*variant))).collect();
    Err(SetupError::Impossible(reasons.join("; ")))
}

fn candidates(choice: IsolationChoice) -> &'static [Variant] {
    match choice {
        IsolationChoice::Auto => &[Variant::Bubblewrap, Variant::Namespaces, Variant::Landlock, Variant::Plain],
        IsolationChoice::Bubblewrap => &[Variant::Bubblewrap],
        IsolationChoice::Namespaces => &[Variant::Namespaces],
        IsolationChoice::Landlock => &[Variant::Landlock],
        IsolationChoice::None => &[Variant::Plain],
    }
}

fn find_bubblewrap(config: &Config) -> Option<PathBuf> {
    let usual = || ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"].map(PathBuf::from).into_iter();
    config.bubblewrap.clone().or_else(|| usual().find(|path| Path::new(path).exists()))
}

impl Engine {
    /// Runs a small command in a sandbox of its own.
    async fn try_out(&self) -> Result<(), String> {
        if self.variant == Variant::Bubblewrap && self.bubblewrap.is_none() {
            return Err("bwrap is not installed".into());
        }
        if self.variant == Variant::Namespaces && self.powers.root && !self.powers.privileged {
            return Err("root lacks CAP_SYS_ADMIN here".into());
        }
        if self.variant == Variant::Bubblewrap && self.powers.root && !self.powers.privileged {
            return Err("root lacks CAP_SYS_ADMIN here".into());
        }
        let spec = trial_sandbox();
        let engine = self.clone();
        let created = spawn_blocking(move || engine.create(&spec, Timestamp::default())).await;
        let (id, sandbox) = created.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        let command = ["/bin/sh", "-c", TRIAL, "sh", "{workspace}"].map(String::from).to_vec();
        let spec = ExecSpec { server: ServerName::new("probe"), command, env: BTreeMap::new() };
        let trial = async { judge(self.run(&id, &sandbox, &spec).await.map_err(|error| error.to_string())?).await };
        let outcome = timeout(PROBE_TIMEOUT, trial).await.unwrap_or_else(|_| Err("a trial command hangs".into()));
        let engine = self.clone();
        let removed = spawn_blocking(move || engine.remove(&id)).await.map_err(|error| error.to_string())?;
        outcome.and(removed.map_err(|error| format!("removing a trial sandbox: {error}")))
    }
}

/// Different from that of any session, and different each time. When this process dies in between, it is listed.
fn trial_sandbox() -> SandboxSpec {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let session = SessionId::parse(format!("trial-{}", std::process::id())).expect("letters, digits and a dash");
    SandboxSpec { session, epoch: Epoch::new(COUNT.fetch_add(1, Ordering::Relaxed)) }
}

async fn judge(mut exec: Exec) -> Result<(), String> {
    drop(exec.stdin);
    let (mut stdout, mut stderr) = (String::new(), String::new());
    let streams = join(exec.stdout.read_to_string(&mut stdout), exec.stderr.read_to_string(&mut stderr));
    let (read, complained) = streams.await;
    read.and(complained).map_err(|error| error.to_string())?;
    match exec.status.await {
        ExecStatus::Exited(42) if stdout == "works\n" => Ok(()),
        status => Err(format!("a trial command ended with {status:?} {}", stderr.trim())),
    }
}
