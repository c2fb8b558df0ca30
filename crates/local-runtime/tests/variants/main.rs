//! Every way of isolation that this machine has, against the contract and against abuse. Those that it lacks are listed as
//! ignored, with the reason. This executable is also the launcher, the sandboxed abuser and the server that dies.

mod abuse;
mod abuser;
mod bench;
mod death;
mod manners;
mod measure;
mod servers;

use bench::Bench;
use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Completion, Trial};
use lockkeeper_local_runtime::{IsolationChoice, LAUNCHER_ARGUMENT, launcher_main};
use lockkeeper_ports::SandboxRuntime;
use lockkeeper_testkit::sandbox::CASES;
use std::{os::unix::process::CommandExt, process::Command, process::ExitCode};

/// In the environment of the process that plays the server.
const CANARY: &str = "LOCKKEEPER_TEST_CANARY";

/// One check of one variant; `ignored` says why it cannot be made.
struct Check {
    name: String,
    ignored: Option<String>,
    run: Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some(LAUNCHER_ARGUMENT) => return launcher_main(arguments),
        Some(abuser::ARGUMENT) => return abuser::run(arguments),
        Some(death::ARGUMENT) => return death::hold(arguments),
        Some(measure::ARGUMENT) => {
            block_on(measure::run());
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    if std::env::vars_os().all(|(name, _)| name != CANARY) {
        let again =
            Command::new("/proc/self/exe").args(std::env::args_os().skip(1)).env(CANARY, "server-secret").exec();
        eprintln!("starting anew with a canary: {again}");
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for choice in bench::VARIANTS {
        let missing = block_on(async { Bench::new(choice).await.map(drop).err() });
        for check in checks(choice) {
            let name = format!("{}::{}", bench::name(choice), check.name);
            trials.push(match missing.clone().or(check.ignored) {
                Some(reason) => {
                    Trial::ignorable_test(name, || Ok(Completion::ignored_with(reason))).with_ignored_flag(true)
                }
                None => Trial::test(name, move || {
                    block_on((check.run)());
                    Ok(())
                }),
            });
        }
        if let Some(reason) = missing {
            eprintln!("{} is ignored: {reason}", bench::name(choice));
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn checks(choice: IsolationChoice) -> Vec<Check> {
    let claims = choice != IsolationChoice::None;
    let unclaimed = |about_isolation: bool| (about_isolation && !claims).then(|| "claims no isolation".to_owned());
    let contract = CASES.iter().map(move |case| Check {
        name: case.name.into(),
        ignored: unclaimed(case.about_isolation),
        run: Box::new(move || {
            Box::pin(async move {
                let bench = Bench::new(choice).await.expect("it worked before");
                (case.check)(&bench.runtime as &dyn SandboxRuntime).await;
            })
        }),
    });
    contract
        .chain(manners::checks(choice))
        .chain(abuse::checks(choice))
        .chain(death::checks(choice))
        .chain(servers::checks(choice))
        .collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a tokio runtime").block_on(future)
}
