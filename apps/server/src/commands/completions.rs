//! `lockkeeper completions`.

use crate::cli::Cli;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};
use std::io;

/// Prints what completes the command line in this shell.
pub(crate) fn completions(shell: Shell) {
    generate(shell, &mut Cli::command(), "lockkeeper", &mut io::stdout());
}
