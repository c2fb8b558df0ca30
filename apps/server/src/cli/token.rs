use super::examples;
use clap::{Args, Subcommand};
use lockkeeper_domain::Power;

/// `lockkeeper token ..`.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make a token for a user, and print it: a line of `[auth.tokens]` for `auth.mode = "static"`, or, where the mode is `jwt`
    /// and `auth.jwt.secret` is set, a JSON Web Token that the server takes at once.
    #[command(after_help = examples::TOKEN_CREATE)]
    Create(TokenCreateArgs),
}

/// `lockkeeper token create`.
#[derive(Args, Debug)]
pub(crate) struct TokenCreateArgs {
    /// Whom the token stands for.
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// How long a JSON Web Token is valid, in seconds. Static tokens are valid until they are removed.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    pub(crate) valid_secs: u64,
    /// What the bearer of a JSON Web Token may do (drive, decide, approve, observe), where `auth.jwt.powers_claim` is set. Can
    /// be repeated.
    #[arg(long = "power", value_name = "POWER", value_parser = power, default_values = ["drive", "decide"])]
    pub(crate) powers: Vec<Power>,
}

fn power(name: &str) -> Result<Power, String> {
    Power::named(name).ok_or_else(|| "the powers are drive, decide, approve and observe".to_owned())
}
