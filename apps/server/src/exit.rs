//! Exit codes, and why a command ends early.

use crate::{
    config::{Problem, Report},
    print::is_broken_pipe,
};
use std::process::ExitCode;

/// A dependency is unavailable (`EX_UNAVAILABLE` of sysexits.h).
pub(crate) const UNAVAILABLE: u8 = 69;
/// A tool call of `chat` was denied, and every turn came to its end.
pub(crate) const CALL_DENIED: u8 = 3;
/// The configuration is wrong (`EX_CONFIG` of sysexits.h).
pub(crate) const CONFIGURATION: u8 = 78;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something failed: exit code 1.
    Failed(anyhow::Error),
    /// Dependencies are unavailable: exit code 69.
    Unavailable(Vec<anyhow::Error>),
    /// The configuration is wrong: exit code 78.
    Configuration(Vec<Problem>),
}

impl Stop {
    /// Tells the user why, and with which code to exit.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            // Whoever read has seen enough.
            Self::Failed(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
            Self::Failed(error) => {
                eprintln!("lockkeeper: {error:#}");
                ExitCode::FAILURE
            }
            Self::Unavailable(errors) => {
                for error in errors {
                    eprintln!("lockkeeper: {error:#}");
                }
                ExitCode::from(UNAVAILABLE)
            }
            Self::Configuration(problems) => {
                eprint!("lockkeeper: {}", Report(&problems));
                ExitCode::from(CONFIGURATION)
            }
        }
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<std::io::Error> for Stop {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.into())
    }
}
