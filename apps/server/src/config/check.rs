//! What a well-formed configuration may still lack: checked all at once, before anything is started.

use super::{
    AuthMode, Config, Loaded, ProviderName, RuntimeKind, StoreKind, policy,
    problem::{Kind, Problem},
};
use lockkeeper_ports::Principal;
use lockkeeper_socket_gateway::IdentitySecret;
use secrecy::ExposeSecret as _;

/// How strictly the configuration is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// What is missing is stood in for; loopback only.
    Dev,
    /// What is named must be there, and what is needed must be named.
    Serve,
}

/// The shortest token that is worth its name, in bytes.
const MIN_TOKEN_BYTES: usize = 16;

/// Everything that is wrong with the configuration in this mode, but for what [`Loaded::problems`] says.
pub(crate) fn check(loaded: &Loaded, mode: Mode) -> Vec<Problem> {
    if loaded.problems.iter().any(|problem| problem.kind == Kind::Syntax && problem.key.is_empty()) {
        // What a file sets that cannot be read is not known: whatever seems to be missing may stand in it.
        return Vec::new();
    }
    let mut checker = Checker { loaded, mode, problems: Vec::new() };
    checker.server();
    checker.auth();
    checker.store();
    checker.sandbox();
    checker.llm();
    checker.limits();
    checker.problems
}

struct Checker<'a> {
    loaded: &'a Loaded,
    mode: Mode,
    problems: Vec<Problem>,
}

impl<'a> Checker<'a> {
    fn config(&self) -> &'a Config {
        &self.loaded.config
    }

    fn problem(&mut self, kind: Kind, key: &str, what: impl Into<String>, fix: impl Into<String>) {
        if !self.loaded.is_bad(key) {
            let origin = self.loaded.origin(key);
            self.problems.push(Problem { kind, key: key.to_owned(), origin, what: what.into(), fix: fix.into() });
        }
    }

    fn server(&mut self) {
        let host = self.config().server.host;
        if self.mode == Mode::Dev && !host.is_loopback() {
            let what = format!("`dev` serves this machine alone, and {host} is not a loopback address");
            self.problem(Kind::Unsafe, "server.host", what, "set it to \"127.0.0.1\", or use `lockkeeper serve`");
        }
        for bad in self.config().server.proxies().1 {
            let fix = "name addresses and networks, as [\"10.0.0.7\", \"10.1.0.0/16\"]";
            self.problem(Kind::BadValue, "server.trusted_proxies", bad.to_string(), fix);
        }
    }

    fn auth(&mut self) {
        let (auth, host) = (&self.config().auth, self.config().server.host);
        let fix = "add `[auth.tokens]` with a line as `alice = \"..\"` (a token from `openssl rand -hex 32`)";
        if auth.mode() == AuthMode::None && !host.is_loopback() {
            let what = format!("{host} can be reached by others, and without authentication everyone may connect");
            self.problem(Kind::Unsafe, "auth.mode", what, fix);
        }
        if auth.mode() == AuthMode::Static && auth.tokens.is_empty() && self.mode == Mode::Serve {
            self.problem(Kind::Missing, "auth.tokens", "the mode `static` needs tokens, and there are none", fix);
        }
        if !auth.tokens.is_empty() && !matches!(auth.mode(), AuthMode::Static) {
            let mode = match auth.mode() {
                AuthMode::None => "none",
                AuthMode::Jwt => "jwt",
                AuthMode::Static | AuthMode::ProviderKey => "provider-key",
            };
            let what = format!("the mode `{mode}` takes none of these tokens: nobody gets in by one of them");
            self.problem(Kind::Conflict, "auth.tokens", what, "set `auth.mode = \"static\"`, or remove the tokens");
        }
        if auth.mode() != AuthMode::Jwt
            && let Some(key) = ["secret", "jwks_url", "jwks_file"]
                .into_iter()
                .find(|key| self.loaded.is_set(&format!("auth.jwt.{key}")))
        {
            let what = "JSON Web Tokens are taken in the mode `jwt` alone, and another one holds";
            let fix = "set `auth.mode = \"jwt\"`, or remove the line";
            self.problem(Kind::Conflict, &format!("auth.jwt.{key}"), what, fix);
        }
        if auth.mode() == AuthMode::ProviderKey {
            self.provider_key();
        }
        if auth.mode() == AuthMode::Jwt {
            for (key, what) in auth.jwt.problems() {
                self.problem(Kind::BadValue, &format!("auth.jwt.{key}"), what, "set it, or choose another `auth.mode`");
            }
        }
        for (name, powers) in &auth.powers {
            let key = format!("auth.powers.{name}");
            if !auth.tokens.contains_key(name) {
                let what = format!("`{name}` has no token");
                self.problem(Kind::Conflict, &key, what, "add it to `[auth.tokens]`, or remove the line");
            } else if powers.is_empty() {
                let what = format!("`{name}` may do nothing");
                self.problem(Kind::BadValue, &key, what, "name a power, or remove its token");
            }
        }
        for (name, token) in &auth.tokens {
            if let Err(error) = Principal::id_from(name) {
                let what = format!("{name:?} cannot name a principal: {error}");
                self.problem(Kind::BadValue, &format!("auth.tokens.{name}"), what, "use another name");
            }
            if token.expose_secret().len() < MIN_TOKEN_BYTES {
                let what = format!("the token is shorter than {MIN_TOKEN_BYTES} bytes and can be guessed");
                self.problem(Kind::Unsafe, &format!("auth.tokens.{name}"), what, "use one of `openssl rand -hex 32`");
            }
        }
    }

    fn provider_key(&mut self) {
        let config = self.config();
        if config.llm.chosen() == ProviderName::Demo {
            let what = "the mode `provider-key` knows clients by their provider keys, and the demo has none";
            self.problem(Kind::Conflict, "auth.mode", what, "set `llm.provider` to claude, openai or gemini");
        }
        if config.llm.allow_own_keys == Some(false) {
            let what = "the mode `provider-key` needs keys of users, which are not allowed";
            self.problem(Kind::Conflict, "llm.allow_own_keys", what, "remove it, or choose another `auth.mode`");
        }
        let fix = "set it to a line from `openssl rand -hex 32`, the same on every server";
        match &config.auth.identity_secret {
            Some(secret) if secret.expose_secret().len() < IdentitySecret::MIN_BYTES => {
                let what = format!("the secret is shorter than {} bytes", IdentitySecret::MIN_BYTES);
                self.problem(Kind::Unsafe, "auth.identity_secret", what, fix);
            }
            None if config.store.kind == Some(StoreKind::Redis) => {
                let what = "servers that share a store must make the same principals of keys";
                self.problem(Kind::Missing, "auth.identity_secret", what, fix);
            }
            _ => {}
        }
    }

    fn store(&mut self) {
        let (store, serve) = (&self.config().store, self.mode == Mode::Serve);
        match (store.kind, &store.url) {
            (Some(StoreKind::Redis), None) => {
                let fix = "set REDIS_URL, as in `redis://user:password@host:6379`";
                self.problem(Kind::Missing, "store.url", "a Redis has an address, and there is none", fix);
            }
            (Some(StoreKind::Redis) | None, Some(_)) => {
                if let Err(error) = store.redis().check_address() {
                    let fix = "set it as in `redis://user:password@host:6379` or `rediss://..` for TLS";
                    self.problem(Kind::BadValue, "store.url", error.to_string(), fix);
                }
            }
            (None, None) if serve => {
                let fix = "set `store.kind = \"embedded\"`, which keeps sessions in one local file, or REDIS_URL";
                self.problem(Kind::Missing, "store.kind", "`serve` wants the store named", fix);
            }
            _ => {}
        }
        for (name, what) in store.redis.problems() {
            let what = format!("it {what}");
            self.problem(Kind::BadValue, &format!("store.redis.{name}"), what, "set it within its bounds");
        }
        if store.kind == Some(StoreKind::Memory) && store.embedded.path.is_some() {
            let what = "the store in memory has no file, and one is set";
            self.problem(Kind::Conflict, "store.embedded.path", what, "remove it, or set `store.kind = \"embedded\"`");
        }
        if store.kind == Some(StoreKind::Redis) && store.embedded.path.is_some() {
            let what = "the store is a Redis, and the file of an embedded one is set";
            self.problem(Kind::Conflict, "store.embedded.path", what, "remove it, or set `store.kind = \"embedded\"`");
        }
        if let (Some(kind @ (StoreKind::Embedded | StoreKind::Memory)), Some(_)) = (store.kind, &store.url) {
            let kind = if kind == StoreKind::Embedded { "embedded" } else { "memory" };
            let what = format!("the store is `{kind}`, and the address of a Redis is set: sessions do not go there");
            self.problem(Kind::Conflict, "store.url", what, "remove it, or set `store.kind = \"redis\"`");
        }
    }

    fn sandbox(&mut self) {
        let sandbox = &self.config().sandbox;
        if sandbox.runtime.is_none() && self.mode == Mode::Serve {
            let fix = "set `sandbox.runtime = \"docker\"`, or \"local\", which isolates with the means of this machine's kernel";
            self.problem(Kind::Missing, "sandbox.runtime", "`serve` wants the sandbox runtime named", fix);
        }
        // Where nobody chose Docker, its settings may be another program's, as DOCKER_HOST is.
        if sandbox.runtime == Some(RuntimeKind::Docker) {
            for what in sandbox.docker.problems() {
                self.limit("sandbox.docker", &what);
            }
        }
    }

    fn llm(&mut self) {
        let llm = &self.config().llm;
        let Some(provider) = llm.provider else {
            if self.mode == Mode::Serve {
                let fix = "set `llm.provider` or LLM_PROVIDER to claude, openai or gemini";
                self.problem(Kind::Missing, "llm.provider", "`serve` wants the language model's provider named", fix);
            }
            return;
        };
        // `dev` starts all the same, and each session is told what is missing.
        let users_pay = self.config().auth.mode() == AuthMode::ProviderKey || llm.allow_own_keys == Some(true);
        if self.mode == Mode::Serve
            && !users_pay
            && let Some(variable) = provider.key_variable()
            && llm.wants_key(provider)
            && llm.key(provider).is_none()
        {
            let what = format!("the provider `{}` needs an API key", provider.as_str());
            let key = format!("llm.{}.api_key", provider.as_str());
            self.problem(Kind::Missing, &key, what, format!("set {variable} or {variable}_FILE"));
        }
    }

    fn limits(&mut self) {
        let config = self.config();
        let sections = [
            ("session", config.session.problems()),
            ("gateway", config.gateway.problems()),
            ("http", config.http.problems()),
            ("telemetry", config.telemetry.problems()),
            ("llm.catalog", config.llm.catalog.problems()),
        ];
        for (section, problems) in sections {
            for (key, what) in problems {
                self.problem(Kind::BadValue, &format!("{section}.{key}"), what, "set it within its bounds");
            }
        }
        if config.audit.retention_days == 0 {
            let fix = "set it to a number of days from 1 on";
            self.problem(Kind::BadValue, "audit.retention_days", "is 0, which would keep no audit", fix);
        }
        self.problems.extend(policy::rules(self.loaded).problems);
        if crate::logging::filter(&config.log.level).is_err() {
            let what = format!("`{}` is no log level", config.log.level);
            self.problem(Kind::BadValue, "log.level", what, "set it as in \"info\" or \"warn,lockkeeper=debug\"");
        }
        // These crates begin each problem with the setting's name.
        for what in config.sandbox.local.problems() {
            self.limit("sandbox.local", &what);
        }
        if let Err(error) = config.mcp.limits.validate() {
            self.limit("mcp.limits", &error.to_string());
        }
    }

    fn limit(&mut self, section: &str, text: &str) {
        let (name, what) = text.split_once(' ').unwrap_or((text, ""));
        let is_name =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let (key, what) = if is_name { (format!("{section}.{name}"), what) } else { (section.to_owned(), text) };
        self.problem(Kind::BadValue, &key, what, "set it within its bounds");
    }
}
