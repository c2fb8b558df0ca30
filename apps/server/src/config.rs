//! The configuration: the crates' own settings, nested, and where each value comes from.

mod check;
pub(crate) mod dotenv;
mod expand;
mod exposed;
mod layer;
mod llm;
mod load;
pub(crate) mod mcp_servers;
pub(crate) mod policy;
mod problem;
mod reference;
mod schema;
mod show;
mod suggest;
mod toml_file;
mod units;
mod variables;
mod wrong_value;

pub(crate) use check::{Mode, check};
pub(crate) use expand::{is_reference, references};
pub(crate) use llm::{Llm, ProviderName};
pub(crate) use load::{Inputs, Loaded, Setting, load};
pub(crate) use problem::{Kind, Origin, Problem, Report};
pub(crate) use reference::reference;
pub(crate) use schema::schema;
pub(crate) use show::{settings, show};
pub(crate) use suggest::nearest;

use lockkeeper_domain::{Policy, Power};
use lockkeeper_http_api::{BadNetwork, ForwardedHeader, Network, Proxies, ProxyProtocol};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

/// All settings.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) auth: Auth,
    pub(crate) store: Store,
    pub(crate) sandbox: Sandbox,
    pub(crate) mcp: Mcp,
    /// MCP servers by name, besides those of `mcp.config_file` and the built-in `workspace`.
    pub(crate) mcp_servers: BTreeMap<String, McpServerEntry>,
    pub(crate) session: lockkeeper_orchestrator::Config,
    pub(crate) audit: Audit,
    pub(crate) policy: PolicySection,
    pub(crate) llm: Llm,
    pub(crate) http: lockkeeper_http_api::Config,
    pub(crate) gateway: lockkeeper_socket_gateway::Config,
    pub(crate) telemetry: lockkeeper_telemetry::Config,
    pub(crate) log: Log,
}

/// Where the server listens, and how it ends.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    /// The address: `127.0.0.1`. `dev` takes loopback addresses only.
    pub(crate) host: IpAddr,
    /// The port: 3000. 0 takes a free one.
    pub(crate) port: u16,
    /// How long running turns may go on once the server is asked to end, in seconds: 20.
    pub(crate) drain_secs: u64,
    /// The proxies before the server, as addresses and networks: `["10.0.0.7", "fd00::/8"]`. All limits that count by address
    /// then count the client that a proxy names: the rightmost one that is no such proxy. None by default: no header is
    /// believed.
    pub(crate) trusted_proxies: Vec<String>,
    /// The header that they write the client's address to: `auto`, `forwarded`, `x-forwarded-for`, or `none`. `auto`, the
    /// default, takes whichever of the two there is, and neither if they disagree.
    pub(crate) forwarded_header: ForwardedHeader,
    /// Whether they begin connections with a header of the PROXY protocol, version 1 or 2: `auto`, `required`, or `off`.
    /// `auto`, the default, takes both.
    pub(crate) proxy_protocol: ProxyProtocol,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 3000,
            drain_secs: 20,
            trusted_proxies: Vec::new(),
            forwarded_header: ForwardedHeader::default(),
            proxy_protocol: ProxyProtocol::default(),
        }
    }
}

impl Server {
    /// Returns the trusted proxies, and what is wrong with those that cannot be read.
    pub(crate) fn proxies(&self) -> (Proxies, Vec<BadNetwork>) {
        let (trusted, bad): (Vec<_>, Vec<_>) =
            self.trusted_proxies.iter().map(|text| text.parse::<Network>()).partition(Result::is_ok);
        let trusted = trusted.into_iter().flatten().collect();
        let proxies = Proxies { trusted, header: self.forwarded_header, protocol: self.proxy_protocol };
        (proxies, bad.into_iter().filter_map(Result::err).collect())
    }
}

/// Who may connect.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Auth {
    /// How clients are known: `none` (loopback only), `static`, `jwt` or `provider-key`. By default `static` where there are
    /// tokens, else `none`.
    pub(crate) mode: Option<AuthMode>,
    /// Tokens by the name of whom they stand for: `[auth.tokens]`, `alice = ".."`.
    #[schemars(with = "BTreeMap<String, String>")]
    pub(crate) tokens: BTreeMap<String, SecretString>,
    /// What those with tokens may do, by the same names: `[auth.powers]`, `sam = ["approve"]`. There are `drive` (to have
    /// sessions), `decide` (over their calls), `approve` (to decide calls of others' sessions) and `observe` (to look at
    /// them); the last two as far as `session.others` says. `["drive", "decide"]` for who is not named.
    pub(crate) powers: BTreeMap<String, Vec<Power>>,
    /// For `jwt`: which tokens are taken.
    pub(crate) jwt: lockkeeper_jwt_auth::Config,
    /// For `provider-key`: what makes principals of keys, of at least 32 bytes. By default one that is made at the first start
    /// and kept in `identity.secret` beside the embedded store.
    #[schemars(with = "Option<String>")]
    pub(crate) identity_secret: Option<SecretString>,
    /// How often the files of the configuration are looked at for a change of `tokens`, `powers`, and `jwt`, in seconds: 2.
    /// 0 leaves that to SIGHUP.
    pub(crate) reload_secs: u64,
    /// For `provider-key`: whether the provider is asked if it knows a key, before anything is created for it: true.
    pub(crate) verify_keys: bool,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            mode: None,
            tokens: BTreeMap::new(),
            powers: BTreeMap::new(),
            jwt: lockkeeper_jwt_auth::Config::default(),
            identity_secret: None,
            reload_secs: 2,
            verify_keys: true,
        }
    }
}

/// How clients are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AuthMode {
    /// Everyone is the same one, which only loopback allows.
    None,
    /// By a token of the configuration.
    Static,
    /// By the JSON Web Tokens of an issuer.
    Jwt,
    /// By their own provider key.
    ProviderKey,
}

impl Auth {
    /// The mode that holds.
    pub(crate) fn mode(&self) -> AuthMode {
        self.mode.unwrap_or(if self.tokens.is_empty() { AuthMode::None } else { AuthMode::Static })
    }
}

/// Where sessions are kept.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Store {
    /// Which store. By default a Redis where there is a `url`, for `dev` only if it answers; else `dev` takes the embedded
    /// one, and `serve` wants it named.
    pub(crate) kind: Option<StoreKind>,
    /// The address of a Redis: `redis://`, `redis-sentinel://` or `redis-cluster://`, each also as `rediss` for TLS, or
    /// `redis+unix://` and a path.
    #[schemars(with = "Option<String>")]
    pub(crate) url: Option<SecretString>,
    /// How the Redis is used.
    pub(crate) redis: lockkeeper_redis_store::Config,
    /// What marks the audit in the logs as written by this deployment, of at least 32 bytes, the same for all servers that share
    /// a Redis. By default one that is made at the first start and kept in `audit.secret` beside the embedded store, or in the
    /// Redis; a key in the Redis proves nothing against those who can read it there, so set one with `serve`.
    #[schemars(with = "Option<String>")]
    pub(crate) audit_key: Option<SecretString>,
    /// The embedded store. Its `path` is `.lockkeeper/store.redb` by default.
    pub(crate) embedded: lockkeeper_embedded_store::Config,
}

/// The stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StoreKind {
    /// One local file.
    Embedded,
    /// Nothing outlives the process.
    Memory,
    /// Redis.
    Redis,
}

impl Store {
    /// The Redis's settings, with its address.
    pub(crate) fn redis(&self) -> lockkeeper_redis_store::Config {
        let mut config = self.redis.clone();
        if let Some(url) = &self.url {
            config.url = url.clone();
        }
        config
    }

    /// The embedded store's settings, with the path that holds.
    pub(crate) fn embedded(&self) -> lockkeeper_embedded_store::Config {
        let mut config = self.embedded.clone();
        config.path.get_or_insert_with(|| PathBuf::from(".lockkeeper/store.redb"));
        config
    }
}

/// What runs the sandboxes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Sandbox {
    /// Which runtime. `dev` takes Docker by default where it is ready, else the local one; `serve` wants it named.
    pub(crate) runtime: Option<RuntimeKind>,
    /// How long `serve` asks an engine at its start that does not answer, in seconds: 10.
    pub(crate) start_deadline_secs: u64,
    /// The Docker runtime. Its `deployment` is, by default, a name that lies beside the embedded store.
    pub(crate) docker: lockkeeper_docker_runtime::Config,
    /// The local runtime.
    pub(crate) local: lockkeeper_local_runtime::Config,
}

impl Default for Sandbox {
    fn default() -> Self {
        Self {
            runtime: None,
            start_deadline_secs: 10,
            docker: lockkeeper_docker_runtime::Config::default(),
            local: lockkeeper_local_runtime::Config::default(),
        }
    }
}

/// The runtimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum RuntimeKind {
    /// Isolated local processes.
    Local,
    /// Docker containers.
    Docker,
}

/// MCP servers in general.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Mcp {
    /// Whether sessions have the built-in server `workspace`: true.
    pub(crate) workspace: bool,
    /// Its program: `lockkeeper-workspace` beside the server's own.
    pub(crate) workspace_program: Option<PathBuf>,
    /// A JSON file with further servers under `mcpServers` or `servers`, as desktop clients use it.
    pub(crate) config_file: Option<PathBuf>,
    /// How often that is looked at for a change, in seconds: 2. 0 leaves that to SIGHUP.
    pub(crate) reload_secs: u64,
    /// Limits.
    pub(crate) limits: lockkeeper_mcp_client::Config,
}

impl Default for Mcp {
    fn default() -> Self {
        Self {
            workspace: true,
            workspace_program: None,
            config_file: None,
            reload_secs: 2,
            limits: lockkeeper_mcp_client::Config::default(),
        }
    }
}

/// One MCP server, which runs in each session's sandbox. `${VAR}` and `${VAR:-default}` in its settings stand for
/// variables.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct McpServerEntry {
    /// The program, as seen from inside the sandbox.
    pub(crate) command: String,
    /// Its arguments.
    #[serde(default)]
    pub(crate) args: Vec<String>,
    /// Its environment.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    pub(crate) env: BTreeMap<String, SecretString>,
    /// The tools that it offers, as it calls them: all that it has. The others are as if the server had none of them.
    #[serde(default)]
    pub(crate) tools: Option<Vec<String>>,
}

/// The gate's rules.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PolicySection {
    /// Deny comes before ask, ask before allow; what no rule covers is asked.
    pub(crate) rules: Policy,
    /// A file with further rules under `[[rules]]`, in force together with these.
    pub(crate) file: Option<PathBuf>,
    /// How often it is looked at for a change, in seconds: 2. 0 leaves that to SIGHUP.
    pub(crate) reload_secs: u64,
}

impl Default for PolicySection {
    fn default() -> Self {
        Self { rules: Policy::default(), file: None, reload_secs: 2 }
    }
}

/// How long the audit is kept, and where it is written besides.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Audit {
    /// How long records of the audit are kept after they were written, in days: 365. They outlive the log of their session, and the
    /// session.
    pub(crate) retention_days: u32,
    /// How many bytes the audit of all sessions may occupy: 1 GiB. Beyond it the oldest records are removed, with a warning. 0: no
    /// bound.
    pub(crate) max_bytes: u64,
    /// A file that the server appends each record to as it is written, as JSON lines. It is opened again at a SIGHUP. What is
    /// written so far is kept in a file beside it, with `.cursor` behind its name. None by default.
    pub(crate) sink: Option<PathBuf>,
}

impl Default for Audit {
    fn default() -> Self {
        Self { retention_days: 365, max_bytes: 1 << 30, sink: None }
    }
}

/// What is logged to standard error.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// Levels, as in `info` or `warn,lockkeeper_mcp_client=debug`: `info`, and `warn` for `dev` and `chat`.
    pub(crate) level: String,
    /// The form: text on a terminal and JSON elsewhere.
    pub(crate) format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object in each line.
    Json,
}

#[cfg(test)]
mod tests;
