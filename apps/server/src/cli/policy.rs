use super::examples;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `lockkeeper policy ..`.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Print everything that is wrong with a file of rules. Exit code 78 where something is.
    #[command(after_help = examples::POLICY_CHECK)]
    Check {
        /// The file, as `policy.file` would name it.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print what a file of rules would have decided of calls that are past, beside what was. It is played as `policy.file`,
    /// together with `[[policy.rules]]`. Secrets in arguments, and grants and rules of users, are not played.
    #[command(after_help = examples::POLICY_SIMULATE)]
    Simulate(SimulateArgs),
}

/// `lockkeeper policy simulate`.
#[derive(Args, Debug)]
pub(crate) struct SimulateArgs {
    /// The file, as `policy.file` would name it.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Whose sessions to read from the store. Can be repeated. By default everybody whom the configuration names.
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Vec<String>,
    /// Read the sessions' logs from this file, and not from the store.
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    pub(crate) log: Option<PathBuf>,
    /// Write the logs that were read to this file, for `--log`. They hold what users said.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Print the calls alone that would be decided otherwise.
    #[arg(long)]
    pub(crate) changes: bool,
}
