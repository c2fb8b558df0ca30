use anyhow::Result;
use libtest_mimic::{Failed, Trial};
use lockkeeper_tests::{Redis, RedisCluster, Server, Setup, Tool, docker, is_ci, sweep};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    rc::Rc,
};
use tempfile::TempDir;

/// A test: its name, what it needs, and what it does.
pub(crate) struct Case {
    name: String,
    tools: Vec<Tool>,
    runtime: Runtime,
    store: Store,
    run: Box<dyn FnOnce(Runtime, Store) -> Result<(), Failed> + Send>,
}

/// What runs a case's sandboxes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runtime {
    Local,
    Docker,
}

/// Where a case's sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    File,
    Redis,
    Cluster,
}

/// The same, running.
enum Kept {
    File,
    Redis(Redis),
    Cluster(RedisCluster),
}

impl Kept {
    fn start(store: Store, folder: &Path) -> Result<Self> {
        Ok(match store {
            Store::File => Self::File,
            Store::Redis => Self::Redis(Redis::start(folder)?),
            Store::Cluster => Self::Cluster(RedisCluster::start(folder)?),
        })
    }

    /// The address of a Redis.
    fn url(&self) -> Option<String> {
        match self {
            Self::File => None,
            Self::Redis(redis) => Some(redis.url()),
            Self::Cluster(cluster) => Some(cluster.url()),
        }
    }
}

/// What a case has to itself.
pub(crate) struct Ground {
    /// Before the folder, where it writes.
    kept: Kept,
    folder: TempDir,
    runtime: Runtime,
}

/// By then its servers are dropped, hence killed.
impl Drop for Ground {
    fn drop(&mut self) {
        sweep(self.folder());
        if self.runtime == Runtime::Docker {
            docker::sweep_containers(&self.deployment());
        }
    }
}

impl Ground {
    /// Where the case's servers write.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A server with the defaults of these tests: the demo provider without pauses, a store in a file, sandboxes by the
    /// runtime of this case, no authentication.
    pub(crate) fn setup(&self) -> Setup {
        let setup = match self.kept.url() {
            None => Setup::serve(self.folder()),
            Some(url) => {
                let store = "store.kind = 'redis'\nstore.redis.operation_timeout_ms = 5000";
                Setup::serve(self.folder()).config(store).env("REDIS_URL", &url)
            }
        };
        match self.runtime {
            Runtime::Local => setup,
            Runtime::Docker => setup.config(&self.docker_settings()),
        }
    }

    /// The address of the Redis that keeps its sessions, where one does.
    pub(crate) fn redis_url(&self) -> Option<String> {
        self.kept.url()
    }

    /// What makes a server use containers that are this case's alone.
    pub(crate) fn docker_settings(&self) -> String {
        format!(
            "sandbox.runtime = 'docker'
             sandbox.docker.host = 'unix://{}'
             sandbox.docker.image = '{}'
             sandbox.docker.deployment = '{}'
             sandbox.docker.start_timeout_ms = 60000
             sandbox.docker.api_timeout_ms = 30000
             sandbox.docker.stop_timeout_ms = 30000
             session.warm_sandboxes = 0",
            docker::socket().display(),
            docker::IMAGE,
            self.deployment(),
        )
    }

    /// Whose this case's containers are.
    pub(crate) fn deployment(&self) -> String {
        self.folder().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// The cluster of a case that runs over one.
    pub(crate) fn cluster(&self) -> &RedisCluster {
        match &self.kept {
            Kept::Cluster(cluster) => cluster,
            Kept::File | Kept::Redis(_) => panic!("this case has no cluster"),
        }
    }

    /// What runs its sandboxes.
    pub(crate) fn runtime(&self) -> Runtime {
        self.runtime
    }

    /// How many sandboxes there are.
    pub(crate) fn sandboxes(&self) -> Result<usize> {
        if self.runtime == Runtime::Docker {
            return Ok(docker::containers(&self.deployment())?.len());
        }
        match fs::read_dir(self.folder().join(".lockkeeper/sandboxes")) {
            Ok(entries) => Ok(entries.filter_map(Result::ok).filter(|entry| entry.path().is_dir()).count()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// The same, started.
    pub(crate) async fn server(&self) -> Result<Server> {
        self.setup().start().await
    }
}

/// The cases of a module, by the names of their functions: `cases![a, b needs JavaScript]`.
macro_rules! cases {
    ($($name:ident $(needs $($tool:ident),+)?;)*) => {
        vec![$($crate::case::Case::new(
            concat!(module_path!(), "::", stringify!($name)),
            &[$($(lockkeeper_tests::Tool::$tool),+)?],
            $name,
        )),*]
    };
}
pub(crate) use cases;

impl Case {
    pub(crate) fn new<F, R>(path: &'static str, tools: &'static [Tool], run: F) -> Self
    where
        F: FnOnce(Rc<Ground>) -> R + Send + 'static,
        R: Future<Output = Result<()>>,
    {
        // The crate's own name says nothing.
        let name = path.split_once("::").map_or(path, |(_, rest)| rest).to_owned();
        let run = Box::new(move |runtime, store| play(runtime, store, run));
        Self { name, tools: tools.to_vec(), runtime: Runtime::Local, store: Store::File, run }
    }

    /// The same with containers for sandboxes.
    pub(crate) fn on_docker(mut self) -> Self {
        if !self.name.starts_with("docker::") {
            self.name = format!("docker::{}", self.name);
        }
        self.tools.push(Tool::Docker);
        Self { runtime: Runtime::Docker, ..self }
    }

    /// The same with a Redis for its sessions.
    pub(crate) fn on_redis(mut self) -> Self {
        if !self.name.starts_with("redis::") {
            self.name = format!("redis::{}", self.name);
        }
        self.tools.push(Tool::Redis);
        Self { store: Store::Redis, ..self }
    }

    /// The same with a cluster of Redis nodes for its sessions.
    pub(crate) fn on_cluster(mut self) -> Self {
        let name = self.name.strip_prefix("redis::").unwrap_or(&self.name);
        if !name.starts_with("cluster::") {
            self.name = format!("cluster::{name}");
        }
        self.tools.push(Tool::Redis);
        Self { store: Store::Cluster, ..self }
    }

    /// Whether it needs nothing but the server.
    pub(crate) fn has_no_tools(&self) -> bool {
        self.tools.is_empty()
    }

    /// Why it cannot run here.
    fn obstacles(&self) -> Vec<String> {
        self.tools.iter().filter_map(|tool| tool.missing()).collect()
    }

    pub(crate) fn into_trial(self) -> Trial {
        let obstacles = self.obstacles().join("; ");
        if obstacles.is_empty() {
            let (runtime, store) = (self.runtime, self.store);
            return Trial::test(self.name, move || (self.run)(runtime, store));
        }
        Trial::test(self.name, move || Err(Failed::from(obstacles))).with_ignored_flag(!is_ci())
    }
}

/// What cannot run here, by its reason.
pub(crate) fn missing(cases: &[Case]) -> Vec<String> {
    let mut reasons: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for case in cases {
        for reason in case.obstacles() {
            reasons.entry(reason).or_default().insert(&case.name);
        }
    }
    let outcome = if is_ci() { "failed" } else { "ignored" };
    let names = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
    reasons.into_iter().map(|(reason, cases)| format!("{outcome}: {reason}\n  for {}", names(cases))).collect()
}

/// Runs a case on a ground of its own; what its server said goes with a failure.
fn play<F, R>(runtime: Runtime, store: Store, run: F) -> Result<(), Failed>
where
    F: FnOnce(Rc<Ground>) -> R,
    R: Future<Output = Result<()>>,
{
    if runtime == Runtime::Docker {
        docker::need_image().map_err(|error| format!("the image of the sandboxes cannot be made: {error:#}"))?;
    }
    let folder = tempfile::Builder::new().prefix("lockkeeper-e2e-").tempdir()?;
    let kept = Kept::start(store, folder.path()).map_err(|error| format!("{error:#}"))?;
    let ground = Rc::new(Ground { kept, folder, runtime });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(Rc::clone(&ground))).map_err(|error| {
        let said = fs::read_to_string(ground.folder().join("server.log")).unwrap_or_default();
        Failed::from(format!("{error:#}\n--- the server said:\n{said}"))
    })
}
