//! The contract of `SandboxRuntime`, a fake one, and one that stalls.

pub mod contract;
mod fake;
mod stalling;

pub use fake::{FakeProcess, FakeSandboxRuntime};
pub use stalling::StallingRuntime;

use futures::future::BoxFuture;
use lockkeeper_ports::SandboxRuntime;

/// A clause of the contract.
#[derive(Clone, Copy)]
pub struct Case {
    /// What it claims.
    pub name: &'static str,
    /// Whether it is about isolation, and says nothing of a runtime that claims none.
    pub about_isolation: bool,
    /// Panics when the runtime breaks it. The runtime should have no sandboxes yet; there must be a POSIX `sh` in them.
    pub check: for<'a> fn(&'a dyn SandboxRuntime) -> BoxFuture<'a, ()>,
}

macro_rules! cases {
    ($($name:ident $(($isolation:ident))?),* $(,)?) => {
        /// All clauses of the contract, for a test harness of one's own. Others use
        /// [`sandbox_contract!`](crate::sandbox_contract).
        pub const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            about_isolation: cases!(@ $($isolation)?),
            check: |runtime| Box::pin(contract::$name(runtime)),
        }),*];
    };
    (@ isolation) => { true };
    (@) => { false };
}

cases![
    a_process_talks_over_its_streams,
    standard_error_stays_apart,
    exit_codes_come_through,
    a_signal_comes_through,
    a_missing_command_is_no_success,
    an_environment_reaches_its_process_alone,
    the_workspace_persists_between_processes,
    two_sandboxes_share_no_files,
    two_epochs_of_a_session_are_two_sandboxes,
    two_sandboxes_do_not_see_each_others_processes(isolation),
    two_servers_share_the_workspace,
    two_servers_share_no_home,
    two_servers_cannot_reach_each_others_processes(isolation),
    dropping_an_exec_ends_its_tree,
    killing_an_exec_ends_its_tree,
    stopping_ends_everything_and_is_idempotent,
    a_stopped_sandbox_is_gone,
    a_flood_that_nobody_reads_waits,
    many_processes_run_at_once,
    every_sandbox_is_listed,
    progress_is_told,
];

/// Makes one test of each clause of the contract of `SandboxRuntime`. The expression, which may await, yields a fresh
/// runtime and whatever must live as long as it does:
///
/// ```ignore
/// lockkeeper_testkit::sandbox_contract!({
///     let directory = tempfile::tempdir()?;
///     (LocalRuntime::new(config(&directory), clock()).await?, directory)
/// });
/// ```
#[macro_export]
macro_rules! sandbox_contract {
    ($make:expr) => {
        $crate::sandbox_contract!(@ $make,
            a_process_talks_over_its_streams,
            standard_error_stays_apart,
            exit_codes_come_through,
            a_signal_comes_through,
            a_missing_command_is_no_success,
            an_environment_reaches_its_process_alone,
            the_workspace_persists_between_processes,
            two_sandboxes_share_no_files,
            two_epochs_of_a_session_are_two_sandboxes,
            two_sandboxes_do_not_see_each_others_processes,
            two_servers_share_the_workspace,
            two_servers_share_no_home,
            two_servers_cannot_reach_each_others_processes,
            dropping_an_exec_ends_its_tree,
            killing_an_exec_ends_its_tree,
            stopping_ends_everything_and_is_idempotent,
            a_stopped_sandbox_is_gone,
            a_flood_that_nobody_reads_waits,
            many_processes_run_at_once,
            every_sandbox_is_listed,
            progress_is_told,
        );
    };
    (@ $make:expr, $($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let (runtime, _alive) = $make;
                $crate::sandbox::contract::$name(&runtime).await;
            }
        )*

        #[test]
        fn every_clause_of_the_contract_is_tested() {
            let tested = [$(stringify!($name)),*];
            let clauses: Vec<_> = $crate::sandbox::CASES.iter().map(|case| case.name).collect();
            assert_eq!(tested.as_slice(), clauses);
        }
    };
}
