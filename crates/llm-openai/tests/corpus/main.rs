//! Recorded answers of OpenAI and of compatible servers, where `LOCKKEEPER_LLM_CORPUS` names the directory that holds
//! them: each is served on loopback, in chunks of several sizes and cut short, and what the provider makes of it is
//! compared with the recording; requests of later turns are compared with the recorded ones.

mod case;
mod expected;
#[path = "../support/server.rs"]
mod server;
mod turns;

use case::Case;
use libtest_mimic::{Arguments, Completion, Trial};
use std::{collections::BTreeMap, future::Future, path::PathBuf, process::ExitCode};

const VARIABLE: &str = "LOCKKEEPER_LLM_CORPUS";

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match corpus() {
        Ok(cases) => trials(cases),
        Err(reason) => {
            let ignored = move || Ok(Completion::ignored_with(reason));
            vec![Trial::ignorable_test("openai::recorded_answers", ignored).with_ignored_flag(true)]
        }
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn trials(cases: Vec<Case>) -> Vec<Trial> {
    let mut groups: BTreeMap<String, Vec<Case>> = BTreeMap::new();
    let mut trials = Vec::new();
    for case in cases {
        if let Some(group) = case.group.clone() {
            groups.entry(group).or_default().push(case.clone());
        }
        trials.push(trial(format!("openai::decodes::{}", case.name), case::decodes(case.clone())));
        if case.is_stream() {
            trials.push(trial(format!("openai::cut::{}", case.name), case::is_never_whole_when_cut(case)));
        }
    }
    for (group, mut turns) in groups {
        turns.sort_by_key(|case| case.turn);
        trials.push(trial(format!("openai::replays::{group}"), turns::replay(turns)));
    }
    trials
}

fn trial(name: String, check: impl Future<Output = ()> + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(check);
        Ok(())
    })
}

/// All cases, or why there are none.
fn corpus() -> Result<Vec<Case>, String> {
    #[expect(clippy::disallowed_methods, reason = "a test's executable is an edge: nobody hands it a configuration")]
    let root = std::env::var_os(VARIABLE).map(PathBuf::from);
    let root = root.filter(|root| !root.as_os_str().is_empty());
    let root = root.ok_or_else(|| format!("{VARIABLE} names no directory of recorded answers"))?;
    let directory = ["openai", "llm/openai"].iter().map(|below| root.join(below)).find(|path| path.is_dir());
    let directory = directory.unwrap_or_else(|| panic!("{VARIABLE} is {}, without `openai` in it", root.display()));
    let mut cases: Vec<Case> =
        directory.read_dir().expect("a directory").map(|entry| Case::load(&entry.expect("an entry").path())).collect();
    assert!(!cases.is_empty(), "{} is empty", directory.display());
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(cases)
}
