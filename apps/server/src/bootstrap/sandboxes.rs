//! Which runtime the sandboxes get, and the runtime itself.

use crate::{
    clock::SystemClock,
    config::{Config, Kind, Loaded, Problem, RuntimeKind, StoreKind},
    exit::Stop,
    random,
};
use anyhow::{Context as _, Result, bail};
use lockkeeper_docker_runtime::{DockerRuntime, SetupError as DockerError, diagnose};
use lockkeeper_local_runtime::{LocalRuntime, SetupError as LocalError};
use lockkeeper_ports::SandboxRuntime;
use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};
use std::{fmt::Write as _, fs, io, path::Path, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// A runtime, and why it is this one where the configuration did not say.
pub(super) struct Chosen {
    pub(super) runtime: RuntimeKind,
    pub(super) why: Option<String>,
}

/// A runtime that works.
pub(super) struct Sandboxes {
    pub(super) runtime: Arc<dyn SandboxRuntime>,
    /// What its sandboxes are started from, where that has a name.
    pub(super) image: Option<Arc<str>>,
    /// Held as long as it is used.
    pub(super) lock: Option<fs::File>,
}

/// How long `dev` waits for an engine that nobody asked for.
const LOOK: Duration = Duration::from_secs(1);
/// Between two attempts to reach an engine.
const PAUSE: Duration = Duration::from_millis(500);
/// The file beside the embedded store that holds the name of its deployment.
const DEPLOYMENT: &str = "deployment";

/// The runtime that the configuration names, else Docker where it is ready, else the local one.
pub(super) async fn choose(loaded: &Loaded) -> Chosen {
    let sandbox = &loaded.config.sandbox;
    if let Some(runtime) = sandbox.runtime {
        return Chosen { runtime, why: None };
    }
    let local = |why: String| Chosen { runtime: RuntimeKind::Local, why: Some(why) };
    if let Some(problem) = sandbox.docker.problems().into_iter().next() {
        return local(format!("Docker cannot be used: {problem}"));
    }
    match timeout(LOOK, Box::pin(diagnose(&sandbox.docker))).await {
        Err(_) => local("Docker has not answered for a second -> lockkeeper doctor docker".to_owned()),
        Ok(findings) => match findings.iter().find(|finding| finding.is_fatal()) {
            None => Chosen { runtime: RuntimeKind::Docker, why: None },
            Some(finding) => local(format!("{finding} -> lockkeeper doctor docker")),
        },
    }
}

/// Starts the runtime. An engine that does not answer is asked until the deadline for the start.
pub(super) async fn sandboxes_from_config(
    loaded: &Loaded,
    runtime: RuntimeKind,
    workspace: Option<&Path>,
) -> Result<Sandboxes, Stop> {
    match runtime {
        RuntimeKind::Local => local(&loaded.config, workspace).await.map_err(|error| Stop::Unavailable(vec![error])),
        RuntimeKind::Docker => docker(loaded, docker_config(loaded)?).await,
    }
}

/// The same for a deployment of this name, whatever the configuration calls its own.
pub(super) async fn start(
    loaded: &Loaded,
    runtime: RuntimeKind,
    workspace: Option<&Path>,
    deployment: &str,
) -> Result<Sandboxes, Stop> {
    if runtime == RuntimeKind::Local {
        return sandboxes_from_config(loaded, runtime, workspace).await;
    }
    let mut config = loaded.config.sandbox.docker.clone();
    deployment.clone_into(&mut config.deployment);
    docker(loaded, config).await
}

async fn docker(loaded: &Loaded, config: lockkeeper_docker_runtime::Config) -> Result<Sandboxes, Stop> {
    let limit = Duration::from_secs(loaded.config.sandbox.start_deadline_secs);
    let deadline = Instant::now() + limit;
    loop {
        match Box::pin(DockerRuntime::new(config.clone(), Arc::new(SystemClock))).await {
            Ok(runtime) => {
                return Ok(Sandboxes { image: Some(runtime.image()), runtime: Arc::new(runtime), lock: None });
            }
            Err(error @ DockerError::Unreachable(_)) if Instant::now() + PAUSE < deadline => {
                tracing::warn!(%error, "waiting for the Docker engine");
                sleep(PAUSE).await;
            }
            Err(error) => return Err(docker_stop(loaded, error)),
        }
    }
}

/// What must be edited is the configuration's problem; what is not there is unavailable.
fn docker_stop(loaded: &Loaded, error: DockerError) -> Stop {
    let problem = |kind, key: &str, what: String, fix: &str| {
        Stop::Configuration(vec![Problem {
            kind,
            key: key.to_owned(),
            origin: loaded.origin(key),
            what,
            fix: fix.to_owned(),
        }])
    };
    match error {
        DockerError::Config(problems) => {
            problem(Kind::BadValue, "sandbox.docker", problems.join("; "), "set it within its bounds")
        }
        error => {
            let waited = loaded.config.sandbox.start_deadline_secs;
            let context = match &error {
                DockerError::Unreachable(_) => {
                    format!("the sandboxes are to run in Docker, which was waited for {waited} s")
                }
                _ => "the sandboxes are to run in Docker, which cannot be used as it is".to_owned(),
            };
            Stop::Unavailable(vec![anyhow::Error::from(error).context(context)])
        }
    }
}

/// The Docker runtime's settings, with the deployment that holds. It must be another one for each store: a server removes
/// the containers of its deployment that no session of its store has.
fn docker_config(loaded: &Loaded) -> Result<lockkeeper_docker_runtime::Config> {
    let mut config = loaded.config.sandbox.docker.clone();
    if !loaded.is_set("sandbox.docker.deployment") {
        config.deployment = deployment(&loaded.config)?;
    }
    Ok(config)
}

fn deployment(config: &Config) -> Result<String> {
    match config.store.kind {
        Some(StoreKind::Memory) => Ok(format!("memory-{}", random::hex::<8>()?)),
        Some(StoreKind::Redis) => {
            // Whoever shares a Redis shares its sessions, and so their containers.
            let url = config.store.url.as_ref().map(ExposeSecret::expose_secret).unwrap_or_default();
            let address = url.split_once("://").map_or(url, |(_, address)| address);
            let place = address.rsplit_once('@').map_or(address, |(_, place)| place);
            Ok(format!("redis-{}", short_hash(&[place.as_bytes()])))
        }
        Some(StoreKind::Embedded) | None => {
            let store = config.store.embedded().path.unwrap_or_default();
            let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            name_of_store(&remembered_name(folder)?, folder, &store)
        }
    }
}

/// The name of one store of a folder. A second store of the folder, and a copy of the folder elsewhere, hold other sessions
/// and must not take the first one's containers for orphans.
fn name_of_store(remembered: &str, folder: &Path, store: &Path) -> Result<String> {
    let folder = fs::canonicalize(folder).with_context(|| format!("cannot find {}", folder.display()))?;
    let place = folder.join(store.file_name().unwrap_or_default());
    Ok(format!("embedded-{}", short_hash(&[remembered.as_bytes(), b"\0", place.as_os_str().as_encoded_bytes()])))
}

fn short_hash(parts: &[&[u8]]) -> String {
    let hash = Sha256::digest(parts.concat());
    hash.iter().take(8).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The name in the folder's file, which is made by whoever comes first.
fn remembered_name(folder: &Path) -> Result<String> {
    let path = folder.join(DEPLOYMENT);
    let context = || format!("the deployment's name cannot be kept in {}", path.display());
    fs::create_dir_all(folder).with_context(context)?;
    // Whole or not at all: of two that come at once, both then read the same one.
    let fresh = folder.join(format!("{DEPLOYMENT}.{}", random::hex::<4>()?));
    if !path.exists() {
        fs::write(&fresh, format!("embedded-{}\n", random::hex::<8>()?)).with_context(context)?;
        let linked = fs::hard_link(&fresh, &path);
        let _ = fs::remove_file(&fresh);
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error).with_context(context),
            _ => {}
        }
    }
    Ok(fs::read_to_string(&path).with_context(context)?.trim().to_owned())
}

async fn local(config: &Config, workspace: Option<&Path>) -> Result<Sandboxes> {
    let mut local = config.sandbox.local.clone();
    let lock = lock(&local.state_dir)?;
    local.read_only.extend(workspace.map(Path::to_owned));
    let runtime = LocalRuntime::new(local, Arc::new(SystemClock)).await.map_err(|error| match error {
        LocalError::Config(problems) => anyhow::anyhow!("the sandbox runtime cannot start: {}", problems.join("; ")),
        error @ LocalError::Impossible(_) => error.into(),
    })?;
    Ok(Sandboxes { runtime: Arc::new(runtime), image: None, lock: Some(lock) })
}

/// Makes sure that no other server has its sandboxes in the same place: each would take the other's for orphans.
fn lock(sandboxes: &Path) -> Result<fs::File> {
    let path = sandboxes.with_added_extension("lock");
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {}", dir.display()))?;
    }
    let file = fs::File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => {
            bail!("another server has its sandboxes in {}: end it, or set sandbox.local.state_dir", sandboxes.display())
        }
        Err(fs::TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_keeps_the_name_of_its_deployment_and_two_have_two() {
        let (one, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let at = |dir: &Path| {
            let mut config = Config::default();
            config.store.embedded.path = Some(dir.join("state/store.redb"));
            deployment(&config).expect("a name")
        };
        let name = at(one.path());
        assert_eq!(at(one.path()), name);
        assert_ne!(at(other.path()), name);
        assert_eq!(fs::read_dir(one.path().join("state")).expect("listed").count(), 1);
        let mut config = Config::default();
        config.store.embedded.path = Some(one.path().join("state/second.redb"));
        assert_ne!(deployment(&config).expect("a name"), name, "another store of the folder");
        let copy = other.path().join("copy");
        fs::create_dir(&copy).expect("a folder");
        fs::copy(one.path().join("state").join(DEPLOYMENT), copy.join(DEPLOYMENT)).expect("copied");
        config.store.embedded.path = Some(copy.join("store.redb"));
        assert_ne!(deployment(&config).expect("a name"), name, "a copy of the folder");
        let config = lockkeeper_docker_runtime::Config { deployment: name, ..Default::default() };
        assert_eq!(config.problems(), Vec::<String>::new());
    }

    #[test]
    fn servers_that_share_a_redis_share_their_containers_whoever_they_log_in_as() {
        let at = |url: &str| {
            let mut config = Config::default();
            config.store.kind = Some(StoreKind::Redis);
            config.store.url = Some(url.into());
            deployment(&config).expect("a name")
        };
        assert_eq!(at("redis://a:secret@host:6379/1"), at("redis://host:6379/1"));
        assert_ne!(at("redis://host:6379/1"), at("redis://host:6379/2"));
    }
}
