use super::examples;
use clap::Subcommand;

/// `lockkeeper config ..`.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print what is set, secrets masked.
    #[command(after_help = examples::CONFIG_SHOW)]
    Show {
        /// Say where each value comes from.
        #[arg(long)]
        origin: bool,
        /// Print JSON: a list of `key`, `value` and `origin`.
        #[arg(long)]
        json: bool,
    },
    /// Print everything that is wrong for `serve`, or for `dev`.
    #[command(after_help = examples::CONFIG_CHECK)]
    Check {
        /// Check for `lockkeeper dev`, which stands in for what is missing.
        #[arg(long)]
        dev: bool,
        /// Print JSON: `problems` and `notices`.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of the whole configuration, with descriptions and defaults.
    #[command(after_help = examples::CONFIG_SCHEMA)]
    Schema {
        /// Print the page docs/configuration.md instead.
        #[arg(long)]
        markdown: bool,
    },
}
