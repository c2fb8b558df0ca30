//! `lockkeeper completions`.

use crate::cli::Cli;
use clap::CommandFactory as _;
use clap_complete::{Shell, generate};

/// Prints what completes the command line in this shell.
pub(crate) fn completions(shell: Shell) {
    // It panics where it cannot write.
    let mut text = Vec::new();
    generate(shell, &mut Cli::command(), "lockkeeper", &mut text);
    print!("{}", String::from_utf8_lossy(&text));
}
