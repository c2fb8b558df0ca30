use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::SystemTime,
};

/// The programs under test, beside the test's own executable.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// `lockkeeper`.
    pub server: PathBuf,
    /// `lockkeeper-workspace`.
    pub workspace: PathBuf,
}

impl Binaries {
    /// Finds both, and builds them first where one is missing or older than what it was made of.
    pub fn find() -> Result<&'static Self> {
        static FOUND: OnceLock<Result<Binaries, String>> = OnceLock::new();
        let found = FOUND.get_or_init(|| Self::look().map_err(|error| format!("{error:#}")));
        found.as_ref().map_err(|error| anyhow::anyhow!("{error}"))
    }

    fn look() -> Result<Self> {
        let executable = std::env::current_exe()?;
        // target/<profile>/deps/<this test>
        let folder =
            executable.parent().and_then(Path::parent).context("the test lies outside of a target directory")?;
        let both = Self { server: folder.join("lockkeeper"), workspace: folder.join("lockkeeper-workspace") };
        if !(is_fresh(&both.server) && is_fresh(&both.workspace)) {
            build(folder)?;
        }
        Ok(both)
    }
}

/// Whether a program is as new as all that it was made of, by the list that cargo keeps beside it.
fn is_fresh(program: &Path) -> bool {
    is_as_new(program, &program.with_extension("d"))
}

/// Whether a program is as new as all that is on this list of cargo's.
pub(crate) fn is_as_new(program: &Path, list: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|found| found.modified()).ok();
    let sources = |list: String| -> Option<SystemTime> {
        let (_, sources) = list.split_once(':')?;
        sources
            .split_whitespace()
            .map(|path| modified(Path::new(path)))
            .try_fold(SystemTime::UNIX_EPOCH, |newest, at| Some(newest.max(at?)))
    };
    let newest = fs::read_to_string(list).ok().and_then(sources);
    matches!((modified(program), newest), (Some(built), Some(newest)) if built >= newest)
}

fn build(folder: &Path) -> Result<()> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo.args(["build", "--quiet", "-p", "lockkeeper", "-p", "lockkeeper-workspace"]);
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    ensure!(cargo.status()?.success(), "the server cannot be built");
    // What cargo found up to date stays as old as it was: say so, for the next test.
    for name in ["lockkeeper", "lockkeeper-workspace"] {
        fs::File::open(folder.join(name))?.set_modified(now())?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "compared with the times of files, which no clock of ours sets")]
fn now() -> SystemTime {
    SystemTime::now()
}
