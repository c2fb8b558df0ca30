use super::session_id;
use clap::{Args, Subcommand};

/// `lockkeeper sessions ..`.
#[derive(Args, Debug)]
pub(crate) struct SessionsArgs {
    /// Where the server is. By default the one that has the configured store, or where the configuration has it listen.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The server's admin token: `http.admin_token` of the configuration by default.
    #[arg(long, global = true, value_name = "TOKEN", env = "LOCKKEEPER_ADMIN_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// Print JSON, as the server says it.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: SessionsCommand,
}

/// What to do with sessions.
#[derive(Debug, Subcommand)]
pub(crate) enum SessionsCommand {
    /// List the sessions, the last used first.
    List {
        /// Those of this user alone.
        #[arg(long, value_name = "NAME")]
        owner: Option<String>,
        /// How many at most.
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Tell what is known of a session, its open calls included.
    Show {
        /// The session.
        #[arg(value_name = "ID", value_parser = session_id)]
        id: String,
    },
    /// End a session: open turns are cancelled, its sandbox goes, its history stays.
    End {
        /// The session.
        #[arg(value_name = "ID", value_parser = session_id)]
        id: String,
    },
}
