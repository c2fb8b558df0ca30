//! Real containers, against the contract, against abuse and against what befalls engines. What this machine lacks makes the
//! checks ignored, with the command that provides it; where `CI` is true it makes them fail.

mod abuse;
mod bench;
mod daemon;
mod faults;
mod image;
mod manners;
mod measure;
mod podman;
mod proxy;
mod servers;
mod stalls;

use bench::Bench;
use futures::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Completion, Trial};
use lockkeeper_ports::SandboxRuntime;
use lockkeeper_testkit::sandbox::CASES;
use std::process::ExitCode;

/// One check; `lacks` says why it cannot be made.
struct Check {
    name: String,
    lacks: Option<String>,
    run: Box<dyn FnOnce() -> LocalBoxFuture<'static, ()> + Send>,
}

/// A check that needs nothing but the engine.
macro_rules! check {
    ($name:ident) => {
        $crate::Check { name: stringify!($name).into(), lacks: None, run: Box::new(|| Box::pin($name())) }
    };
}
pub(crate) use check;

fn main() -> ExitCode {
    let mut others = std::env::args_os().skip(1);
    match others.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some(manners::HOLD) => return manners::hold(others),
        Some(manners::DIAGNOSE) => return manners::diagnose_here(others),
        Some(measure::ARGUMENT) => {
            block_on(measure::run());
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let arguments = Arguments::from_args();
    let missing = block_on(bench::look()).err();
    let is_ci = std::env::vars().any(|(name, value)| name == "CI" && ["true", "1"].contains(&value.as_str()));
    let trials = checks().into_iter().map(|check| match missing.clone().or(check.lacks) {
        Some(reason) if is_ci => Trial::test(check.name, move || Err(reason.into())),
        Some(reason) => {
            Trial::ignorable_test(check.name, || Ok(Completion::ignored_with(reason))).with_ignored_flag(true)
        }
        None => Trial::test(check.name, move || {
            block_on((check.run)());
            Ok(())
        }),
    });
    let trials = trials.collect();
    if let Some(reason) = missing.filter(|_| arguments.list) {
        eprintln!("the checks of real containers cannot be made: {reason}");
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn checks() -> Vec<Check> {
    let contract = CASES.iter().map(|case| Check {
        name: format!("contract::{}", case.name),
        lacks: None,
        run: Box::new(move || {
            Box::pin(async move {
                let bench = Bench::new().await;
                (case.check)(&bench.runtime as &dyn SandboxRuntime).await;
            })
        }),
    });
    contract
        .chain(abuse::checks())
        .chain(faults::checks())
        .chain(manners::checks())
        .chain(podman::checks())
        .chain(servers::checks())
        .chain(stalls::checks())
        .collect()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a tokio runtime").block_on(future)
}
