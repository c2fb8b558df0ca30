//! The command line.

mod audit;
mod config;
mod examples;
mod image;
mod mcp;
mod policy;
mod sessions;
mod token;

pub(crate) use audit::AuditCommand;
pub(crate) use config::ConfigCommand;
pub(crate) use image::{ImageBuildArgs, ImageCommand};
pub(crate) use mcp::{McpAddArgs, McpCommand, McpImportArgs, McpTestArgs, McpToolsArgs};
pub(crate) use policy::{PolicyCommand, SimulateArgs};
pub(crate) use sessions::{SessionsArgs, SessionsCommand};
pub(crate) use token::{TokenCommand, TokenCreateArgs};

use crate::config::Setting;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::{net::IpAddr, path::PathBuf};

/// A self-hosted MCP orchestrator: every tool call of the model waits at a gate until a human, or a rule that a human
/// wrote, lets it through.
///
/// Exit codes: 0 done, 1 failed, 2 wrong usage, 69 something that is needed is unavailable, 78 wrong configuration.
#[derive(Debug, Parser)]
#[command(name = "lockkeeper", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    /// Read this file instead of ./lockkeeper.toml.
    #[arg(long, global = true, value_name = "FILE", env = "LOCKKEEPER_CONFIG")]
    pub(crate) config: Option<PathBuf>,

    /// Set a value of the configuration, as in `--set session.max_steps=8`. Comes before all files and variables.
    #[arg(long = "set", global = true, value_name = "KEY=VALUE", value_parser = assignment)]
    pub(crate) settings: Vec<(String, String)>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a server on this machine for this machine. Stands in for what is missing, and says so.
    #[command(after_help = examples::DEV)]
    Dev(DevArgs),
    /// Run a server. What the configuration names must be there.
    #[command(after_help = examples::SERVE)]
    Serve(ServeArgs),
    /// Talk with a model in the terminal.
    #[command(after_help = examples::CHAT)]
    Chat(ChatArgs),
    /// Read and check what was decided over tool calls.
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Look at MCP servers, try them out, and add them to the configuration.
    Mcp {
        #[command(subcommand)]
        command: McpCommand,
    },
    /// Look at a file of rules before it is put in force.
    Policy {
        #[command(subcommand)]
        command: PolicyCommand,
    },
    /// Make the image that sandboxes in containers start from.
    Image {
        #[command(subcommand)]
        command: ImageCommand,
    },
    /// Look at what a server needs, and say what is missing and how to get it. Exit code 1 where something is.
    #[command(after_help = examples::DOCTOR)]
    Doctor(DoctorArgs),
    /// Look at the sessions of a running server, and end them. The server needs `http.admin_token`.
    #[command(after_help = examples::SESSIONS)]
    Sessions(SessionsArgs),
    /// Make tokens for clients.
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Print what completes this command line in a shell.
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell.
        #[arg(value_enum)]
        shell: Shell,
    },
}

/// `lockkeeper doctor`.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Look at this alone.
    #[arg(value_enum)]
    pub(crate) subject: Option<Subject>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What a doctor looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Subject {
    /// The configuration, for `serve`.
    Config,
    /// The language model's provider.
    Model,
    /// Where sessions are kept.
    Store,
    /// What runs the sandboxes.
    Sandbox,
    /// The Docker engine, chosen or not.
    Docker,
}

/// `lockkeeper dev`.
#[derive(Args, Debug)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) listen: Listen,
    /// Go on where nothing isolates the tools from this machine.
    #[arg(long)]
    pub(crate) accept_no_isolation: bool,
}

/// `lockkeeper serve`.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) listen: Listen,
}

/// Where to listen.
#[derive(Args, Debug, Default)]
pub(crate) struct Listen {
    /// The address to listen on.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) host: Option<IpAddr>,
    /// The port to listen on; 0 takes a free one.
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Write {"url": .., "pid": ..} to this file as soon as the server takes connections.
    #[arg(long, value_name = "FILE")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// `lockkeeper chat`.
#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    /// The server to talk to. Without it, a server is started for this conversation alone.
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The token to show to the server.
    #[arg(long, value_name = "TOKEN", env = "LOCKKEEPER_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
    /// The session to go on with.
    #[arg(long, value_name = "ID", value_parser = session_id)]
    pub(crate) session: Option<String>,
    /// Approve every tool call without a question.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Go on where nothing isolates the tools from this machine.
    #[arg(long)]
    pub(crate) accept_no_isolation: bool,
    /// What to say. Without it, lines of standard input are said one after the other.
    #[arg(value_name = "TEXT")]
    pub(crate) text: Vec<String>,
}

impl Cli {
    /// The settings that the flags make.
    pub(crate) fn settings(&self) -> Vec<Setting> {
        let setting =
            |flag: &str, path: &str, value: String| Setting { flag: flag.to_owned(), path: path.to_owned(), value };
        let mut settings: Vec<Setting> =
            self.settings.iter().map(|(key, value)| setting(&format!("--set {key}"), key, value.clone())).collect();
        let listen = match &self.command {
            Command::Dev(args) => Some(&args.listen),
            Command::Serve(args) => Some(&args.listen),
            _ => None,
        };
        if let Some(listen) = listen {
            settings.extend(listen.host.map(|host| setting("--host", "server.host", host.to_string())));
            settings.extend(listen.port.map(|port| setting("--port", "server.port", port.to_string())));
        }
        settings
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    let is_path = !key.is_empty() && key.split('.').all(|part| !part.trim().is_empty());
    if is_path { Ok((key.to_owned(), value.to_owned())) } else { Err(format!("`{key}` is no key")) }
}

fn session_id(text: &str) -> Result<String, String> {
    if crate::chat::is_session_id(text) {
        Ok(text.to_owned())
    } else {
        Err("a session's id has 1 to 128 letters, digits, `_` and `-`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_settings() {
        let cli = Cli::try_parse_from(["lockkeeper", "dev", "--port", "0", "--set", "a.b=c=d"]).expect("parses");
        let settings: Vec<_> = cli.settings().into_iter().map(|set| (set.flag, set.path, set.value)).collect();
        let expected = [("--set a.b", "a.b", "c=d"), ("--port", "server.port", "0")];
        assert_eq!(settings, expected.map(|(flag, path, value)| (flag.to_owned(), path.to_owned(), value.to_owned())));
    }

    #[test]
    fn wrong_usage_is_refused() {
        for args in [
            &["lockkeeper"][..],
            &["lockkeeper", "dev", "--port", "70000"],
            &["lockkeeper", "dev", "--set", "x"],
            &["lockkeeper", "dev", "--set", ".x=1"],
            &["lockkeeper", "chat", "--session", "a/b"],
            &["lockkeeper", "image", "build", "--add", "x"],
            &["lockkeeper", "image", "build", "--add", "x:relative"],
            &["lockkeeper", "image", "build", "--add", "x:/a/../b"],
            &["lockkeeper", "doctor", "weather"],
            &["lockkeeper", "mcp", "add", "a b", "--", "x"],
            &["lockkeeper", "mcp", "add", "workspace", "--", "x"],
            &["lockkeeper", "mcp", "add", "a"],
            &["lockkeeper", "mcp", "add", "a", "--env", "K", "--", "x"],
            &["lockkeeper", "sessions", "end"],
            &["lockkeeper", "sessions", "show", "a/b"],
        ] {
            let error = Cli::try_parse_from(args).expect_err("wrong usage");
            assert_eq!(error.exit_code(), 2, "{args:?}");
        }
    }
}
