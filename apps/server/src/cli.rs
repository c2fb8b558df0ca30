//! The command line.

mod examples;
mod mcp;
mod policy;

pub(crate) use mcp::{McpAddArgs, McpCommand, McpImportArgs, McpTestArgs, McpToolsArgs};
pub(crate) use policy::{PolicyCommand, SimulateArgs};

use crate::config::Setting;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use lockkeeper_domain::Power;
use std::{
    net::IpAddr,
    path::{Component, PathBuf},
};

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

/// `lockkeeper sessions ..`.
#[derive(Args, Debug)]
pub(crate) struct SessionsArgs {
    /// Where the server is. By default where the configuration has it listen.
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

/// `lockkeeper audit ..`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Write the audit of a session, out of the store that the configuration names: who let which call run, by which rule,
    /// and what became of it. An embedded store must not be in use by a server meanwhile.
    #[command(after_help = examples::AUDIT_EXPORT)]
    Export {
        /// The session.
        #[arg(value_name = "SESSION", value_parser = session_id)]
        session: String,
        /// Write to this file, which must not exist yet, instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Check an exported audit, without a store and without a server: exit code 1 where anything was changed, removed or
    /// added since it was written.
    #[command(after_help = examples::AUDIT_VERIFY)]
    Verify {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The file with the key that it was written under. By default that of the configuration.
        #[arg(long, value_name = "FILE", conflicts_with = "chain_only")]
        key_file: Option<PathBuf>,
        /// Check that it is whole, and not who wrote it: anyone can write a whole audit.
        #[arg(long)]
        chain_only: bool,
    },
}

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
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    pub(crate) valid_secs: u64,
    /// What the bearer of a JSON Web Token may do (drive, decide, approve, observe), where `auth.jwt.powers_claim` is set. Can
    /// be repeated.
    #[arg(long = "power", value_name = "POWER", value_parser = power, default_values = ["drive", "decide"])]
    pub(crate) powers: Vec<Power>,
}

fn power(name: &str) -> Result<Power, String> {
    Power::named(name).ok_or_else(|| "the powers are drive, decide, approve and observe".to_owned())
}

/// `lockkeeper image ..`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Make it out of programs of this machine, without any registry, and hand it to the Docker engine.
    #[command(after_help = examples::IMAGE_BUILD)]
    Build(ImageBuildArgs),
}

/// `lockkeeper image build`.
#[derive(Args, Debug)]
pub(crate) struct ImageBuildArgs {
    /// What to call it: `sandbox.docker.image` by default.
    #[arg(long, value_name = "NAME:TAG")]
    pub(crate) tag: Option<String>,
    /// The workspace program, linked statically, which `./scripts/workspace-static` builds. By default it is looked for
    /// where that puts it, and beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) workspace: Option<PathBuf>,
    /// The shell, linked statically: by default this machine's busybox.
    #[arg(long, value_name = "FILE")]
    pub(crate) shell: Option<PathBuf>,
    /// Put this machine's Node.js in, with the libraries that it needs.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "node")]
    pub(crate) with_node: Option<PathBuf>,
    /// Put this file or directory in, at this path: an MCP server, for example. Can be repeated.
    #[arg(long, value_name = "FILE:PATH", value_parser = addition)]
    pub(crate) add: Vec<(PathBuf, PathBuf)>,
    /// Tell the digests, and leave the engine alone.
    #[arg(long)]
    pub(crate) dry_run: bool,
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

fn addition(text: &str) -> Result<(PathBuf, PathBuf), String> {
    let (host, inside) = text.rsplit_once(':').ok_or("write it as FILE:PATH")?;
    let inside = PathBuf::from(inside);
    let plain = inside.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if host.is_empty() || !plain || !inside.is_absolute() || inside.parent().is_none() {
        return Err(format!("`{}` is no absolute path in an image", inside.display()));
    }
    Ok((host.into(), inside))
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
