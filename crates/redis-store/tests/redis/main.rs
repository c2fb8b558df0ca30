//! The store over real servers, which each test starts for itself and ends.
//!
//! Without a `redis-server` all of it is ignored, with the reason; where `CI=true` it fails instead.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod cluster;
mod contract;
mod crash;
mod environment;
mod failover;
mod faults;
mod indexes;
mod model;
mod owner;
mod proxy;
mod records;
mod refusals;
mod server;
mod ways;

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Failed, Trial};
use std::process::ExitCode;

/// A test.
struct Case {
    name: String,
    /// Why it cannot be run here, if it cannot.
    obstacle: Option<String>,
    run: Box<dyn FnOnce() -> BoxFuture<'static, ()> + Send>,
}

/// The tests of a module, by the names of their functions: `cases![a, b needs obstacle()]`.
macro_rules! cases {
    ($($name:ident $(needs $obstacle:expr)?),* $(,)?) => {
        vec![$(crate::Case {
            name: concat!(module_path!(), "::", stringify!($name)).trim_start_matches("redis::").to_owned(),
            obstacle: None$(.or($obstacle))?,
            run: Box::new(|| Box::pin($name())),
        }),*]
    };
}
use cases;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let suites = [
        contract::cases(),
        crash::cases(),
        failover::cases(),
        faults::cases(),
        indexes::cases(),
        model::cases(),
        records::cases(),
        refusals::cases(),
        ways::cases(),
    ];
    let missing = environment::missing("redis-server", "apt-get install redis-server");
    let trial = |case: Case| match missing.clone().or(case.obstacle) {
        None => Trial::test(case.name, move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on((case.run)());
            Ok(())
        }),
        Some(reason) => {
            if !arguments.list {
                let outcome = if environment::is_ci() { "failed" } else { "ignored" };
                eprintln!("{outcome}: {}: {reason}", case.name);
            }
            Trial::test(case.name, || Err(Failed::from(reason))).with_ignored_flag(!environment::is_ci())
        }
    };
    libtest_mimic::run(&arguments, suites.into_iter().flatten().map(trial).collect()).exit_code()
}
