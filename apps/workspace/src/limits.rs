//! What bounds each tool; every limit is a flag of `serve`.

use std::time::Duration;

use anyhow::{Result, ensure};

/// The limits of one server.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Limits {
    /// Most bytes of text that one `read_file` returns.
    #[arg(long, default_value_t = 256 * 1024, value_parser = clap::value_parser!(u64).range(16..))]
    pub(crate) max_read_bytes: u64,
    /// Largest image, in bytes, that `read_file` returns.
    #[arg(long, default_value_t = 5 * 1024 * 1024)]
    pub(crate) max_image_bytes: u64,
    /// Largest content, in bytes, that `write_file` takes.
    #[arg(long, default_value_t = 4 * 1024 * 1024)]
    pub(crate) max_write_bytes: u32,
    /// Most entries that one `list_files` returns.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_entries: u32,
    /// Bytes kept of each output stream of a command: half from its start, half from its end.
    #[arg(long, default_value_t = 64 * 1024, value_parser = clap::value_parser!(u32).range(16..))]
    pub(crate) max_output_bytes: u32,
    /// Milliseconds after which a command is ended when the call names no timeout.
    #[arg(long, default_value_t = 30_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout_ms: u64,
    /// Longest timeout, in milliseconds, that a call may ask for.
    #[arg(long, default_value_t = 600_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_timeout_ms: u64,
    /// Milliseconds between the TERM and the KILL that end a command.
    #[arg(long, default_value_t = 1000)]
    pub(crate) kill_grace_ms: u64,
    /// Most commands that run at the same time.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_commands: u32,
    /// Milliseconds between two progress notifications of a running command.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..))]
    pub(crate) progress_ms: u64,
}

impl Limits {
    /// Checks what no single flag can say.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(
            self.timeout_ms <= self.max_timeout_ms,
            "--timeout-ms {} is above --max-timeout-ms {}",
            self.timeout_ms,
            self.max_timeout_ms
        );
        Ok(())
    }

    /// Longest line, in bytes, that the transport takes. A longer one is
    /// dropped without an answer, so it must hold any content that
    /// `write_file` takes, and JSON may spend six bytes on one.
    pub(crate) fn max_line_bytes(&self) -> usize {
        const ENVELOPE: usize = 1024 * 1024;
        let content = usize::try_from(self.max_write_bytes).unwrap_or(usize::MAX);
        content.saturating_mul(6).saturating_add(ENVELOPE)
    }

    pub(crate) fn kill_grace(&self) -> Duration {
        Duration::from_millis(self.kill_grace_ms)
    }
}

#[cfg(test)]
impl Limits {
    /// The limits of a server that was given no flags.
    pub(crate) fn of_no_flags() -> Self {
        use clap::{Args as _, FromArgMatches as _};

        let matches = Self::augment_args(clap::Command::new("test")).get_matches_from(["test"]);
        Self::from_arg_matches(&matches).expect("the defaults are valid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_agree_with_each_other() {
        Limits::of_no_flags().check().expect("valid");
    }

    #[test]
    fn a_default_timeout_above_the_maximum_is_refused() {
        let limits = Limits { timeout_ms: 10, max_timeout_ms: 5, ..Limits::of_no_flags() };
        let refusal = limits.check().expect_err("10 is above 5").to_string();
        assert_eq!(refusal, "--timeout-ms 10 is above --max-timeout-ms 5");
    }

    #[test]
    fn the_longest_line_holds_the_largest_content_fully_escaped() {
        let limits = Limits::of_no_flags();
        let content = "\u{1}".repeat(limits.max_write_bytes as usize);
        let line = serde_json::to_string(&content).expect("a string serialises");
        assert!(line.len() < limits.max_line_bytes());
    }
}
