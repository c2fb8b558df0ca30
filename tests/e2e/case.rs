use anyhow::Result;
use libtest_mimic::{Failed, Trial};
use lockkeeper_tests::{Server, Setup, Tool, is_ci, sweep};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    rc::Rc,
};
use tempfile::TempDir;

/// A test: its name, what it needs, and what it does.
pub(crate) struct Case {
    name: &'static str,
    tools: &'static [Tool],
    run: Box<dyn FnOnce() -> Result<(), Failed> + Send>,
}

/// What a case has to itself.
pub(crate) struct Ground {
    folder: TempDir,
}

/// By then its servers are dropped, hence killed.
impl Drop for Ground {
    fn drop(&mut self) {
        sweep(self.folder());
    }
}

impl Ground {
    /// Where the case's servers write.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A server with the defaults of these tests: the demo provider without pauses, a store in a file, sandboxes by the
    /// local runtime, no authentication.
    pub(crate) fn setup(&self) -> Setup {
        Setup::serve(self.folder())
    }

    /// How many sandboxes have a directory.
    pub(crate) fn sandboxes(&self) -> Result<usize> {
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
        let name = path.split_once("::").map_or(path, |(_, rest)| rest);
        Self { name, tools, run: Box::new(move || play(run)) }
    }

    /// Why it cannot run here.
    fn obstacles(&self) -> Vec<String> {
        self.tools.iter().filter_map(|tool| tool.missing()).collect()
    }

    pub(crate) fn into_trial(self) -> Trial {
        let obstacles = self.obstacles().join("; ");
        if obstacles.is_empty() {
            return Trial::test(self.name, self.run);
        }
        Trial::test(self.name, move || Err(Failed::from(obstacles))).with_ignored_flag(!is_ci())
    }
}

/// What cannot run here, by its reason.
pub(crate) fn missing(cases: &[Case]) -> Vec<String> {
    let mut reasons: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for case in cases {
        for reason in case.obstacles() {
            reasons.entry(reason).or_default().insert(case.name);
        }
    }
    let outcome = if is_ci() { "failed" } else { "ignored" };
    let names = |names: BTreeSet<&str>| names.into_iter().collect::<Vec<_>>().join(", ");
    reasons.into_iter().map(|(reason, cases)| format!("{outcome}: {reason}\n  for {}", names(cases))).collect()
}

/// Runs a case on a ground of its own; what its server said goes with a failure.
fn play<F, R>(run: F) -> Result<(), Failed>
where
    F: FnOnce(Rc<Ground>) -> R,
    R: Future<Output = Result<()>>,
{
    let folder = tempfile::Builder::new().prefix("lockkeeper-e2e-").tempdir()?;
    let ground = Rc::new(Ground { folder });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(Rc::clone(&ground))).map_err(|error| {
        let said = fs::read_to_string(ground.folder().join("server.log")).unwrap_or_default();
        Failed::from(format!("{error:#}\n--- the server said:\n{said}"))
    })
}
