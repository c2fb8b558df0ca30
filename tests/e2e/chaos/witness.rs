use anyhow::{Context, Result, ensure};
use lockkeeper_tests::Oracle;
use rustix::fs::{CWD, Mode, mkfifoat};
use serde_json::Value;
use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    thread::{self, JoinHandle},
    time::Instant,
};

/// The last line, which no call writes.
const END: &str = "end";

/// Hears of every call that runs, by a pipe that lies outside of the sandboxes: one that is removed with its server takes
/// nothing from it. A sandbox may not write there, but a pipe is no file to the kernel.
pub(super) struct Witness {
    folder: PathBuf,
    /// Writes, so that the pipe stays open whatever ends.
    writer: File,
    reader: JoinHandle<std::io::Result<Vec<Ran>>>,
}

/// A call that ran.
#[derive(Clone, Debug)]
pub(super) struct Ran {
    pub(super) name: String,
    pub(super) at: Instant,
}

impl Witness {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        fs::create_dir(folder)?;
        let pipe = folder.join("pipe");
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR)?;
        // The sandboxes' users are others than the server's.
        fs::set_permissions(&pipe, fs::Permissions::from_mode(0o666))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
        let writer = File::options().read(true).write(true).open(&pipe)?;
        let lines = BufReader::new(writer.try_clone()?).lines();
        let until_end = |line: &std::io::Result<String>| !line.as_ref().is_ok_and(|line| line == END);
        let ran = |line: std::io::Result<String>| line.map(|name| Ran { name, at: Instant::now() });
        let reader = thread::spawn(move || lines.take_while(until_end).map(ran).collect());
        Ok(Self { folder: folder.to_owned(), writer, reader })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn pipe(&self) -> PathBuf {
        self.folder.join("pipe")
    }

    /// Everything that ran.
    pub(super) fn end(mut self) -> Result<Vec<Ran>> {
        writeln!(self.writer, "{END}")?;
        Ok(self.reader.join().ok().context("the witness fell")??)
    }
}

/// Holds what ran against a session's log: each call at most once, none that was not started, and each that has an output.
/// How many of the session's calls ran.
pub(super) fn judge(oracle: &Oracle, ran: &[Ran]) -> Result<usize> {
    let calls = oracle.log().filter(|event| event.name == "tool:calls");
    let calls = calls.flat_map(|event| event.payload.as_array().into_iter().flatten());
    let named = calls.filter_map(|call| Some((name(call)?, call["callId"].as_str()?)));
    let of = |name: &'static str| -> HashSet<&str> {
        oracle.log().filter(|event| event.name == name).filter_map(|event| event.call()).collect()
    };
    let (started, output) = (of("tool:started"), of("tool:output"));
    let mut times: HashMap<&str, usize> = HashMap::new();
    for call in ran {
        *times.entry(&call.name).or_default() += 1;
    }
    let mut told = 0;
    for (name, call) in named {
        let times = times.get(name).copied().unwrap_or_default();
        ensure!(times <= 1, "call {call} ({name}) ran {times} times");
        ensure!(times == 0 || started.contains(call), "call {call} ({name}) ran, and the log says nothing of it");
        ensure!(times == 1 || !output.contains(call), "call {call} ({name}) has an output, and did not run");
        told += times;
    }
    Ok(told)
}

/// By which name a call tells that it runs: `echo NAME > PIPE; ..`
pub(super) fn name(call: &Value) -> Option<&str> {
    call["args"]["command"].as_str()?.strip_prefix("echo ")?.split(' ').next()
}
